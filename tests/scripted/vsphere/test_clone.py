"""Instant clones in bulk: the cap, the outcomes, and what goes wrong on the way."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    CapacityShort,
    InUse,
    PermissionMissing,
    SessionLost,
    TaskFailed,
    Unreachable,
    VsphereFault,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere import clone
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.clone import (
    CloneOutcome,
    CloneRequest,
    full_clone,
    instant_clone,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import Hardware, read_hardware
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import ensure_folder, find_by_uuid
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Folder
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch, wait_for_tasks

from tests.support.lab import Lab
from tests.support.vsphere import SECONDS, FrozenTemplate, Site

FOLDER = "clones"
STATUS = "guestinfo.bonneville.status"


class Bench:
    """Clones of the frozen template, in a folder of their own."""

    def __init__(self, lab: Lab, session: Session, template: FrozenTemplate) -> None:
        self.lab, self.session, self.template = lab, session, template
        self.site = Site.of(session, lab)
        self.folder: Folder = ensure_folder(session, datacenter=self.site.datacenter, path=FOLDER)
        self.hardware: Mapping[str, Hardware] = read_hardware(session, template.moids)
        self.told: list[CloneOutcome] = []

    def request(self, number: int, **changes: Any) -> CloneRequest:
        """Request number N goes to source N modulo 3."""
        name = f"clone-{number}"
        given: dict[str, Any] = {
            "key": name,
            "name": name,
            "source": self.template.moids[number % 3],
            "bios_uuid": str(uuid4()),
            "extra_config": {"bonneville.kind": "container", "bonneville.nonce": uuid4().hex, STATUS: ""},
            "folder": self.folder.moid,
            "pool": self.site.compute.pool,
            "datastore": self.site.datastore.moid,
            "network": self.site.network,
            "log": f"[{self.site.datastore.name}] {name}/container.log",
        }
        return CloneRequest(**{**given, **changes})

    def requests(self, count: int) -> list[CloneRequest]:
        return [self.request(number) for number in range(count)]

    def clone(
        self, requests: Sequence[CloneRequest], *, seconds: float = SECONDS, per_source: int = 8
    ) -> list[CloneOutcome]:
        self.told = []
        with Watch(self.session, keys=[STATUS]) as watch:
            return instant_clone(
                self.session,
                requests,
                hardware=self.hardware,
                watch=watch,
                deadline=Deadline(seconds),
                per_source=per_source,
                on_clone=self.told.append,
            )

    def vms(self) -> dict[str, dict[str, Any]]:
        return self.lab.vms(FOLDER)


@pytest.fixture
def bench(scripted_lab: Lab, session: Session, frozen_template: FrozenTemplate) -> Iterator[Bench]:
    bench = Bench(scripted_lab, session, frozen_template)
    yield bench
    scripted_lab.control("DELETE", "/faults")
    for name, vm in scripted_lab.vms(FOLDER).items():
        if vm["power"] == "poweredOn":
            scripted_lab.control("POST", f"/vms/{name}/power-off")
        scripted_lab.control("POST", f"/vms/{name}/destroy")


def test_a_clone_is_what_was_asked_for(bench: Bench) -> None:
    request = bench.request(1, mac="00:50:56:01:02:03")
    (outcome,) = bench.clone([request])
    vm = bench.vms()["clone-1"]
    assert outcome == CloneOutcome(request=request, vm=vm["moid"], seconds=outcome.seconds)
    assert vm["host"] == list(bench.template.vms)[1]
    assert vm["parent"] == request.source
    assert vm["bios_uuid"] == request.bios_uuid
    assert vm["mac"] == "00:50:56:01:02:03"
    assert vm["extra_config"]["bonneville.nonce"] == request.extra_config["bonneville.nonce"]
    (made,) = read_hardware(bench.session, [outcome.vm]).values()
    assert made.serial_ports[0].backing.fileName == "[LocalDS_0] clone-1/container.log"
    assert made.macs == ("00:50:56:01:02:03",)


def test_a_request_without_places_stays_where_its_source_is(bench: Bench, scripted_lab: Lab) -> None:
    (outcome,) = bench.clone([bench.request(0, folder="", pool="", datastore="", network=None)])
    assert outcome.ok
    scripted_lab.control("POST", f"/vms/{outcome.vm}/move?folder={FOLDER}")
    assert bench.vms()["clone-0"]["host"] == next(iter(bench.template.vms))


def test_outcomes_are_in_the_order_of_the_requests(bench: Bench) -> None:
    requests = bench.requests(7)
    outcomes = bench.clone(requests, per_source=1)
    assert [outcome.request for outcome in outcomes] == requests
    assert [outcome.vm for outcome in outcomes] == [bench.vms()[request.name]["moid"] for request in requests]
    assert sorted(told.request.key for told in bench.told) == sorted(request.key for request in requests)


@pytest.mark.parametrize("per_source", [1, 2])
def test_no_source_is_asked_for_more_than_the_cap(bench: Bench, per_source: int) -> None:
    """While tasks wait, no more of them than the cap are under way."""
    most, over = [0], threading.Event()

    def count() -> None:
        while not over.is_set():
            most.append(bench.lab.state()["tasks_running"])

    counting = threading.Thread(target=count)
    with bench.lab.fault(method="InstantClone_Task", task=True, delay_ms=150, times=-1):
        counting.start()
        outcomes = bench.clone(bench.requests(9), per_source=per_source)
        over.set()
        counting.join()
    assert all(outcome.ok for outcome in outcomes)
    assert 1 < max(most) <= 3 * per_source


def test_a_cap_below_one_is_a_mistake(bench: Bench) -> None:
    with pytest.raises(ValueError, match="per_source"):
        bench.clone(bench.requests(1), per_source=0)


def test_what_guests_say_meanwhile_is_not_missed(bench: Bench) -> None:
    requests = bench.requests(5)
    with Watch(bench.session, keys=[STATUS]) as watch:
        outcomes = instant_clone(
            bench.session, requests, hardware=bench.hardware, watch=watch, deadline=Deadline(SECONDS), per_source=1
        )

        def all_run() -> bool:
            return all('"running"' in watch.vms[outcome.vm].extra_config.get(STATUS, "") for outcome in outcomes)

        assert watch.until(all_run, Deadline(SECONDS))


def test_outcomes_are_told_from_the_callers_thread(bench: Bench) -> None:
    threads = []
    requests = bench.requests(4)
    bench.lab.control("POST", "/faults", {"method": "InstantClone_Task", "fault": "InvalidState", "times": 2})
    with Watch(bench.session) as watch:
        instant_clone(
            bench.session,
            requests,
            hardware=bench.hardware,
            watch=watch,
            deadline=Deadline(SECONDS),
            on_clone=lambda outcome: threads.append(threading.current_thread()),
        )
    assert threads == [threading.current_thread()] * 4


# What goes wrong with one --------------------------------------------------------


@pytest.mark.parametrize("task", [False, True], ids=["call", "task"])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("InsufficientResourcesFault", CapacityShort),
        ("InvalidState", TaskFailed),
        ("NoPermission", PermissionMissing),
        ("SystemError", VsphereFault),
        ("DuplicateName", InUse),
    ],
)
def test_one_that_fails_stops_no_other(bench: Bench, fault: str, kind: type, task: bool) -> None:
    with bench.lab.fault(method="InstantClone_Task", fault=fault, task=task, new_name="clone-2", times=-1):
        outcomes = bench.clone(bench.requests(5))
    assert [outcome.ok for outcome in outcomes] == [True, True, False, True, True]
    error = outcomes[2].error
    assert error is not None
    assert type(error) is kind
    assert error.message.startswith("Cannot create the instant clone 'clone-2': ")
    assert outcomes[2].vm == ""
    assert set(bench.vms()) == {"clone-0", "clone-1", "clone-3", "clone-4"}


def test_a_name_that_is_taken(bench: Bench) -> None:
    bench.lab.control("POST", "/vms", {"name": "clone-0", "folder": FOLDER})
    (outcome,) = bench.clone([bench.request(0)])
    assert isinstance(outcome.error, InUse)
    assert "the name clone-0 is taken" in outcome.error.message
    assert outcome.vm == ""


def test_a_task_that_failed_late_leaves_a_clone_that_is_found(bench: Bench) -> None:
    with bench.lab.fault(method="InstantClone_Task", fault="SystemError", task=True, after=True, new_name="clone-1"):
        outcomes = bench.clone(bench.requests(3))
    assert [outcome.ok for outcome in outcomes] == [True, False, True]
    assert outcomes[1].vm == bench.vms()["clone-1"]["moid"]


def test_a_task_that_failed_late_is_found_though_its_guest_has_spoken_meanwhile(bench: Bench) -> None:
    request = bench.request(1)
    request = replace(request, extra_config={**request.extra_config, STATUS: "not what it will say"})
    with bench.lab.fault(method="InstantClone_Task", fault="SystemError", task=True, after=True):
        (outcome,) = bench.clone([request])
    assert not outcome.ok and not outcome.others
    assert outcome.vm == bench.vms()["clone-1"]["moid"]


@pytest.mark.parametrize("task", [False, True], ids=["call", "task"])
def test_a_clone_of_another_run_is_not_handed_out(bench: Bench, task: bool) -> None:
    """Its uuid is that of the container, and so the same in both runs."""
    (first,) = bench.clone([bench.request(0)])
    with bench.lab.fault(method="InstantClone_Task", fault="DuplicateName", task=task):
        (second,) = bench.clone([bench.request(0, bios_uuid=first.request.bios_uuid)])
    assert isinstance(second.error, InUse)
    assert "another run made it meanwhile. Run again" in second.error.message
    assert second.vm == "" and second.others


def test_what_is_not_done_at_the_deadline(bench: Bench) -> None:
    requests = [bench.request(number, source=bench.template.moids[0]) for number in range(3)]
    with bench.lab.fault(method="InstantClone_Task", task=True, delay_ms=2000, times=-1):
        outcomes = bench.clone(requests, seconds=0.3, per_source=2)
    late, _, unbegun = (outcome.error for outcome in outcomes)
    assert isinstance(late, TaskFailed)
    assert "still running at the deadline" in late.message
    assert isinstance(unbegun, TaskFailed)
    assert "its turn had not come at the deadline. Raise timeout" in unbegun.message
    assert len(bench.told) == 3
    wait_until_settled(bench)  # what was begun ends after us, and the next run finds it by its uuid
    assert set(bench.vms()) == {"clone-0", "clone-1"}
    assert all(find_by_uuid(bench.session, [request.bios_uuid])[request.bios_uuid] for request in requests[:2])


def wait_until_settled(bench: Bench) -> None:
    pause = threading.Event()
    deadline = Deadline(SECONDS)
    while bench.lab.state()["tasks_running"] and not deadline.passed:
        pause.wait(0.05)


# What passes -----------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["not heard", "answer lost"])
@pytest.mark.parametrize("fault", ["reset", "http503"])
def test_a_call_without_an_answer_makes_one_clone_all_the_same(bench: Bench, fault: str, after: bool) -> None:
    with bench.lab.fault(method="InstantClone_Task", fault=fault, after=after, new_name="clone-1"):
        outcomes = bench.clone(bench.requests(3))
    assert [outcome.error for outcome in outcomes] == [None] * 3
    assert [outcome.vm for outcome in outcomes] == [bench.vms()[f"clone-{number}"]["moid"] for number in range(3)]
    standing = Counter(vm["bios_uuid"] for vm in bench.lab.state()["vms"])
    assert [standing[outcome.request.bios_uuid] for outcome in outcomes] == [1, 1, 1]


def test_a_call_without_an_answer_does_not_take_another_vm_for_its_own(bench: Bench) -> None:
    (old,) = bench.clone([bench.request(0)])
    again = bench.request(0, bios_uuid=old.request.bios_uuid)
    with bench.lab.fault(method="InstantClone_Task", fault="reset", new_name="clone-0"):
        (outcome,) = bench.clone([again])
    assert isinstance(outcome.error, InUse)
    assert outcome.vm == "" and outcome.others


def test_a_source_that_is_busy_is_asked_again(bench: Bench) -> None:
    with bench.lab.fault(method="InstantClone_Task", fault="TaskInProgress", task=True, new_name="clone-1", times=2):
        outcomes = bench.clone(bench.requests(3))
    assert all(outcome.ok for outcome in outcomes)


def test_a_pause_that_ends_while_it_is_looked_at(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a request was lost between two looks at the clock."""
    asked: Counter[int] = Counter()

    class Ending(Deadline):
        @property
        def passed(self) -> bool:
            asked[id(self)] += 1
            return asked[id(self)] > 1

    pauses = []

    def pause_after(tries: int) -> Deadline:
        pauses.append(Ending(0.05 * tries))
        return pauses[-1]

    monkeypatch.setattr(clone, "pause_after", pause_after)
    with bench.lab.fault(method="InstantClone_Task", fault="TaskInProgress", task=True, new_name="clone-1", times=2):
        outcomes = bench.clone(bench.requests(3))
    assert all(outcome.ok for outcome in outcomes)
    assert len(pauses) == 2


