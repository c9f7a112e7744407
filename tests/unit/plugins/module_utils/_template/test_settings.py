from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption, NotFound
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import orders
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.settings import (
    FILES_LIMIT,
    FileSource,
    SettingsRequest,
    document,
    load,
    read_settings,
    registry_of,
)

from tests.unit.plugins.module_utils._template.tables import SPEC
from tests.unit.plugins.module_utils._template.test_desired import params

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"


def test_a_ca_is_text_or_a_file_and_trusted_for_the_registries_and_mirrors(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(CA + "\n")
    request = read_settings(params(registry_mirrors=["https://mirror.example:5000"], registry_ca=CA))
    by_text = load(request, ["reg.example", ""])
    assert by_text == load(replace(request, ca=str(file)), ["reg.example"])
    assert by_text.registries == ("mirror.example:5000", "reg.example")
    assert CA not in json.dumps(document(by_text))
    file.write_text("no certificate")
    with pytest.raises(InvalidOption, match="registry_ca"):
        load(replace(request, ca=str(file)), [])
    with pytest.raises(NotFound, match="none"):
        load(replace(request, ca=str(tmp_path / "none")), [])


def test_files_come_from_text_or_the_controller_and_show_as_digests(tmp_path: Path) -> None:
    source = tmp_path / "motd"
    source.write_bytes(b"\xff\x00")
    files = (
        FileSource(path="/etc/motd", src=str(source)),
        FileSource(path="/etc/issue", content="hidden", mode="0600"),
    )
    settings = load(SettingsRequest(files=files), [])
    assert [(one.path, base64.b64decode(one.content), one.mode) for one in settings.files] == [
        ("/etc/issue", b"hidden", "0600"),
        ("/etc/motd", b"\xff\x00", "0644"),
    ]
    assert base64.b64encode(b"hidden").decode() not in replace(SPEC, settings=settings).canonical()


def test_files_that_the_order_cannot_hold_are_refused() -> None:
    source = FileSource(path="/big", content="x" * (FILES_LIMIT + 3))
    with pytest.raises(InvalidOption, match="files"):
        load(SettingsRequest(files=(source,)), [])


def test_the_order_carries_them_to_the_guest_whole() -> None:
    settings = load(
        read_settings(
            params(
                dns=["192.0.2.53"],
                ntp=["ntp.example"],
                time_zone="Europe/Berlin",
                packages=["vim"],
                debug_ssh_key="ssh-ed25519 AAAA me",
                http_proxy="http://p:3128",
                no_proxy=["10.0.0.0/8"],
                files=[{"path": "/a", "content": "x" * FILES_LIMIT, "src": None, "mode": "0600"}],
            )
        ),
        [],
    )
    order = orders.Prepare(template="t", generation="g", prime=True, settings=settings)
    assert orders.Prepare.decode(order.encode()) == order
    # A message of the guest's RPC holds 64 KiB.
    assert len(order.encode()) < 60 * 1024


@pytest.mark.parametrize(
    ("image", "registry"),
    [("web:1", ""), ("me/web", ""), ("reg.example/web:1", "reg.example"), ("reg:5000/a/b", "reg:5000")],
)
def test_an_images_registry(image: str, registry: str) -> None:
    assert registry_of(image) == registry
