from __future__ import annotations

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.template_marks import Image
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import labels, vm_from
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.module_utils._template.tables import vm

MARKS = vm(1).marks


def test_marks_survive_the_way_through_extra_config() -> None:
    assert marks_of.decode(MARKS.encode(), bios_uuid=MARKS.bios_uuid.upper()) == MARKS


@pytest.mark.parametrize(
    "change",
    [
        {"bonneville.bios_uuid": "42000000-0000-0000-0000-000000000000"},
        {"bonneville.bios_uuid": ""},
        {"bonneville.schema": "2"},
        {"bonneville.kind": "container"},
    ],
)
def test_marks_that_are_not_this_vms_own_do_not_count(change: dict[str, str]) -> None:
    assert marks_of.decode({**MARKS.encode(), **change}, bios_uuid=MARKS.bios_uuid) is None


@given(st.dictionaries(st.sampled_from(sorted(MARKS.encode())), st.text(), min_size=1))
def test_damaged_marks_never_raise(damage: dict[str, str]) -> None:
    marks_of.decode({**MARKS.encode(), **damage}, bios_uuid=MARKS.bios_uuid)


def test_the_uuid_differs_by_all_that_it_is_made_of() -> None:
    base = {"vcenter": "v", "folder": "f", "template": "t", "host": "h", "generation": "g"}
    found = {marks_of.bios_uuid(**{**base, key: "x"}) for key in base} | {marks_of.bios_uuid(**base)}
    assert len(found) == 6


def test_images_are_read_with_their_digests() -> None:
    image = Image(name="reg/web:1", id="sha256:1", digest="sha256:2")
    encoded = {**MARKS.encode(), "bonneville.images": '[{"name":"reg/web:1","id":"sha256:1","digest":"sha256:2"},7]'}
    decoded = marks_of.decode(encoded, bios_uuid=MARKS.bios_uuid)
    assert decoded is not None
    assert decoded.images == (image,)


def test_a_copied_vm_is_no_template_vm() -> None:
    assert (
        vm_from(
            moid="vm-9",
            name="photon@esx1 (copy)",
            host="host-1",
            host_name="esx1",
            power="poweredOff",
            frozen=False,
            instance_uuid="i",
            bios_uuid="another",
            directory="[ds1] copy",
            datastores=("datastore-1",),
            extra_config=MARKS.encode(),
        )
        is None
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["esx1.example.com", "esx2.example.com"], ["esx1", "esx2"]),
        (["esx1.a.com", "esx1.b.com", "esx2.b.com"], ["esx1.a.com", "esx1.b.com", "esx2"]),
        (["10.0.0.1", "10.0.0.2"], ["10.0.0.1", "10.0.0.2"]),
    ],
)
def test_hosts_are_called_by_their_short_names_unless_two_share_one(names: list[str], expected: list[str]) -> None:
    assert [labels(names)[name] for name in names] == expected
