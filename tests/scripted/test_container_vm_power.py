"""Containers go down and come up again, side by side, over a watch that goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import power
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.follow import RUNNING, Follow, follow_all
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.read import container_vms
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import NotFound, PermissionMissing
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import KEY_START, KEY_STATUS
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import read_scope
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

from tests.support.containers import clone_containers, hear
from tests.support.lab import Lab
from tests.support.vsphere import FrozenTemplate

Clone = Callable[..., dict[str, str]]


@pytest.fixture
def clone(scripted_lab: Lab, session: Session, frozen_template: FrozenTemplate) -> Iterator[Clone]:
    """Clone a service's container VMs; all of them are removed in the end."""
    made: dict[str, str] = {}

    def make(service: str, **fields: Any) -> dict[str, str]:
        moids = clone_containers(session, scripted_lab, frozen_template, service, **{"folder": "power", **fields})
        made.update(moids)
        return moids

    yield make
    removals = [power.Removal(moid=moid, name=name, power="poweredOn", force=True) for name, moid in made.items()]
    assert not any(power.remove(session, removals, deadline=Deadline(60)).values())


def seen(session: Session, moids: dict[str, str]) -> list[ContainerVm]:
    return sorted(container_vms(read_scope(session, vms=moids.values())).ours, key=lambda vm: vm.name)


def stopped(session: Session, moids: dict[str, str], **fields: Any) -> power.Outcomes:
    vms = [power.removal(vm) for vm in seen(session, moids)]
    return power.stop(session, vms, **{"deadline": Deadline(60), **fields})


def test_stopped_and_started_again(clone: Clone, session: Session, scripted_lab: Lab) -> None:
    moids = clone("pwr-cycle", replicas=3)
    nothing = dict.fromkeys(moids.values())
    scripted_lab.reset_calls()
    assert stopped(session, moids) == nothing
    assert scripted_lab.calls()["ShutdownGuest"] == 3
    assert {vm["power"] for vm in scripted_lab.vms("power").values()} == {"poweredOff"}
    # What is off is as wanted.
    scripted_lab.reset_calls()
    assert stopped(session, moids) == nothing
    assert not {"ShutdownGuest", "PowerOffVM_Task"} & scripted_lab.calls().keys()
    scripted_lab.reset_calls()
    assert power.start(session, seen(session, moids), deadline=Deadline(60)) == nothing
    calls = scripted_lab.calls()
    assert (calls["ReconfigVM_Task"], calls["PowerOnVM_Task"]) == (3, 3)
    hear(session, scripted_lab, moids, "running")


def test_one_watch_sees_it_all(clone: Clone, session: Session) -> None:
    """As a run that replaces containers does: down, up, and followed, and the watch knows what it saw."""
    moids = clone("pwr-watch", replicas=2)
    vms = seen(session, moids)
    with Watch(session, keys=(KEY_STATUS,)) as watch:
        watch.add(vms=moids.values())
        for force in (False, True):
            removals = [power.removal(vm, force=force) for vm in vms]
            assert not any(power.stop(session, removals, watch=watch, deadline=Deadline(60)).values())
            # The containers were read when they ran; only the watch knows that they are off.
            assert not any(power.start(session, vms, watch=watch, deadline=Deadline(60)).values())
            follows = [
                Follow(
                    moid=vm.moid, name=vm.name, nonce=vm.marks.nonce, goal=RUNNING, limit=Deadline(60),
                    before=vm.status, restarted=True,
                )
                for vm in vms
            ]  # fmt: skip
            follow_all(watch, follows)
            assert [(one.error, one.status and one.status.phase) for one in follows] == [(None, "running")] * 2


def test_a_container_that_ended_is_started_in_its_running_vm(clone: Clone, session: Session, scripted_lab: Lab) -> None:
    moids = clone("pwr-ended", replicas=2)
    scripted_lab.control("POST", "/vms/pwr-ended-1/guest-exit?code=3")
    hear(session, scripted_lab, ["pwr-ended-1"], "exited")
    (vm,) = (vm for vm in seen(session, moids) if vm.name == "pwr-ended-1")
    scripted_lab.reset_calls()
    assert power.start(session, [vm], deadline=Deadline(60)) == {vm.moid: None}
    assert "PowerOnVM_Task" not in scripted_lab.calls()
    hear(session, scripted_lab, ["pwr-ended-1"], "running")
    first = scripted_lab.vms()["pwr-ended-1"]["extra_config"][KEY_START]
    # An order of its own each time: the agent follows none twice.
    assert power.start(session, [vm], deadline=Deadline(60)) == {vm.moid: None}
    assert scripted_lab.vms()["pwr-ended-1"]["extra_config"][KEY_START] != first


