"""A lease that lives in vSphere: one holder at a time, and nobody's death is for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import LeaseLost, Locked
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.folders import make_folder, subfolders
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lease import (
    LOCK,
    Sign,
    current_time,
    decode,
    held,
    me,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import ensure_folder, find_datacenter
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import wait_for_tasks

from tests.support.lab import Lab
from tests.support.vsphere import SECONDS, connected


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
