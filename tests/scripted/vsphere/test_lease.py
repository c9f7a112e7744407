"""A lease that lives in vSphere: one holder at a time, and nobody's death is for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import LeaseLost, Locked
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere import process
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.folders import make_folder, subfolders
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lease import (
    LOCK,
    Sign,
    clear,
    current_time,
    decode,
    held,
    me,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import ensure_folder, find_datacenter
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.reconfigure import Change, config_spec
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import wait_for_tasks

from tests.support.lab import Lab
from tests.support.modules import ansible_environment
from tests.support.vsphere import SECONDS, FrozenTemplate, connected


@pytest.fixture
def folder(session: Session, request: pytest.FixtureRequest) -> Callable[[], str]:
    """Finds or makes this test's folder."""
    path = f"lease/{request.node.name[:50]}"
    return lambda: ensure_folder(session, datacenter=find_datacenter(session), path=path).moid


def hold(session: Session, folder: Callable[[], str], *, holder: str = "first", patience: float = 0.0, **more: object):
    options = {"name": "shop", "on_lost": lambda: None, "seconds": SECONDS, **more}
    return held(session, folder, holder=holder, patience=patience, **options)  # type: ignore[arg-type]


def gone(session: Session, where: str) -> None:
    """The lock goes by a task of vCenter's, which may end after the block."""
    deadline = Deadline(SECONDS)
    while subfolders(session, where) and not deadline.passed:
        pass
    assert not subfolders(session, where)


def test_a_second_one_is_refused_and_told_who_has_it(session: Session, folder: Callable[[], str]) -> None:
    with hold(session, folder, holder=me("team")):
        with pytest.raises(Locked) as refused, hold(session, folder, holder="second"):
            pass
        assert "team at " in refused.value.message and "since" in refused.value.message
        assert refused.value.details["holder"].startswith("team at ")
    gone(session, folder())


def test_a_second_one_waits_and_gets_it_as_soon_as_it_is_free(
    session: Session, scripted_lab: Lab, folder: Callable[[], str]
) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with connected(scripted_lab) as own:
            waiting.set()
            with hold(own, folder, holder="second", patience=SECONDS):
                order.append("second")

    with hold(session, folder):
        thread = threading.Thread(target=second)
        thread.start()
        waiting.wait(SECONDS)
        order.append("first")
    thread.join(SECONDS)
    assert order == ["first", "second"]
    gone(session, folder())


def test_a_lease_whose_holder_died_runs_out(session: Session, folder: Callable[[], str]) -> None:
    lock = make_folder(session, parent=folder(), name=LOCK)
    now = current_time(session)
    make_folder(session, parent=lock, name=Sign(until=now, since=now, holder="the dead one").encode())
    with hold(session, folder, patience=SECONDS):
        assert len(subfolders(session, folder())) == 1
    gone(session, folder())


def test_a_holder_that_died_before_its_first_sign_of_life_is_waited_for_no_longer_than_a_lease(
    session: Session, folder: Callable[[], str]
) -> None:
    make_folder(session, parent=folder(), name=LOCK)
    with hold(session, folder, patience=SECONDS, seconds=1.0):
        pass
    gone(session, folder())


