"""First Class Disks over real SOAP: made, found, had by one VM, left by it, removed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import power
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.shelf import remove_volumes
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    InUse,
    NotFound,
    PermissionMissing,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import find_disk_users, read_hardware
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.fcd import (
    FirstClassDisk,
    attach_disks,
    create_disks,
    delete_disks,
    find_disks,
    read_disks,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

from tests.support.containers import clone_containers
from tests.support.lab import Lab
from tests.support.vsphere import SECONDS, FrozenTemplate, Site


@pytest.fixture
def datastore(session: Session, scripted_lab: Lab) -> Iterator[str]:
    """The datastore's moid; whatever disk a test left is removed."""
    moid = Site.of(session, scripted_lab).datastore.moid
    yield moid
    names = scripted_lab.control("GET", "/state")["volumes"]
    disks = find_disks(session, datastores=[moid], names=names)
    assert not any(delete_disks(session, disks, deadline=Deadline(SECONDS)).values())


def made(session: Session, datastore: str, name: str = "shop_data") -> FirstClassDisk:
    disk = create_disks(session, {name: (datastore, 32)}, deadline=Deadline(SECONDS))[name]
    assert isinstance(disk, FirstClassDisk), disk
    return disk


def attach(session: Session, moid: str, disk: FirstClassDisk) -> BonnevilleError | None:
    return attach_disks(session, {moid: disk}, names={moid: moid}, deadline=Deadline(SECONDS))[moid]


def test_a_disk_is_made_and_found_by_its_name(session: Session, datastore: str) -> None:
    disk = made(session, datastore)
    assert (disk.name, disk.capacity_mb, disk.datastore, disk.kept, disk.consumers) == (
        "shop_data", 32, datastore, True, (),
    )  # fmt: skip
    made(session, datastore, "other_data")
    assert find_disks(session, datastores=[datastore], names=["shop_data", "none"]) == [disk]
    assert read_disks(session, [(disk.id, datastore), ("none", datastore)]) == [disk]


def test_nothing_is_asked_where_nothing_is_wanted(session: Session, scripted_lab: Lab, datastore: str) -> None:
    scripted_lab.control("DELETE", "/calls")
    assert find_disks(session, datastores=[datastore], names=[]) == []
    assert "ListVStorageObject" not in scripted_lab.control("GET", "/calls")


def test_a_vm_that_has_it_shows_it_and_keeps_others_out(
    session: Session, scripted_lab: Lab, datastore: str, frozen_template: FrozenTemplate
) -> None:
    moids = clone_containers(session, scripted_lab, frozen_template, "fcdholder", replicas=2)
    one, two = moids.values()
    disk = made(session, datastore)
    assert attach(session, one, disk) is None
    shown = [found for found in read_hardware(session, [one])[one].disks if found.fcd_id]
    assert [(found.fcd_id, found.files[0], found.capacity_bytes) for found in shown] == [(disk.id, disk.path, 32 << 20)]
    assert shown[0].uuid and shown[0].uuid != disk.id
    assert read_disks(session, [(disk.id, datastore)])[0].consumers
    assert find_disk_users(session, files=[disk.path], datastores=[datastore]) == {one: "fcdholder-0"}
    error = attach(session, two, disk)
    assert isinstance(error, InUse) and "shop_data" in error.message
    # Whoever wants it gone is told who has it.
    refused = remove_volumes(session, ["shop_data"], datastores=[datastore], deadline=Deadline(SECONDS))["shop_data"]
    assert isinstance(refused, InUse) and "fcdholder-0" in refused.message
    # Its VM goes; the disk stays.
    gone = power.remove(
        session,
        [power.Removal(moid=one, name="fcdholder-0", power="poweredOn", force=True)],
        deadline=Deadline(SECONDS),
    )
    assert gone == {one: None}
    assert [found.consumers for found in find_disks(session, datastores=[datastore], names=["shop_data"])] == [()]
    assert attach(session, two, disk) is None
    power.remove(
        session,
        [power.Removal(moid=two, name="fcdholder-1", power="poweredOn", force=True)],
        deadline=Deadline(SECONDS),
    )
    assert remove_volumes(session, ["shop_data"], datastores=[datastore], deadline=Deadline(SECONDS)) == {
        "shop_data": None
    }
    assert scripted_lab.control("GET", "/state")["volumes"] == []


def test_removing_what_is_gone_is_no_failure(session: Session, datastore: str) -> None:
    disk = made(session, datastore)
    assert delete_disks(session, [disk], deadline=Deadline(SECONDS)) == {disk.id: None}
    assert delete_disks(session, [disk], deadline=Deadline(SECONDS)) == {disk.id: None}
    state = read_disks(session, [(disk.id, datastore)])
    assert state == []


def test_a_privilege_that_lacks_is_named(session: Session, scripted_lab: Lab, datastore: str) -> None:
    scripted_lab.control("POST", "/switch", {"deny": ["Datastore.FileManagement"]})
    try:
        error = create_disks(session, {"denied": (datastore, 32)}, deadline=Deadline(SECONDS))["denied"]
    finally:
        scripted_lab.control("POST", "/switch", {"deny": []})
    assert isinstance(error, PermissionMissing) and "Datastore.FileManagement" in error.message


def test_a_disk_that_vanished_cannot_be_attached(
    session: Session, scripted_lab: Lab, datastore: str, frozen_template: FrozenTemplate
) -> None:
    disk = made(session, datastore)
    [moid] = clone_containers(session, scripted_lab, frozen_template, "fcdgone").values()
    delete_disks(session, [disk], deadline=Deadline(SECONDS))
    assert isinstance(attach(session, moid, disk), NotFound)
    power.remove(
        session, [power.Removal(moid=moid, name="fcdgone", power="poweredOn", force=True)], deadline=Deadline(SECONDS)
    )
