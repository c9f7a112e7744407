"""Changing VMs that stand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    InUse,
    NotFound,
    PermissionMissing,
    TaskFailed,
    Unreachable,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import read_vms
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.reconfigure import (
    Change,
    reconfigure,
    reconfigure_all,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch, wait_for_tasks

from tests.support.lab import Lab
from tests.support.vsphere import SECONDS

FOLDER = "changed"


@pytest.fixture
def moids(scripted_lab: Lab) -> Iterator[list[str]]:
    """Three VMs of somebody's, by their moids."""
    names = [f"changed-{number}" for number in range(3)]
    yield [scripted_lab.control("POST", "/vms", {"name": name, "folder": FOLDER})["moid"] for name in names]
    for vm in scripted_lab.state()["vms"]:
        if vm["folder"] == FOLDER:
            scripted_lab.control("POST", f"/vms/{vm['moid']}/destroy")


def test_every_setting_is_changed(session: Session, moids: list[str]) -> None:
    uuid = "564d1111-2222-3333-4444-555566667777"
    change = Change(
        name="renamed",
        annotation="whose it is",
        bios_uuid=uuid,
        cpus=2,
        memory_mb=2048,
        memory_reservation_mb=512,
        extra_config={"bonneville.kind": "container", "lab.gone": ""},
    )
    assert reconfigure_all(session, {moids[0]: change}, deadline=Deadline(SECONDS)) == {moids[0]: None}
    vm = read_vms(session, moids)[moids[0]]
    assert (vm.name, vm.annotation, vm.bios_uuid) == ("renamed", "whose it is", uuid)
    assert (vm.cpus, vm.memory_mb, vm.memory_reservation_mb) == (2, 2048, 512)
    assert vm.extra_config["bonneville.kind"] == "container"
    assert not vm.extra_config.get("lab.gone")


def test_what_is_not_named_stays(session: Session, moids: list[str]) -> None:
    before = read_vms(session, moids)[moids[0]]
    reconfigure_all(session, {moids[0]: Change(extra_config={"lab.key": "value"})}, deadline=Deadline(SECONDS))
    after = read_vms(session, moids)[moids[0]]
    assert after.extra_config["lab.key"] == "value"
    for name in ("name", "annotation", "bios_uuid", "cpus", "memory_mb", "memory_reservation_mb"):
        assert getattr(after, name) == getattr(before, name)


def test_a_key_is_removed(session: Session, moids: list[str]) -> None:
    for value, present in (("there", True), ("", False)):
        reconfigure_all(session, {moids[0]: Change(extra_config={"lab.key": value})}, deadline=Deadline(SECONDS))
        assert ("lab.key" in read_vms(session, moids)[moids[0]].extra_config) is present


@pytest.mark.parametrize("task", [False, True], ids=["call", "task"])
@pytest.mark.parametrize(
    ("fault", "kind"), [("TaskInProgress", InUse), ("InvalidState", TaskFailed), ("NoPermission", PermissionMissing)]
)
def test_one_that_fails_stops_no_other(
    scripted_lab: Lab, session: Session, moids: list[str], fault: str, kind: type, task: bool
) -> None:
    changes = {moid: Change(annotation="new") for moid in moids}
    names = {moid: f"changed-{number}" for number, moid in enumerate(moids)}
    with scripted_lab.fault(method="ReconfigVM_Task", fault=fault, task=task, entity="changed-1", times=-1):
        outcome = reconfigure_all(session, changes, deadline=Deadline(SECONDS), names=names)
    assert list(outcome) == moids
    error = outcome.pop(moids[1])
    assert type(error) is kind
    assert str(error).startswith("Cannot reconfigure the VM 'changed-1': ")
    assert list(outcome.values()) == [None, None]
    assert [vm.annotation for vm in read_vms(session, moids).values()].count("new") == 2


@pytest.mark.parametrize(("times", "kind"), [(2, type(None)), (-1, Unreachable)])
def test_lost_answers_are_one_vms_error_only_if_they_do_not_end(
    scripted_lab: Lab, session: Session, moids: list[str], times: int, kind: type
) -> None:
    with scripted_lab.fault(method="ReconfigVM_Task", fault="reset", entity="changed-1", times=times):
        changes = {moid: Change(annotation="new") for moid in moids}
        outcome = reconfigure_all(session, changes, deadline=Deadline(SECONDS))
    assert [type(error) for error in outcome.values()] == [type(None), kind, type(None)]


def test_one_that_is_gone(session: Session, moids: list[str]) -> None:
    changes = {moid: Change(annotation="new") for moid in (moids[0], "vm-0")}
    outcome = reconfigure_all(session, changes, deadline=Deadline(SECONDS))
    assert outcome[moids[0]] is None
    assert isinstance(outcome["vm-0"], NotFound)


def test_one_that_does_not_end_in_time(scripted_lab: Lab, session: Session, moids: list[str]) -> None:
    with scripted_lab.fault(method="ReconfigVM_Task", task=True, delay_ms=1500, entity="changed-1"):
        changes = {moid: Change(annotation="new") for moid in moids}
        outcome = reconfigure_all(session, changes, deadline=Deadline(0.5))
        assert isinstance(outcome[moids[1]], TaskFailed)
        assert "still running at the deadline" in str(outcome[moids[1]])
        assert [outcome[moids[0]], outcome[moids[2]]] == [None, None]
        last = reconfigure(session, moids[1], Change(annotation="last"))  # it comes after the one before
        assert wait_for_tasks(session, {"": last}, deadline=Deadline(SECONDS))[""].ok


def test_twenty_changes_cost_few_calls_beside_their_own(scripted_lab: Lab, session: Session) -> None:
    moids = [vm["moid"] for vm in scripted_lab.state()["vms"] if vm["folder"] == "others"][:20]
    changes = {moid: Change(extra_config={"lab.key": ""}) for moid in moids}
    scripted_lab.reset_calls()
    with Watch(session) as watch:
        assert not any(reconfigure_all(session, changes, deadline=Deadline(SECONDS), watch=watch).values())
    calls: dict[str, Any] = scripted_lab.calls()
    assert calls.pop("ReconfigVM_Task") == len(moids)
    assert calls.pop("WaitForUpdatesEx") <= 4
    assert calls == {"CreatePropertyCollector": 1, "CreateFilter": 1, "DestroyPropertyCollector": 1}


def test_nothing_to_change_costs_nothing(scripted_lab: Lab, session: Session) -> None:
    scripted_lab.reset_calls()
    assert reconfigure_all(session, {}, deadline=Deadline(SECONDS)) == {}
    assert scripted_lab.calls() == {}
