"""Following tasks and VMs until something is so."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InUse, TaskFailed, VsphereFault
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import find_datacenter, find_vm
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim, vmodl
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch, wait_for_tasks

from tests.support.lab import Lab, running_lab
from tests.support.vsphere import SECONDS, connected

KEY = "guestinfo.bonneville.status"
FOLDER = "waiting"


@pytest.fixture(scope="module")
def lab(scripted_lab: Lab) -> Iterator[Lab]:
    """The lab with VMs of somebody's to be watched: ``watched-0`` to ``watched-2``."""
    names = [f"watched-{number}" for number in range(3)]
    for name in names:
        scripted_lab.control("POST", "/vms", {"name": name, "folder": FOLDER})
    yield scripted_lab
    for name in set(scripted_lab.vms(FOLDER)):
        scripted_lab.control("POST", f"/vms/{name}/destroy")


@pytest.fixture
def moid(lab: Lab, session: Session) -> str:
    return moid_of(session, "watched-0")


def moid_of(session: Session, name: str) -> str:
    return find_vm(session, datacenter=find_datacenter(session), path=f"{FOLDER}/{name}")


def power_off(session: Session, moid: str) -> None:
    off = wait_for_tasks(session, {"off": task(session, moid, "PowerOffVM_Task")}, deadline=Deadline(SECONDS))
    assert off["off"].ok


def change(lab: Lab, moid: str, **values: str) -> None:
    lab.control("POST", f"/vms/{moid}/reconfigure", {name.replace("_", "."): value for name, value in values.items()})


def task(session: Session, moid: str, method: str = "PowerOnVM_Task") -> Any:
    return getattr(session.managed("VirtualMachine", moid), method)()


