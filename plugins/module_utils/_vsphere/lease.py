# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lease in vSphere itself: who holds it may change what is in a folder, nobody else.

It is a folder ``_lock`` in that folder, which vCenter makes only once. In it is
a folder for each sign of life, whose name says until when the lease holds, by
vCenter's clock, since when, and who has it; and one that tells the holder's process.

A holder that dies leaves a lease. Where it ran, others see that its process is gone, and
take the lease at once; elsewhere it has to run out. (The holder's session tells
nothing: vCenter keeps that of a killed process for half an hour.) Either way, what the
dead one had begun at vCenter is awaited, so that it does not mix with what
comes next. A holder that is too late for its own next sign of life ends
before its lease does, and never takes it up again.
"""

from __future__ import annotations

import datetime
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    InUse,
    LeaseLost,
    Locked,
    NotFound,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere import process
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.collect import is_gone, read
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explaining
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.folders import make_folder, subfolders
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import moid_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim, vmodl
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import wait_for_tasks

LOCK = "_lock"
SECONDS = 60.0
_RENEWALS = 4  # signs of life in the time of one lease
_SAFE = 0.9  # of a lease's time; a holder that gave no sign of life by then ends
_LOOK = 2.0  # seconds after which a process of this machine is looked at again
_LONGEST = 30.0  # seconds that one wait stays open
_BEGUN = 60.0  # seconds in which what a dead holder had begun has to end
_LONGEST_NAME = 80  # of a folder, as vCenter has it
_STAMP = "%Y%m%dT%H%M%SZ"
_FOR_PEOPLE = "%Y-%m-%d %H:%M:%S UTC"


@dataclass(frozen=True, kw_only=True)
class Sign:
    """A sign of life of a lease's holder. Times are vCenter's."""

    until: datetime.datetime
    since: datetime.datetime
    holder: str

    def encode(self) -> str:
        """As a folder's name."""
        return f"{self.until.strftime(_STAMP)} {self.since.strftime(_STAMP)} {self.holder}"[:_LONGEST_NAME].rstrip()


def decode(name: str) -> Sign | None:
    """Read what ``encode`` wrote; None for a name of any other kind."""
    until, _unused, rest = name.partition(" ")
    since, _unused, holder = rest.partition(" ")
    try:
        return Sign(until=_moment(until), since=_moment(since), holder=holder)
    except ValueError:
        return None


def me(owner: str) -> str:
    """This run, for those who wait for it: where it runs, and whose it is."""
    return f"{owner or 'nobody in particular'} at {socket.gethostname().partition('.')[0]}, process {os.getpid()}"


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A lease that is held. ``folder`` is the locked folder's moid, ``moid`` that of the lock in it."""

    folder: str
    moid: str


@contextmanager
def held(
    session: Session,
    folder: Callable[[], str],
    *,
    holder: str,
    name: str,
    patience: float,
    on_lost: Callable[[], None],
    seconds: float,
    tell: Callable[[str], object] = lambda text: None,
) -> Iterator[Lease]:
    """Hold the lease of a folder for the time of the block, and give signs of life meanwhile.

    Args:
        folder: the folder's moid; called again when it went away while another one held its lease.
        holder: who we are, for the words of others.
        name: what is locked, for our own words.
        patience: how long to wait for another one's lease, in seconds.
        on_lost: called when the lease is lost, from another thread; what was begun has to end then.
        seconds: how long a sign of life counts.
        tell: is told who is waited for, and whose lease was taken over.

    Raises: Locked where somebody else holds it all the time; LeaseLost at the end of a block that lost it, however
    that ends.
    """
    keeper = _Keeper(session, holder=holder, name=name, seconds=seconds, on_lost=on_lost, tell=tell)
    lease = keeper.acquire(folder, Deadline(patience))
    try:
        yield lease
    finally:
        keeper.release()
        keeper.check()


def clear(session: Session, lock: str) -> None:
    """Remove a lock, by its moid, whose holder is known to have died, and that nobody has taken over.

    Meant for who has nothing to do, and so needs no lease. A lock whose holder may live stays.
    """
    names = list(_there(session, lock).values())
    last = _last(names)
    ran_out = last is not None and last.until < current_time(session)
    if ran_out or any(process.has_died(name) for name in names):
        with suppress(NotFound), explaining("Cannot remove a lease that was left behind"):
            session.managed("Folder", lock).Destroy_Task()