def killed(lab: Lab, folder: str, *, elsewhere: bool = False) -> None:
    """A run in a process of its own that takes the lease, and is killed with it."""
    environment = {**os.environ, **lab.environment, **ansible_environment(), "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [json.dumps(lab.connection), folder, "elsewhere" if elsewhere else "here"]
    child = subprocess.Popen([sys.executable, "-c", _HOLDS, *arguments], stdout=subprocess.PIPE, env=environment)
    with child:
        assert child.stdout and child.stdout.readline() == b"held\n"
        child.kill()


_HOLDS = """
import json, sys, time
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere import lease, process
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Connection, open_session
if sys.argv[3] == "elsewhere":
    process._here = lambda: "0123456789abcdef"
options = {name.removeprefix("vcenter_"): value for name, value in json.loads(sys.argv[1]).items()}
with open_session(Connection(**options)) as session, lease.held(
    session, lambda: sys.argv[2], holder=lease.me("the dead one"), name="shop", patience=0.0,
    on_lost=lambda: None, seconds=3600.0,
):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_lease_of_a_process_that_was_killed_on_this_machine_is_taken_over_at_once(
    session: Session, scripted_lab: Lab, folder: Callable[[], str]
) -> None:
    killed(scripted_lab, folder())
    told: list[str] = []
    with hold(session, folder, tell=told.append):
        pass
    assert len(told) == 1 and told[0].startswith("shop: the dead one at ") and "has died" in told[0]
    gone(session, folder())


def test_one_with_nothing_to_do_clears_only_what_a_dead_one_left(
    session: Session, scripted_lab: Lab, folder: Callable[[], str]
) -> None:
    with hold(session, folder) as one:
        clear(session, one.moid)
        assert subfolders(session, folder())
    gone(session, folder())
    for elsewhere in (False, True):
        killed(scripted_lab, folder(), elsewhere=elsewhere)
        (lock,) = subfolders(session, folder())
        clear(session, lock)
        if elsewhere:
            assert subfolders(session, folder()), "it may live"
            now = current_time(session)
            (sign,) = (moid for moid, name in subfolders(session, lock).items() if decode(name))
            old = Sign(until=now - timedelta(seconds=2), since=now, holder="x").encode()
            task = session.managed("Folder", sign).Rename_Task(old)
            assert wait_for_tasks(session, {"sign": task}, deadline=Deadline(SECONDS))["sign"].ok
            clear(session, lock)
        gone(session, folder())


def test_one_that_dies_while_it_is_waited_for_is_noticed(
    session: Session, scripted_lab: Lab, folder: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(scripted_lab, folder())
    looks = iter([False, False])
    died = process.has_died
    monkeypatch.setattr(process, "has_died", lambda text: next(looks, True) and died(text))
    told: list[str] = []
    with hold(session, folder, patience=SECONDS, tell=told.append):
        pass
    assert [text.partition(" at ")[0] for text in told] == ["shop: waiting for the dead one", "shop: the dead one"]
    gone(session, folder())


def test_the_lease_of_a_process_elsewhere_has_to_run_out(
    session: Session, scripted_lab: Lab, folder: Callable[[], str]
) -> None:
    killed(scripted_lab, folder(), elsewhere=True)
    with pytest.raises(Locked, match="the dead one at "), hold(session, folder):
        pass
    (lock,) = subfolders(session, folder())
    task = session.managed("Folder", lock).Destroy_Task()
    assert wait_for_tasks(session, {"lock": task}, deadline=Deadline(SECONDS))["lock"].ok


def test_what_a_dead_one_had_begun_is_awaited(
    session: Session, scripted_lab: Lab, folder: Callable[[], str], frozen_template: FrozenTemplate
) -> None:
    killed(scripted_lab, folder())
    with scripted_lab.fault(method="ReconfigVM_Task", task=True, delay_ms=1500):
        vm = session.managed("VirtualMachine", frozen_template.moids[0])
        task = vm.ReconfigVM_Task(config_spec(Change(annotation="begun by the dead one")))
        with hold(session, folder):
            assert task.info.state == "success", "it was still under way when the lease was given"
    gone(session, folder())


def test_a_sign_of_life_that_hangs_ends_the_run_before_its_lease_does(
    session: Session, scripted_lab: Lab, folder: Callable[[], str]
) -> None:
    lost = threading.Event()
    with (
        pytest.raises(LeaseLost, match="no sign of life reached vCenter in time"),
        hold(session, folder, seconds=2.0, on_lost=lost.set),
        scripted_lab.fault(method="CreateFolder", delay_ms=4000, times=-1),
    ):
        assert lost.wait(SECONDS)
    gone(session, folder())


def test_it_is_renewed_while_it_is_held(session: Session, folder: Callable[[], str]) -> None:
    with hold(session, folder, seconds=1.5) as lease:
        first = [decode(name) for name in subfolders(session, lease.moid).values()]
        assert not threading.Event().wait(2.0)
        assert {sign.until for sign in first if sign} != {
            sign.until for name in subfolders(session, lease.moid).values() if (sign := decode(name))
        }
        with pytest.raises(Locked), hold(session, folder, holder="second"):
            pass


def test_a_lease_that_somebody_removed_ends_the_run(session: Session, folder: Callable[[], str]) -> None:
    lost = threading.Event()
    with (  # noqa: PT012 - the lease is lost inside of the block
        pytest.raises(LeaseLost, match="somebody removed it"),
        hold(session, folder, seconds=0.9, on_lost=lost.set) as one,
    ):
        task = session.managed("Folder", one.moid).Destroy_Task()
        assert wait_for_tasks(session, {"lock": task}, deadline=Deadline(SECONDS))["lock"].ok
        assert lost.wait(SECONDS)


def test_signs_of_life_read_as_they_were_written_and_fit_a_name() -> None:
    assert decode("photos") is None
    assert decode("20260230T000000Z 20261124T000000Z x") is None
    with_long_holder = Sign(
        until=_at("20261124T120200Z"), since=_at("20261124T120000Z"), holder="somebody with a very long name " * 5
    )
    assert len(with_long_holder.encode()) <= 80
    read = decode(with_long_holder.encode())
    assert read and (read.until, read.since) == (with_long_holder.until, with_long_holder.since)


def _at(stamp: str):
    sign = decode(f"{stamp} {stamp} x")
    assert sign
    return sign.until
