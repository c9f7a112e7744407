"""A fleet's volumes on their way from VM to VM, over real SOAP; what is on them is the end-to-end tests' matter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.desired import KEEP
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.part import Done
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.shelf import remove_volumes
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.wish import Wish
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import Ambiguous, InUse, NotFound
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.disks import KEY_VOLUMES, Disks
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import detach, read_hardware
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.fcd import create_disks, find_disks
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.reconfigure import Change, reconfigure_all
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

from tests.scripted.conftest import IMAGES
from tests.support.fleets import deploy_fleet
from tests.support.lab import Lab
from tests.support.vsphere import SECONDS, FrozenTemplate, Site, connected

Deploy = Callable[..., Done]
DB: Mapping[str, Any] = {"image": IMAGES[0], "volumes": ["data:/data"]}
WISHES = {"data": Wish(size_mb=16), "more": Wish(size_mb=16)}


@pytest.fixture
def deploy(scripted_lab: Lab, frozen_template: FrozenTemplate) -> Iterator[Deploy]:
    """Deploy a fleet; afterwards its containers and every volume are gone."""
    fleets: set[str] = set()

    def run(fleet: str, *, wishes: Mapping[str, Wish] = WISHES, **options: Any) -> Done:
        fleets.add(fleet)
        services = options.pop("services", {"db": DB})
        with connected(scripted_lab) as session:
            return deploy_fleet(
                session, fleet=fleet, template=frozen_template.name, services=services, volumes=wishes, **options
            )

    yield run
    scripted_lab.control("POST", "/scripted", [])
    for fleet in fleets:
        assert not run(fleet, services={"db": None}).errors
    with connected(scripted_lab) as session:
        left = scripted_lab.state()["volumes"]
        where = [Site.of(session, scripted_lab).datastore.moid]
        assert not any(remove_volumes(session, left, datastores=where, deadline=Deadline(SECONDS)).values())


def told(lab: Lab, vm: str) -> dict[str, str]:
    return dict(Disks.decode(lab.vms()[vm]["extra_config"][KEY_VOLUMES]).volumes)


def held(session: Session, lab: Lab, vm: str) -> dict[str, str]:
    """The uuids of the First Class Disks that a VM has, by their ids."""
    moid = lab.vms()[vm]["moid"]
    return {disk.fcd_id: disk.uuid for disk in read_hardware(session, [moid])[moid].disks if disk.fcd_id}


def test_it_is_made_attached_and_told_to_the_guest(deploy: Deploy, scripted_lab: Lab, session: Session) -> None:
    both = {**DB, "volumes": ["data:/data", "more:/more"]}
    assert not deploy("fresh", services={"db": both}).errors
    assert scripted_lab.state()["volumes"] == ["fresh_data", "fresh_more"]
    assert sorted(told(scripted_lab, "fresh-db")) == ["data", "more"]
    assert set(told(scripted_lab, "fresh-db").values()) == set(held(session, scripted_lab, "fresh-db").values())


def test_a_replacement_gets_the_very_disk(deploy: Deploy, scripted_lab: Lab, session: Session) -> None:
    assert not deploy("again").errors
    before, moid = held(session, scripted_lab, "again-db"), scripted_lab.vms()["again-db"]["moid"]
    assert not deploy("again", services={"db": {**DB, "env": {"A": "1"}}}).errors
    assert scripted_lab.vms()["again-db"]["moid"] != moid
    assert held(session, scripted_lab, "again-db") == before
    assert scripted_lab.state()["volumes"] == ["again_data"]


def test_a_run_without_work_asks_nothing_of_disks(deploy: Deploy, scripted_lab: Lab) -> None:
    assert not deploy("calm").errors
    scripted_lab.control("DELETE", "/calls")
    assert not deploy("calm").errors
    calls = scripted_lab.control("GET", "/calls")
    assert not [name for name in calls if "Disk" in name or "VStorage" in name], calls


def test_a_replacement_that_fails_gives_it_back(deploy: Deploy, scripted_lab: Lab, session: Session) -> None:
    assert not deploy("fails").errors
    before, moid = held(session, scripted_lab, "fails-db"), scripted_lab.vms()["fails-db"]["moid"]
    failing = {"phase": "failed", "reason": {"code": "volume_unusable", "message": "its disk holds swap"}}
    scripted_lab.control("POST", "/scripted", [{"match": "fails-db~*", "script": [failing]}])
    error = deploy("fails", services={"db": {**DB, "env": {"A": "1"}}}).errors["fails-db"]
    assert "its disk holds swap" in error.message and "old one was started again" in error.message
    assert scripted_lab.vms()["fails-db"]["moid"] == moid
    assert held(session, scripted_lab, "fails-db") == before


def test_a_stopped_one_whose_replacement_fails_has_it_again_and_stays_off(
    deploy: Deploy, scripted_lab: Lab, session: Session
) -> None:
    rests = {**DB, "state": "stopped"}
    assert not deploy("rests", services={"db": rests}).errors
    before = held(session, scripted_lab, "rests-db")
    failing = {"phase": "failed", "reason": {"code": "volume_unusable", "message": "its disk holds swap"}}
    scripted_lab.control("POST", "/scripted", [{"match": "rests-db~*", "script": [failing]}])
    error = deploy("rests", services={"db": {**rests, "env": {"A": "1"}}}).errors["rests-db"]
    assert "so the old one stays off" in error.message
    assert scripted_lab.vms()["rests-db"]["power"] == "poweredOff"
    assert held(session, scripted_lab, "rests-db") == before


def test_a_replacement_that_failed_and_is_kept_gives_it_back(
    deploy: Deploy, scripted_lab: Lab, session: Session
) -> None:
    assert not deploy("kept").errors
    before = held(session, scripted_lab, "kept-db")
    failing = {"phase": "failed", "reason": {"code": "volume_unusable", "message": "its disk holds swap"}}
    scripted_lab.control("POST", "/scripted", [{"match": "kept-db~*", "script": [failing]}])
    error = deploy("kept", services={"db": {**DB, "env": {"A": "1"}}}, on_failure=KEEP).errors["kept-db"]
    assert "its VM was powered off" in error.message and "old one was started again" in error.message
    assert held(session, scripted_lab, "kept-db") == before
    assert held(session, scripted_lab, "kept-db~2") == {}
    power = {name: vm["power"] for name, vm in scripted_lab.vms().items() if name.startswith("kept-db")}
    assert power == {"kept-db": "poweredOn", "kept-db~2": "poweredOff"}


def test_a_disk_that_cannot_be_attached_leaves_nothing_behind(deploy: Deploy, scripted_lab: Lab) -> None:
    scripted_lab.control("POST", "/faults", {"method": "AttachDisk_Task", "fault": "FileLocked", "task": True})
    error = deploy("locked").errors["locked-db"]
    assert isinstance(error, InUse), error
    assert "locked-db" not in scripted_lab.vms()
    assert not deploy("locked").errors


def test_what_an_earlier_run_left_without_its_disk_gets_it(deploy: Deploy, scripted_lab: Lab, session: Session) -> None:
    scripted_lab.control("POST", "/scripted", [{"match": "resumed-*", "script": [{"phase": "volumes"}]}])
    assert deploy("resumed", seconds=2.0, on_failure=KEEP).errors
    moid = scripted_lab.vms()["resumed-db"]["moid"]
    disks = [disk for disk in read_hardware(session, [moid])[moid].disks if disk.fcd_id]
    before = Change(devices=[detach(disk.device) for disk in disks], extra_config={KEY_VOLUMES: ""})
    assert reconfigure_all(session, {moid: before}, deadline=Deadline(SECONDS)) == {moid: None}
    # The guest goes on once it is told: here, once the lab's rule is gone.
    scripted_lab.control("POST", "/scripted", [])
    deploy("resumed", seconds=2.0, on_failure=KEEP)
    assert scripted_lab.vms()["resumed-db"]["moid"] == moid
    assert set(told(scripted_lab, "resumed-db").values()) == {disk.uuid for disk in disks}
    assert held(session, scripted_lab, "resumed-db") == {disk.fcd_id: disk.uuid for disk in disks}


def test_one_that_another_vm_has_is_refused_before_anything_is_done(deploy: Deploy, scripted_lab: Lab) -> None:
    assert not deploy("holds").errors
    before = scripted_lab.vms()
    with pytest.raises(InUse, match="holds-db"):
        deploy("wants", wishes={"data": Wish(name="holds_data")})
    assert scripted_lab.vms().keys() == before.keys()


def test_two_disks_of_one_name_are_not_guessed_between(deploy: Deploy, scripted_lab: Lab, session: Session) -> None:
    datastore = Site.of(session, scripted_lab).datastore.moid
    for _ in range(2):
        create_disks(session, {"double_data": (datastore, 16)}, deadline=Deadline(SECONDS))
    with pytest.raises(Ambiguous, match="double_data"):
        deploy("double")


def test_an_external_one_has_to_be_there(deploy: Deploy, scripted_lab: Lab, session: Session) -> None:
    with pytest.raises(NotFound, match="theirs"):
        deploy("ext", wishes={"data": Wish(name="theirs", external=True)})
    datastore = Site.of(session, scripted_lab).datastore.moid
    create_disks(session, {"theirs": (datastore, 16)}, deadline=Deadline(SECONDS))
    assert not deploy("ext", wishes={"data": Wish(name="theirs", external=True)}).errors
    [disk] = find_disks(session, datastores=[datastore], names=["theirs"])
    assert disk.id in held(session, scripted_lab, "ext-db")


def test_it_is_detached_before_its_vm_is_deleted(deploy: Deploy, scripted_lab: Lab, session: Session) -> None:
    assert not deploy("gone").errors
    scripted_lab.control("DELETE", "/calls")
    assert not deploy("gone", services={"db": None}).errors
    assert scripted_lab.state()["volumes"] == ["gone_data"]
    assert scripted_lab.control("GET", "/calls")["ReconfigVM_Task"] >= 1
    assert scripted_lab.state()["violations"] == []