class _Keeper:
    """The state of one lease, from the first try to its end."""

    def __init__(
        self,
        session: Session,
        *,
        holder: str,
        name: str,
        seconds: float,
        on_lost: Callable[[], None],
        tell: Callable[[str], object],
    ) -> None:
        self._session = session
        self._holder = holder
        self._name = name
        self._seconds = seconds
        self._on_lost = on_lost
        self._tell = tell
        self._clock = _Clock(session)
        self._since = self._clock.now()
        self._lock = ""
        self._sign = ""
        self._signed = 0.0
        self._trouble = ""
        self._lost: BonnevilleError | None = None
        self._losing = threading.Lock()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._first_seen: dict[str, float] = {}  # locks without a sign of life, by moid
        self._broke = False  # a lease of a dead one

    def acquire(self, folder: Callable[[], str], deadline: Deadline) -> Lease:
        while True:
            where = folder()
            try:
                self._lock = make_folder(self._session, parent=where, name=LOCK)
            except InUse:
                self._wait_for_others(where, deadline)
            except NotFound as error:
                if not is_gone(error):
                    raise
            else:
                break
        self._since = self._clock.now()
        try:
            self._renew()
            if own := process.mine():
                make_folder(self._session, parent=self._lock, name=own)
            for work in (self._keep, self._guard):
                self._threads.append(threading.Thread(target=work, name="vsphere-lease", daemon=True))
                self._threads[-1].start()
            if self._broke:
                _await_begun(self._session)
        except BaseException:
            self.release()
            raise
        return Lease(folder=where, moid=self._lock)

    def release(self) -> None:
        """Give the lease back; a folder that is gone with its lock is fine. vCenter does it by itself from here on."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        with suppress(Exception):
            self._session.managed("Folder", self._lock).Destroy_Task()

    def check(self) -> None:
        if self._lost is not None:
            raise self._lost

    def _wait_for_others(self, where: str, deadline: Deadline) -> None:
        """Until the lease may be free; one that ran out is broken. Raises Locked when the patience has run out."""
        lock = next((moid for moid, name in _there(self._session, where).items() if name == LOCK), "")
        if not lock:
            return
        names = list(_there(self._session, lock).values())
        last = _last(names)
        own = [name for name in names if process.is_here(name)]
        if last is None:
            # It was made a moment ago, or its maker died in that moment.
            seen = self._first_seen.setdefault(lock, time.monotonic())
            left = seen + self._seconds - time.monotonic()
        else:
            left = (last.until - self._clock.now()).total_seconds()

        def dead() -> bool:
            return any(process.has_died(name) for name in own)

        if left <= 0 or dead():
            self._break(lock, last)
            return
        if deadline.passed:
            raise _locked(self._name, last)
        self._tell(f"{self._name}: waiting for {last.holder if last else 'another run'}")
        # A second more, since the stamps are whole seconds.
        _until_gone(self._session, lock, deadline.sooner(left + 1.0), look=dead if own else None)

    def _break(self, lock: str, last: Sign | None) -> None:
        """By its id, so that a lock which somebody else made meanwhile stays."""
        self._broke = True
        self._tell(f"{self._name}: {last.holder if last else 'another run'} has died, and its work is taken over")
        with suppress(NotFound), explaining("Cannot break the lease of", obj=self._name):
            self._session.managed("Folder", lock).Destroy_Task()
        _until_gone(self._session, lock, Deadline(10.0))

    def _renew(self) -> None:
        before, began = self._sign, _now()
        until = self._clock.now() + datetime.timedelta(seconds=self._seconds)
        sign = Sign(until=until, since=self._since, holder=self._holder)
        self._sign = make_folder(self._session, parent=self._lock, name=sign.encode())
        self._signed = began
        if before:
            with suppress(Exception):
                self._session.managed("Folder", before).Destroy_Task()

    def _keep(self) -> None:
        """Give signs of life. Failures may pass until the time is up."""
        while not self._over.wait(self._seconds / _RENEWALS) and self._lost is None:
            try:
                self._renew()
            except BonnevilleError as error:
                if is_gone(error):
                    self._lose("somebody removed it")
                else:
                    self._trouble = f"; the last failed: {error.why}"

    def _guard(self) -> None:
        """End the run in time where no sign of life comes through, even one that hangs at vCenter."""
        while True:
            left = self._signed + self._seconds * _SAFE - _now()
            if left <= 0:
                self._lose(f"no sign of life reached vCenter in time{self._trouble}")
                return
            if self._over.wait(left) or self._lost is not None:
                return

    def _lose(self, why: str) -> None:
        with self._losing:
            if self._lost is not None or self._over.is_set():
                return
            self._lost = LeaseLost(
                "Lost the lease of", obj=self._name, why=why, next_step="Run again; what was done until then stands"
            )  # fmt: skip
        self._on_lost()


def _now() -> float:
    """Seconds by a clock that nobody sets, and that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class _Clock:
    """vCenter's clock, read once; from then on ours, that nobody sets, tells how it goes on."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._read: tuple[datetime.datetime, float] | None = None

    def now(self) -> datetime.datetime:
        if self._read is None:
            self._read = current_time(self._session), _now()
        then, at = self._read
        return then + datetime.timedelta(seconds=_now() - at)


def current_time(session: Session) -> datetime.datetime:
    """What time it is at vCenter."""
    with explaining("Cannot read vCenter's clock"):
        found: datetime.datetime = vim.ServiceInstance("ServiceInstance", session.stub).CurrentTime()
    return found.astimezone(datetime.UTC)


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, _STAMP).replace(tzinfo=datetime.UTC)


def _last(names: Iterable[str]) -> Sign | None:
    """The last sign of life among folders' names."""
    signs = [sign for name in names if (sign := decode(name))]
    return max(signs, key=lambda one: one.until, default=None)


