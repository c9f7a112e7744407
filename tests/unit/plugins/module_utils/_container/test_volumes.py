"""Named volumes before any call: how they are written, what they make of a spec, and who may have them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import engine, steps
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.mounts import NamedVolume, refuse_named
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.volumes import check_writers, named_volumes
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.wish import Wish, disk_name
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption, Several
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.module_utils._container.tables import make_plan, service, spec, vm

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,8}", fullmatch=True)
TARGETS = st.from_regex(r"/[a-z]{1,8}(/[a-z]{1,8})?", fullmatch=True)
VOLUMES = st.builds(NamedVolume, name=NAMES, target=TARGETS, read_only=st.booleans(), copy=st.booleans())


@given(VOLUMES)
def test_the_normal_form_reads_back(volume: NamedVolume) -> None:
    assert NamedVolume.decode(volume.encode()) == volume
    assert spec(volumes=[volume.encode()]).volumes == (volume,)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"volumes": ["data:/data/"]}, "data:/data"),
        ({"volumes": ["data:/data:rw"]}, "data:/data"),
        ({"volumes": ["data:/data:readonly,z"]}, "data:/data:ro"),
        ({"mounts": [{"source": "data", "target": "/data", "no_copy": True}]}, "data:/data:nocopy"),
        ({"mounts": [{"type": "volume", "source": "data", "target": "/data", "read_only": True}]}, "data:/data:ro"),
    ],
)
def test_every_way_to_write_one(options: dict[str, Any], expected: str) -> None:
    assert spec(**options).options["named_volumes"] == (expected,)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"volumes": ["a b:/data"]}, "neither a path nor a volume's name"),
        ({"volumes": ["data:data"]}, "absolute path"),
        ({"volumes": ["data:/data:loud"]}, "'loud' is no mode"),
        ({"volumes": ["data:/data", "more:/data"]}, "two mounts"),
        ({"volumes": ["data:/data", "/data"]}, "two mounts"),
        ({"mounts": [{"type": "bind", "source": "data", "target": "/data"}]}, "no path"),
        ({"mounts": [{"target": "/data", "read_only": True}]}, r"read_only 'True': a volume without a name"),
        ({"mounts": [{"target": "/data", "no_copy": True}]}, r"no_copy 'True': a volume without a name"),
        ({"mounts": [{"source": "data", "target": "/data", "tmpfs_size": "1m"}]}, "a mount of type volume has no"),
        ({"mounts": [{"type": "tmpfs", "target": "/data", "source": "data"}]}, "a mount of type tmpfs has no"),
        ({"mounts": [{"type": "bind", "source": "/f", "target": "/f", "tmpfs_mode": "1777"}]}, "of type bind has no"),
    ],
)
def test_what_cannot_be_meant(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        spec(**options)


def test_the_engine_mounts_it_by_its_name() -> None:
    host = engine.body(spec(volumes=["data:/data:ro", "more:/more:nocopy"]), hostname="web")["HostConfig"]
    assert host["Mounts"] == [
        {"Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": True, "VolumeOptions": {"NoCopy": False}},
        {"Type": "volume", "Source": "more", "Target": "/more", "ReadOnly": False, "VolumeOptions": {"NoCopy": True}},
    ]


def test_outside_of_a_fleet_it_is_refused_with_the_way_to_have_it() -> None:
    error = refuse_named(NamedVolume(name="data", target="/data"))
    assert "container_fleet" in error.message and "data" in error.message


@pytest.mark.parametrize(
    ("before", "after", "replaced"),
    [
        (["data:/data"], ["data:/data"], False),
        (["data:/data"], ["data:/data:ro"], True),
        (["data:/data"], ["data:/data", "more:/more"], True),
        (["data:/data"], ["/data"], True),
        (["/data"], ["data:/data"], True),
    ],
)
def test_another_volume_is_another_container_and_the_old_one_stops_first(
    before: list[str], after: list[str], replaced: bool
) -> None:
    old, new = service(options={"volumes": before}), service(options={"volumes": after})
    [action] = make_plan([new], [vm(old.identity(""), old)]).actions
    assert (action.kind == steps.RECREATE, action.stop_first) == (replaced, replaced)


def test_two_writers_are_refused_all_at_once() -> None:
    services = [
        service("one", fleet="shop", options={"volumes": ["data:/data"]}),
        service("two", fleet="shop", options={"volumes": ["data:/data"]}),
        service("many", fleet="shop", replicas=2, options={"volumes": ["more:/more"]}),
        service("own", fleet="shop", options={"volumes": ["own:/a", "own:/b"]}),
    ]
    with pytest.raises(Several) as error:
        check_writers(make_plan(services, []), {})
    assert [item["msg"].split("'")[1] for item in error.value.details["errors"]] == ["shop_data", "shop_more"]
    assert "shop-many-0 and shop-many-1" in error.value.message


def test_two_keys_of_one_disk_are_one_disk() -> None:
    services = [
        service("one", fleet="shop", options={"volumes": ["a1:/data"]}),
        service("two", fleet="shop", options={"volumes": ["b1:/data"]}),
    ]
    with pytest.raises(InvalidOption, match="same"):
        check_writers(make_plan(services, []), {"a1": Wish(name="same"), "b1": Wish(name="same")})


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ({}, "shop_data"),
        ({"data": Wish(name="mine")}, "mine"),
        ({"data": Wish(external=True)}, "data"),
        ({"data": Wish(external=True, name="theirs")}, "theirs"),
    ],
)
def test_what_a_volumes_disk_is_called(wishes: dict[str, Wish], expected: str) -> None:
    assert disk_name("shop", "data", wishes) == expected


def test_a_containers_volumes_by_its_marks() -> None:
    assert named_volumes({"named_volumes": ["a1:/a", "a1:/b", "b1:/c:ro"]}) == ("a1", "b1")
    assert named_volumes({}) == ()
