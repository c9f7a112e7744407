from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.settings import GuestFile, Settings
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import (
    Archive,
    Login,
    Source,
    check_images,
    check_name,
)

from tests.unit.plugins.module_utils._template.tables import SPEC


def test_the_generation_is_twelve_hex_digits_and_stable() -> None:
    assert len(SPEC.generation) == 12
    assert int(SPEC.generation, 16) >= 0
    assert replace(SPEC).generation == SPEC.generation


@pytest.mark.parametrize(
    "change",
    [
        {"cpus": 4},
        {"memory_mb": 1024},
        {"memory_reservation_mb": 512},
        {"disk_gb": 20},
        {"network": "other"},
        {"datastore": "ds2"},
        {"images": ("web:2",)},
        {"insecure_registries": ("reg:5000",)},
        {"archives": (Archive(path="/a.tar", size=1, sha256="a" * 64),)},
        {"source": Source(kind="ova", path="/ova/photon.ova", fingerprint="0" * 64)},
        {"bridge_cidr": "10.1.0.0/24"},
        {"settings": Settings(registry_mirrors=("http://m",))},
        {"settings": Settings(registry_ca="PEM")},
        {"settings": Settings(http_proxy="http://p")},
        {"settings": Settings(https_proxy="http://p")},
        {"settings": Settings(no_proxy=("n",))},
        {"settings": Settings(dns=("192.0.2.1",))},
        {"settings": Settings(dns_search=("example.com",))},
        {"settings": Settings(ntp=("n",))},
        {"settings": Settings(time_zone="UTC")},
        {"settings": Settings(debug_ssh_key="ssh-rsa A")},
        {"settings": Settings(packages=("vim",))},
        {"settings": Settings(files=(GuestFile(path="/a", content="YQ=="),))},
    ],
)
def test_every_option_that_shapes_the_vm_makes_another_generation(change: dict[str, object]) -> None:
    assert replace(SPEC, **change).generation != SPEC.generation  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"source": Source(kind="ova", path="/elsewhere.ova", fingerprint="f" * 64)},
        {"images": ("web:1",)},
    ],
)
def test_names_and_paths_make_none(change: dict[str, object]) -> None:
    assert replace(SPEC, **change).generation == SPEC.generation  # type: ignore[arg-type]


def test_the_order_of_images_makes_no_difference() -> None:
    assert replace(SPEC, images=("a:1", "b:1")).generation == replace(SPEC, images=("b:1", "a:1")).generation


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["web"], ("web:latest",)),
        (["reg:5000/web"], ("reg:5000/web:latest",)),
        (["reg:5000/web:1", "reg:5000/web:1"], ("reg:5000/web:1",)),
        (["web@sha256:" + "0" * 64], ("web@sha256:" + "0" * 64,)),
    ],
)
def test_an_image_without_a_tag_is_the_latest(given: list[str], expected: tuple[str, ...]) -> None:
    assert check_images(given) == expected


@pytest.mark.parametrize("image", ["", " ", "a b", ":1", "reg/:1"])
def test_what_is_no_image_name_is_refused(image: str) -> None:
    with pytest.raises(InvalidOption, match="no image name"):
        check_images([image])


@pytest.mark.parametrize("name", ["", "-a", "a/b", "a b", "a@b", "x" * 41])
def test_a_name_that_fits_no_path_is_refused(name: str) -> None:
    with pytest.raises(InvalidOption):
        check_name(name)


def test_a_password_does_not_show() -> None:
    assert "s3cret" not in repr(Login(server="r", username="u", password="s3cret"))
