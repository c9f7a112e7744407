from __future__ import annotations

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import read_status, vm_from
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import Identity, Marks
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol

from tests.unit.plugins.module_utils._container.tables import NONCE, VCENTER, applied, spec, status

IDENTITY = Identity(fleet="", folder="bonneville", service="web", ordinal="0")
MARKS = Marks(
    bios_uuid=IDENTITY.bios_uuid(vcenter=VCENTER, slot="1"), fleet="", service="web", ordinal="0", slot="1",
    owner="repo", template="photon", template_vm="vm-1", template_uuid="u", nonce=NONCE, applied=applied(spec()),
)  # fmt: skip


def test_marks_read_back() -> None:
    found = marks_of.decode(MARKS.encode(), bios_uuid=MARKS.bios_uuid.upper())
    assert found is not None
    assert marks_of.encode_applied(found.applied) == marks_of.encode_applied(MARKS.applied)
    assert (found.service, found.owner, found.nonce) == ("web", "repo", NONCE)


@pytest.mark.parametrize(
    "change",
    [
        {"bonneville.schema": "2"},
        {"bonneville.kind": "template"},
        {"bonneville.bios_uuid": ""},
        {"bonneville.kind": ""},
    ],
)
def test_other_marks_are_not_ours(change: dict[str, str]) -> None:
    assert marks_of.decode(MARKS.encode() | change, bios_uuid=MARKS.bios_uuid) is None


def test_a_copied_mark_is_foreign() -> None:
    assert marks_of.decode(MARKS.encode(), bios_uuid="42000000-0000-0000-0000-000000000000") is None


def test_a_clone_of_a_template_is_no_template() -> None:
    inherited = template_marks.Marks(
        template="photon", generation="g", host="host-1", phase="frozen", bios_uuid="u", key="a2V5", agent="0.1.0",
        speaks=(1, 1), images=(template_marks.Image(name="web:1", id="sha256:1"),),
    ).encode()  # fmt: skip
    guest = {protocol.KEY_STATUS: "{}", protocol.KEY_PREPARE: "{}", protocol.KEY_FREEZE: "b", protocol.KEY_KEY: "k"}
    after = {**inherited, **guest, **MARKS.encode()}
    assert template_marks.decode(after, bios_uuid=MARKS.bios_uuid) is None
    assert marks_of.decode(after, bios_uuid=MARKS.bios_uuid) is not None
    left = {key for key, value in after.items() if value} - {key for key, value in MARKS.encode().items() if value}
    assert left == set()


def test_identities_differ_by_each_part() -> None:
    others = [
        Identity(fleet="f", folder="bonneville", service="web", ordinal="0"),
        Identity(fleet="", folder="other", service="web", ordinal="0"),
        Identity(fleet="", folder="bonneville", service="api", ordinal="0"),
        Identity(fleet="", folder="bonneville", service="web", ordinal=""),
    ]
    uuids = {one.bios_uuid(vcenter=VCENTER, slot=slot) for one in (IDENTITY, *others) for slot in marks_of.SLOTS}
    assert len(uuids) == 10
    assert IDENTITY.bios_uuid(vcenter="another", slot="1") not in uuids
    # A fleet is the same in whatever folder.
    moved = Identity(fleet="f", folder="elsewhere", service="web", ordinal="0")
    assert moved.bios_uuid(vcenter=VCENTER, slot="1") == others[0].bios_uuid(vcenter=VCENTER, slot="1")


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        (Identity(fleet="", folder="f", service="web", ordinal=""), "web"),
        (Identity(fleet="", folder="f", service="web", ordinal="3"), "web-3"),
        (Identity(fleet="shop", folder="f", service="web", ordinal="3"), "shop-web-3"),
    ],
)
def test_names(identity: Identity, name: str) -> None:
    assert identity.name == name
    assert identity.replacement("2") == f"{name}~2"


def test_a_deterministic_mac_is_in_vmwares_range_for_manual_ones() -> None:
    first, second = (int(part, 16) for part in IDENTITY.mac(vcenter=VCENTER).split(":")[2:4])
    assert (first, second <= 0x3F) == (0x56, True)
    assert IDENTITY.mac(vcenter=VCENTER) == IDENTITY.mac(vcenter=VCENTER)
    assert IDENTITY.mac(vcenter=VCENTER) != IDENTITY.mac(vcenter="another")


def test_a_status_counts_only_for_its_own_clone() -> None:
    text = status().encode()
    assert read_status(text, nonce=NONCE) == protocol.Status.decode(text)
    assert read_status(text, nonce="b" * 32) is None
    assert read_status(text, nonce="") is None
    assert read_status("not json", nonce=NONCE) is None
    assert read_status("", nonce=NONCE) is None


def test_a_vm_without_genuine_marks_is_no_container() -> None:
    facts = {"moid": "vm-1", "name": "web-0", "folder": "bonneville", "power": "poweredOn"}
    assert vm_from(**facts, bios_uuid="x", extra_config=MARKS.encode()) is None
    assert vm_from(**facts, bios_uuid="x", extra_config={}) is None
    found = vm_from(**facts, bios_uuid=MARKS.bios_uuid, extra_config=MARKS.encode() | {protocol.KEY_SPEC: "sealed"})
    assert found is not None
    assert found.sealed
    assert found.phase == "silent"