# VMs ---------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [False, True], ids=["keyed", "whole"])
def test_a_key_is_followed_however_vcenter_tells_of_it(
    lab: Lab, session: Session, moid: str, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ("lab.a", "lab.b")
    with Watch(session, keys=keys) as watch:
        if whole:
            monkeypatch.setattr(watch, "_filter", lambda: whole_extra_config(session, moid))
        watch.add(vms=[moid])
        for values in ({"lab_a": "1"}, {"lab_a": "2", "lab_b": "x", "lab_c": "unseen"}, {"lab_a": ""}, {"lab_b": ""}):
            change(lab, moid, **values)
            present = lab.vms(FOLDER)["watched-0"]["extra_config"]
            expected = {key: value for key, value in present.items() if key in keys}
            assert watch.until(partial(seen, watch, moid, expected), Deadline(SECONDS))
    change(lab, moid, lab_c="")


def seen(watch: Watch, moid: str, extra_config: dict[str, str]) -> bool:
    return watch.vms[moid].extra_config == extra_config


def whole_extra_config(session: Session, moid: str) -> Any:
    """A filter on all of extraConfig, of which vCenter may tell as a whole."""
    query = vmodl.query.PropertyCollector
    return query.FilterSpec(
        propSet=[query.PropertySpec(type=vim.VirtualMachine, pathSet=["config.extraConfig"], all=False)],
        objectSet=[query.ObjectSpec(obj=session.managed("VirtualMachine", moid))],
    )


def test_power_host_and_freezing_are_followed(session: Session, frozen_template: Any, moid: str) -> None:
    source = frozen_template.moids[0]
    with Watch(session) as watch:
        watch.add(vms=[moid, source])
        assert watch.until(lambda: watch.vms[moid].power == "poweredOff", Deadline(SECONDS))
        assert watch.vms[source].frozen
        assert watch.vms[source].power == "poweredOn"
        assert not watch.vms[source].tools_running
        assert {watch.vms[moid].host, watch.vms[source].host} <= {vm._moId for vm in all_hosts(session)}
        task(session, moid)
        assert watch.until(lambda: watch.vms[moid].power == "poweredOn", Deadline(SECONDS))
        task(session, moid, "PowerOffVM_Task")
        assert watch.until(lambda: watch.vms[moid].power == "poweredOff", Deadline(SECONDS))


def all_hosts(session: Session) -> list[Any]:
    cluster = session.content.searchIndex.FindByInventoryPath("DC0/host/DC0_C0")
    return list(cluster.host)


def test_a_vm_that_is_destroyed_meanwhile(lab: Lab, session: Session) -> None:
    lab.control("POST", "/vms", {"name": "short-lived", "folder": FOLDER})
    moid = moid_of(session, "short-lived")
    with Watch(session) as watch:
        watch.add(vms=[moid])
        assert watch.until(lambda: watch.vms[moid].power == "poweredOff", Deadline(SECONDS))
        lab.control("POST", "/vms/short-lived/destroy")
        assert watch.until(lambda: watch.vms[moid].gone, Deadline(SECONDS))


def test_a_vm_that_was_gone_before(session: Session, moid: str) -> None:
    with Watch(session) as watch:
        watch.add(vms=["vm-0", moid])
        assert watch.until(lambda: watch.vms["vm-0"].gone and watch.vms[moid].power == "poweredOff", Deadline(SECONDS))


def test_what_was_dropped_is_not_listened_to(lab: Lab, session: Session, moid: str) -> None:
    other = moid_of(session, "watched-1")
    with Watch(session, keys=["lab.a"]) as watch:
        watch.add(vms=[moid, other])
        assert watch.until(lambda: bool(watch.vms[moid].power and watch.vms[other].power), Deadline(SECONDS))
        watch.drop(vms=[moid])
        change(lab, moid, lab_a="dropped")
        change(lab, other, lab_a="heard")
        assert watch.wait(Deadline(SECONDS)) == {other}
        assert watch.vms[moid].extra_config == {}
        assert not watch.vms[moid].gone
        watch.add(vms=[moid])
        assert watch.until(lambda: watch.vms[moid].extra_config == {"lab.a": "dropped"}, Deadline(SECONDS))
    for one in (moid, other):
        change(lab, one, lab_a="")


def test_more_vms_than_one_answer_holds() -> None:
    with running_lab(guests="scripted", hosts=1, arguments=("--vms", "230")) as lab, connected(lab) as session:
        moids = [vm["moid"] for vm in lab.state()["vms"]]
        with Watch(session) as watch:
            watch.add(vms=moids)
            assert watch.wait(Deadline(SECONDS)) == set(moids)
            assert watch.calls == 3  # of at most 100 objects


# Tasks ---------------------------------------------------------------------------


def test_tasks_end_well_or_not(lab: Lab, session: Session, moid: str) -> None:
    other = moid_of(session, "watched-1")
    with lab.fault(method="PowerOnVM_Task", fault="TaskInProgress", task=True, entity="watched-1"):
        states = wait_for_tasks(
            session, {"good": task(session, moid), "bad": task(session, other)}, deadline=Deadline(SECONDS)
        )
    assert states["good"].ok
    assert states["bad"].done
    assert not states["bad"].ok
    error = states["bad"].error("Cannot power on", obj="watched-1")
    assert isinstance(error, InUse)
    assert error.message.startswith("Cannot power on 'watched-1': another task works on it")
    assert wait_for_tasks(session, {"off": task(session, moid, "PowerOffVM_Task")}, deadline=Deadline(SECONDS))[
        "off"
    ].ok


def test_a_task_that_does_not_end_in_time(lab: Lab, session: Session, moid: str) -> None:
    with lab.fault(method="PowerOnVM_Task", task=True, delay_ms=2500):
        running = task(session, moid)
        state = wait_for_tasks(session, {"late": running}, deadline=Deadline(0.1))["late"]
        assert not state.done
        with pytest.raises(TaskFailed, match="the task was still running at the deadline"):
            raise state.error("Cannot power on", obj="watched-0")
        assert wait_for_tasks(session, {"late": running}, deadline=Deadline(SECONDS))["late"].ok
    assert wait_for_tasks(session, {"off": task(session, moid, "PowerOffVM_Task")}, deadline=Deadline(SECONDS))[
        "off"
    ].ok


def test_a_task_that_vcenter_has_forgotten(session: Session) -> None:
    state = wait_for_tasks(session, {"old": session.managed("Task", "task-0")}, deadline=Deadline(SECONDS))["old"]
    assert state.done
    assert not state.ok
    assert "forgotten" in state.error("Cannot power on").message


def test_a_task_without_a_reason(session: Session, lab: Lab, moid: str) -> None:
    with lab.fault(method="PowerOnVM_Task", fault="SystemError", message="odd", task=True):
        state = wait_for_tasks(session, {"odd": task(session, moid)}, deadline=Deadline(SECONDS))["odd"]
    assert isinstance(state.error("Cannot power on"), VsphereFault)
    assert "odd" in state.error("Cannot power on").message


def test_the_same_task_can_be_added_twice(session: Session, moid: str) -> None:
    on = task(session, moid)
    with Watch(session) as watch:
        watch.add(tasks=[on])
        assert watch.until(lambda: watch.tasks[on._moId].done, Deadline(SECONDS))
        watch.add(tasks=[on])
        assert watch.tasks[on._moId].ok
    assert wait_for_tasks(session, {"off": task(session, moid, "PowerOffVM_Task")}, deadline=Deadline(SECONDS))[
        "off"
    ].ok


def test_no_tasks_cost_nothing(lab: Lab, session: Session) -> None:
    lab.reset_calls()
    assert wait_for_tasks(session, {}, deadline=Deadline(SECONDS)) == {}
    assert lab.calls() == {}


# The wait itself -------------------------------------------------------------------


def test_nothing_happens_until_the_deadline(session: Session, moid: str) -> None:
    with Watch(session) as watch:
        watch.add(vms=[moid])
        assert watch.wait(Deadline(SECONDS)) == {moid}
        assert watch.wait(Deadline(0.2)) == frozenset()
        assert not watch.until(lambda: False, Deadline(0.0))


def test_what_is_known_at_the_deadline_is_taken_in(session: Session, moid: str) -> None:
    with Watch(session) as watch:
        watch.add(vms=[moid])
        assert watch.wait(Deadline(0.0)) == {moid}


@pytest.mark.parametrize("after", [False, True], ids=["not heard", "answer lost"])
@pytest.mark.parametrize("fault", ["reset", "http503"])
@pytest.mark.parametrize("method", ["CreatePropertyCollector", "CreateFilter", "WaitForUpdatesEx"])
def test_a_wait_survives_what_passes(
    lab: Lab, session: Session, moid: str, method: str, fault: str, after: bool
) -> None:
    with Watch(session, keys=["lab.a"]) as watch:
        watch.add(vms=[moid])
        if method == "WaitForUpdatesEx":
            change(lab, moid, lab_a="before")
            assert watch.until(lambda: watch.vms[moid].extra_config == {"lab.a": "before"}, Deadline(SECONDS))
            change(lab, moid, lab_a="")
        with lab.fault(method=method, fault=fault, times=2, after=after):
            assert watch.until(
                lambda: watch.vms[moid].power == "poweredOff" and watch.vms[moid].extra_config == {}, Deadline(SECONDS)
            )


def test_nothing_is_left_behind(lab: Lab, session: Session, moid: str) -> None:
    def left() -> tuple[int, int]:
        state = lab.state()
        return state["views"], state["collectors"]

    before = left()
    with Watch(session) as watch:
        watch.add(vms=[moid])
        watch.wait(Deadline(SECONDS))
        assert left() == (before[0], before[1] + 1)
    assert left() == before

    def broken() -> None:
        with Watch(session) as watch:
            watch.add(vms=[moid])
            watch.wait(Deadline(SECONDS))
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        broken()
    assert left() == before


def test_to_follow_many_costs_what_one_costs(lab: Lab, session: Session) -> None:
    moids = [vm["moid"] for vm in lab.state()["vms"]][:20]
    costs = []
    for followed in (moids[:1], moids):
        lab.reset_calls()
        with Watch(session) as watch:
            watch.add(vms=followed)
            assert watch.wait(Deadline(SECONDS)) == set(followed)
        costs.append(lab.calls())
    expected = {"CreatePropertyCollector": 1, "CreateFilter": 1, "WaitForUpdatesEx": 1, "DestroyPropertyCollector": 1}
    assert costs == [expected, expected]