def _there(session: Session, moid: str) -> dict[str, str]:
    try:
        return subfolders(session, moid)
    except NotFound as error:
        if not is_gone(error):
            raise
        return {}


def _locked(name: str, last: Sign | None) -> Locked:
    if last is None:
        return Locked(
            "Another run is working on", obj=name, why="it began a moment ago, or died there",
            next_step="Run again, or raise lock_timeout",
        )  # fmt: skip
    return Locked(
        "Another run is working on",
        obj=name,
        why=f"{last.holder} has held its lease since {last.since.strftime(_FOR_PEOPLE)}, "
        f"now until {last.until.strftime(_FOR_PEOPLE)}",
        next_step="Run again when it is done, or raise lock_timeout",
        details={
            "holder": last.holder,
            "since": last.since.strftime(_STAMP),
            "until": last.until.strftime(_STAMP),
        },
    )


def _await_begun(session: Session) -> None:
    """Until the tasks have ended that our user has under way at vCenter: some may be of a run that died."""
    start = [(session.content.taskManager, ("recent_task",))]
    properties = {"Task": ("info.state", "info.reason")}
    found = read(session, start=start, properties=properties, what="Cannot read vCenter's tasks", gone_ok=True)
    tasks = {
        one.moid: one.managed
        for one in found
        if one.get("info.state") in ("queued", "running")
        and getattr(one.get("info.reason"), "userName", "") == session.user_name
    }
    wait_for_tasks(session, tasks, deadline=Deadline(_BEGUN))


def _until_gone(session: Session, folder: str, deadline: Deadline, *, look: Callable[[], bool] | None = None) -> None:
    """Wait until a folder is removed, or the deadline passed: told by vCenter, not asked for.

    Args:
        look: is asked every now and then whether there is anything to wait for at all.
    """
    query = vmodl.query.PropertyCollector
    spec = query.FilterSpec(
        propSet=[query.PropertySpec(type=vim.Folder, pathSet=["name"], all=False)],
        objectSet=[query.ObjectSpec(obj=session.managed("Folder", folder))],
        reportMissingObjectsInResults=True,
    )
    with session.waiting, explaining("Cannot wait for the lease"):
        collector = session.content.propertyCollector.CreatePropertyCollector()
        try:
            collector.CreateFilter(spec, False)
            version = ""
            while not deadline.passed and not (look and look()):
                seconds = max(1, int(min(_LOOK if look else _LONGEST, deadline.remaining())))
                update = collector.WaitForUpdatesEx(version, query.WaitOptions(maxWaitSeconds=seconds))
                version = update.version if update else version
                if update and any(_says_gone(filtered, folder) for filtered in update.filterSet or ()):
                    return
        finally:
            with suppress(Exception):
                collector.DestroyPropertyCollector()


def _says_gone(filtered: Any, folder: str) -> bool:
    missing = any(moid_of(one.obj) == folder for one in filtered.missingSet or ())
    return missing or any(one.kind == "leave" and moid_of(one.obj) == folder for one in filtered.objectSet or ())