def test_a_source_that_stays_busy_is_told_at_the_deadline(bench: Bench) -> None:
    with bench.lab.fault(method="InstantClone_Task", fault="TaskInProgress", task=True, times=-1):
        (outcome,) = bench.clone([bench.request(0)], seconds=0.6)
    assert isinstance(outcome.error, InUse)
    assert "another task works on it" in outcome.error.message


# What ends them all ------------------------------------------------------------------


def test_a_session_that_ended(bench: Bench) -> None:
    bench.lab.control("POST", "/sessions/expire")
    with pytest.raises(SessionLost):
        bench.clone(bench.requests(3))
    assert bench.vms() == {}


def test_a_vcenter_that_stays_away(bench: Bench) -> None:
    with bench.lab.fault(fault="http503", times=-1), pytest.raises(Unreachable):
        bench.clone(bench.requests(3))
    assert bench.vms() == {}


def test_nothing_to_do_costs_nothing(bench: Bench) -> None:
    bench.lab.reset_calls()
    assert bench.clone([]) == []
    assert bench.lab.calls() == {}


# The cost ------------------------------------------------------------------------------


def test_25_clones_cost_few_calls_beside_their_own(bench: Bench) -> None:
    requests = bench.requests(25)  # one source gets nine, and its cap is eight
    bench.lab.reset_calls()
    outcomes = bench.clone(requests)
    calls = bench.lab.calls()
    assert all(outcome.ok for outcome in outcomes)
    assert calls.pop("InstantClone_Task") == 25
    assert calls.pop("CreatePropertyCollector") == calls.pop("DestroyPropertyCollector") == 1
    assert calls.pop("CreateFilter") == 2  # for the first 24, and for the last one with the clones that stand
    assert calls.pop("WaitForUpdatesEx") <= 6
    assert calls == {}


# Full clones -----------------------------------------------------------------------------


def test_a_full_clone_of_a_vm_that_is_off(bench: Bench) -> None:
    bench.lab.control("POST", "/vms", {"name": "original", "folder": FOLDER})
    task = full_clone(
        bench.session,
        source=bench.vms()["original"]["moid"],
        name="copy",
        folder=bench.folder.moid,
        pool=bench.site.compute.pool,
        host=bench.site.compute.hosts[2],
        datastore=bench.site.datastore.moid,
    )
    state = wait_for_tasks(bench.session, {"copy": task}, deadline=Deadline(SECONDS))["copy"]
    copy = bench.vms()["copy"]
    assert state.result._moId == copy["moid"]
    assert copy["power"] == "poweredOff"
    assert copy["host"] == list(bench.template.vms)[2]