def test_an_end_from_before_the_stop_is_started_anew(clone: Clone, session: Session, scripted_lab: Lab) -> None:
    moids = clone("pwr-anew")
    scripted_lab.control("POST", "/vms/pwr-anew/guest-exit?code=0")
    hear(session, scripted_lab, moids, "exited")
    assert not any(stopped(session, moids).values())
    assert not any(power.start(session, seen(session, moids), deadline=Deadline(60)).values())
    hear(session, scripted_lab, moids, "running")


def test_what_someone_powered_on_meanwhile_is_as_wanted(clone: Clone, session: Session, scripted_lab: Lab) -> None:
    moids = clone("pwr-on")
    assert not any(stopped(session, moids).values())
    vms = seen(session, moids)
    scripted_lab.control("POST", "/vms/pwr-on/power-on")
    assert not any(power.start(session, vms, deadline=Deadline(60)).values())


def test_failures_are_each_vms_own(clone: Clone, session: Session, scripted_lab: Lab) -> None:
    moids = clone("pwr-fails", replicas=3)
    removals = [power.removal(vm) for vm in seen(session, moids)]
    scripted_lab.control("POST", "/vms/pwr-fails-0/destroy")
    with scripted_lab.fault(
        method="ShutdownGuest", fault="NoPermission", privilege="VirtualMachine.Interact.PowerOff", entity="pwr-fails-1"
    ):
        gone, refused, down = power.stop(session, removals, deadline=Deadline(60)).values()
    assert isinstance(gone, NotFound)
    assert "pwr-fails-0" in gone.message
    assert isinstance(refused, PermissionMissing)
    assert "VirtualMachine.Interact.PowerOff" in refused.message
    assert down is None
    vms = seen(session, {name: moid for name, moid in moids.items() if name != "pwr-fails-0"})
    with scripted_lab.fault(
        method="PowerOnVM_Task", task=True, fault="InsufficientMemoryResourcesFault", entity="pwr-fails-2"
    ):
        fine, short = power.start(session, vms, deadline=Deadline(60)).values()
    assert fine is None
    assert short is not None
    assert short.code == "capacity_short"
    assert "pwr-fails-2" in short.message


def test_a_guest_that_never_stops_is_switched_off(clone: Clone, session: Session, scripted_lab: Lab) -> None:
    with scripted_lab.scripted({"match": "pwr-stubborn", "never_stop": True}):
        moids = clone("pwr-stubborn", options={"stop_timeout": 0})
    assert not any(stopped(session, moids, grace=0.5).values())
    assert scripted_lab.vms("power")["pwr-stubborn"]["power"] == "poweredOff"


@pytest.mark.parametrize("after", [False, True], ids=["call", "answer"])
@pytest.mark.parametrize("method", ["ShutdownGuest", "PowerOffVM_Task", "Destroy_Task"])
def test_what_is_lost_on_the_way_is_asked_again(
    clone: Clone, session: Session, scripted_lab: Lab, method: str, after: bool
) -> None:
    moids = clone(f"pwr-lost-{method.split('_')[0].lower()}-{after}".lower(), replicas=2)
    removals = [power.removal(vm, force=method == "PowerOffVM_Task") for vm in seen(session, moids)]
    with scripted_lab.fault(method=method, fault="reset", after=after, times=3):
        assert power.remove(session, removals, deadline=Deadline(60)) == dict.fromkeys(moids.values())
    assert not set(moids) & scripted_lab.vms().keys()


@pytest.mark.parametrize("task", [False, True])
def test_a_busy_vm_is_tried_again(clone: Clone, session: Session, scripted_lab: Lab, task: bool) -> None:
    moids = clone(f"pwr-busy-{task}".lower())
    removals = [power.removal(vm) for vm in seen(session, moids)]
    with scripted_lab.fault(method="Destroy_Task", task=task, fault="ResourceInUse", times=2):
        assert power.remove(session, removals, deadline=Deadline(60)) == dict.fromkeys(moids.values())


def test_one_that_stays_busy_is_told(clone: Clone, session: Session, scripted_lab: Lab) -> None:
    moids = clone("pwr-staysbusy")
    removals = [power.removal(vm) for vm in seen(session, moids)]
    with scripted_lab.fault(method="Destroy_Task", fault="ResourceInUse", times=-1):
        (error,) = power.remove(session, removals, deadline=Deadline(3)).values()
    assert error is not None
    assert error.code == "in_use"
    assert "pwr-staysbusy" in error.message
