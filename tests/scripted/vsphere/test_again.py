"""What passes by itself is not shown: tasks on what is busy, or whose answer was lost, of VMs, folders and disks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import power
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InUse
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.fcd import (
    attach_disks,
    create_disks,
    delete_disks,
    find_disks,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.folders import (
    make_folder,
    move_into,
    remove_empty,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import ensure_folder
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

from tests.support.containers import clone_containers
from tests.support.lab import Lab
from tests.support.vsphere import SECONDS, FrozenTemplate, Site

PASSING = {
    "busy-call": {"fault": "TaskInProgress", "times": 2},
    "busy-task": {"fault": "ResourceInUse", "task": True, "times": 2},
    "not-arrived": {"fault": "reset", "times": 2},
    "unavailable": {"fault": "http503", "times": 2},
    "answer-lost": {"fault": "reset", "after": True},
}


@pytest.fixture(params=PASSING.values(), ids=PASSING)
def passing(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


@pytest.fixture
def site(session: Session, scripted_lab: Lab) -> Site:
    return Site.of(session, scripted_lab)


@pytest.fixture
def vm(scripted_lab: Lab) -> Iterator[str]:
    """A VM of somebody's, by its moid."""
    moid = scripted_lab.control("POST", "/vms", {"name": "again", "folder": "again-here"})["moid"]
    yield moid
    scripted_lab.control("POST", f"/vms/{moid}/destroy")


def folder_of(lab: Lab, moid: str) -> str:
    return next(str(vm["folder"]) for vm in lab.state()["vms"] if vm["moid"] == moid)


def test_a_vm_is_moved(session: Session, scripted_lab: Lab, site: Site, vm: str, passing: dict[str, Any]) -> None:
    there = ensure_folder(session, datacenter=site.datacenter, path="again-there").moid
    with scripted_lab.fault(method="MoveIntoFolder_Task", **passing), Watch(session) as watch:
        outcome = move_into(session, there, {vm: "again"}, deadline=Deadline(SECONDS), watch=watch)
    assert outcome == {vm: None}
    assert folder_of(scripted_lab, vm) == "again-there"


def test_an_empty_folder_is_removed(session: Session, scripted_lab: Lab, site: Site, passing: dict[str, Any]) -> None:
    parent = ensure_folder(session, datacenter=site.datacenter, path="again-parent").moid
    moid = make_folder(session, parent=parent, name="empty")
    with scripted_lab.fault(method="Destroy_Task", **passing), Watch(session) as watch:
        assert remove_empty(session, {moid: "empty"}, watch=watch) == {moid: None}
    assert "again-parent/empty" not in scripted_lab.state()["folders"]


def test_a_folder_that_is_filled_meanwhile_stays_with_what_it_holds(
    session: Session, scripted_lab: Lab, site: Site, vm: str
) -> None:
    parent = ensure_folder(session, datacenter=site.datacenter, path="again-parent").moid
    moid = make_folder(session, parent=parent, name="filled")

    class Filling(Watch):
        """Fills the folder while the first try is waited for."""

        def until(self, predicate: Callable[[], bool], deadline: Deadline) -> bool:
            scripted_lab.control("POST", f"/vms/{vm}/move?folder=again-parent/filled")
            return super().until(predicate, deadline)

    with scripted_lab.fault(method="Destroy_Task", fault="TaskInProgress", task=True), Filling(session) as watch:
        outcome = remove_empty(session, {moid: "filled"}, watch=watch)
    error = outcome[moid]
    assert isinstance(error, InUse) and "filled" in error.message
    assert folder_of(scripted_lab, vm) == "again-parent/filled"


def test_a_disk_is_made_once(session: Session, scripted_lab: Lab, site: Site, passing: dict[str, Any]) -> None:
    where = site.datastore.moid
    with scripted_lab.fault(method="CreateDisk_Task", **passing):
        made = create_disks(session, {"again_data": (where, 16)}, deadline=Deadline(SECONDS))
    found = find_disks(session, datastores=[where], names=["again_data"])
    assert [*made.values()] == found and len(found) == 1
    with scripted_lab.fault(method="DeleteVStorageObject_Task", **passing):
        assert delete_disks(session, found, deadline=Deadline(SECONDS)) == {found[0].id: None}
    assert not find_disks(session, datastores=[where], names=["again_data"])


def test_a_disk_is_attached(
    session: Session, scripted_lab: Lab, site: Site, frozen_template: FrozenTemplate, passing: dict[str, Any]
) -> None:
    [vm] = clone_containers(session, scripted_lab, frozen_template, "again-held").values()
    disks = create_disks(session, {"again_held": (site.datastore.moid, 16)}, deadline=Deadline(SECONDS))
    disk: Any = disks["again_held"]
    with scripted_lab.fault(method="AttachDisk_Task", **passing):
        outcome = attach_disks(session, {vm: disk}, names={vm: "again-held"}, deadline=Deadline(SECONDS))
    assert outcome == {vm: None}
    (held,) = find_disks(session, datastores=[disk.datastore], names=[disk.name])
    assert held.consumers
    removal = power.Removal(moid=vm, name="again-held", power="poweredOn", force=True)
    assert power.remove(session, [removal], deadline=Deadline(SECONDS)) == {vm: None}
    assert delete_disks(session, [held], deadline=Deadline(SECONDS)) == {held.id: None}
