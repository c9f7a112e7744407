# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for tasks and VMs: vCenter tells what changes, of all of them in one call.

A property collector of our own, unless the session has no one else who waits,
so that no one else's filters are in the way.
What is added is told to vCenter by the next wait, in one filter for all that
came since the wait before: to follow 25 clones costs what one costs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, TypeVar

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError, TaskFailed
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explain, explaining
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import moid_of, options
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim, vmodl
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

K = TypeVar("K", bound=Hashable)

_LONGEST = 30  # seconds that one call stays open; proxies cut longer ones
# Seconds that changes may gather before a wait: for each thing followed, for all, and at the start of something new.
_PAUSE_PER_OBJECT = 0.008
_LONGEST_PAUSE = 0.25
_FIRST_PAUSE = 0.025
_WHAT = "Cannot wait for vCenter"

_TASK_PROPERTIES = ("info.state", "info.error", "info.result")
_VM_PROPERTIES = (
    "guest.ipAddress",
    "guest.toolsRunningStatus",
    "runtime.host",
    "runtime.instantCloneFrozen",
    "runtime.powerState",
)


@dataclass(frozen=True, kw_only=True)
class TaskState:
    """A task as last heard of. ``state``: ``queued``, ``running``, ``success``, ``error``; empty before the first word.

    ``result`` is what the task made, for a clone the managed VM; ``gone``
    means that vCenter has forgotten a task that had not ended.
    """

    moid: str
    state: str = ""
    result: Any = field(default=None, repr=False)
    fault: Any = field(default=None, repr=False)
    gone: bool = False

    @property
    def done(self) -> bool:
        return self.state in ("success", "error") or self.gone

    @property
    def ok(self) -> bool:
        return self.state == "success"

    def error(self, what: str, *, obj: str = "", next_step: str = "") -> BonnevilleError:
        """Why the task did not succeed, for a task that is not ``ok``."""
        if self.fault is not None:
            return explain(self.fault, what=what, obj=obj, next_step=next_step)
        if self.gone:
            why = "vCenter has forgotten the task, so its end is not known"
        elif self.state == "error":
            why = "vCenter gives no reason"
        else:
            why = f"the task was still {self.state or 'unheard of'} at the deadline"
        return TaskFailed(
            what, obj=obj, why=why, next_step=next_step or "Look at the task in vCenter, then run again",
            details={"task": self.moid, "task_state": self.state},
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class VmState:
    """A VM as last heard of. ``extra_config``: the watched keys that have a value; ``gone``: it was destroyed."""

    moid: str
    power: str = ""
    frozen: bool = False
    host: str = ""
    ip: str = ""
    tools_running: bool = False
    extra_config: Mapping[str, str] = field(default_factory=dict, repr=False)
    gone: bool = False


class Watch:
    """Follow tasks and VMs; a context manager that leaves nothing at vCenter.

    Args:
        keys: the extraConfig keys that are followed in every VM.
        until_logout: the session ends soon after, and takes what is at vCenter along. So the session's own
            collector does, which has no filters of others: that saves the calls that make and destroy one.

    ``tasks`` and ``vms`` hold the last state of everything that was ever
    added, by moid; what was dropped keeps its last state.
    """

    def __init__(self, session: Session, *, keys: Sequence[str] = (), until_logout: bool = False) -> None:
        self.session = session
        self.keys = tuple(keys)
        self._until_logout = until_logout
        self.tasks: dict[str, TaskState] = {}
        self.vms: dict[str, VmState] = {}
        self.calls = 0  # waits made, for tests and timings
        self._followed: dict[str, float] = {}  # and since when
        self._new: dict[str, Any] = {}  # followed, and not in a filter yet
        self._version = ""
        self._cancelled = False  # the last wait was, by someone else
        self._collector: Any = None

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The session's end would take it along with its filters; a long run must not collect them, though.
        if self._collector is not None and not self._until_logout:
            with suppress(Exception):
                self._collector.DestroyPropertyCollector()
        self._collector = None

    def add(self, *, tasks: Iterable[Any] = (), vms: Iterable[str] = ()) -> None:
        """Follow tasks (managed objects) and VMs (moids) from now on. No call is made before the next wait."""
        now = time.monotonic()
        for moid in vms:
            if moid not in self._followed:
                self.vms[moid] = VmState(moid=moid)
                self._new[moid] = self.session.managed("VirtualMachine", moid)
                self._followed[moid] = now
        for task in tasks:
            if task._moId not in self._followed:
                self.tasks[task._moId] = TaskState(moid=task._moId)
                self._new[task._moId] = task
                self._followed[task._moId] = now

    def drop(self, *, tasks: Iterable[str] = (), vms: Iterable[str] = ()) -> None:
        """Follow these no longer, by moid: what vCenter still says of them is not listened to."""
        for moid in (*tasks, *vms):
            self._followed.pop(moid, None)
            self._new.pop(moid, None)

    def exchange(
        self,
        *,
        tasks: Iterable[Any] = (),
        vms: Iterable[str] = (),
        drop_tasks: Iterable[str] = (),
        drop_vms: Iterable[str] = (),
    ) -> None:
        """Add and drop in one go."""
        self.drop(tasks=drop_tasks, vms=drop_vms)
        self.add(tasks=tasks, vms=vms)

    def wait(self, deadline: Deadline) -> frozenset[str]:
        """Block until something changed; the moids of what did, empty only at the deadline.

        A deadline that has passed still lets what is known by now be taken in.
        """
        changed: set[str] = set()
        while True:
            update = self._next(deadline)
            if update is None:
                if changed or deadline.passed:
                    return frozenset(changed)
                continue
            self._version = update.version
            for filtered in update.filterSet or ():
                changed.update(self._take(one) for one in filtered.objectSet or ())
                changed.update(self._forget(missing.obj) for missing in filtered.missingSet or ())
            changed &= self._followed.keys()
            if changed and not update.truncated:
                return frozenset(changed)

    def until(self, predicate: Callable[[], bool], deadline: Deadline) -> bool:
        """Wait until ``predicate`` holds; whether it does at the end."""
        while not predicate():
            self.pause(deadline)
            if not self.wait(deadline):
                return predicate()
        return True

    def pause(self, deadline: Deadline) -> None:
        """Let changes gather before the next wait: 8 ms for each thing followed, a quarter of a second at most.

        What goes fast is not made to wait for that: a pause is at most half as
        long as the oldest task, or without one the last that was added, has been
        followed, or 25 ms. So the waits for long work are few, and short work is
        hardly longer.
        """
        since = [began for moid, began in self._followed.items() if moid in self.tasks and not self.tasks[moid].done]
        oldest = min(since, default=max(self._followed.values(), default=0.0))
        longest = max(_FIRST_PAUSE, (time.monotonic() - oldest) / 2)
        time.sleep(min(_LONGEST_PAUSE, longest, _PAUSE_PER_OBJECT * len(self._followed), deadline.remaining()))

    def _filter(self) -> Any:
        """One filter over all that was added since the last one. It is not refused for what is gone by now."""
        query = vmodl.query.PropertyCollector
        keyed = [f'config.extraConfig["{key}"]' for key in self.keys]
        return query.FilterSpec(
            propSet=[
                query.PropertySpec(type=vim.Task, pathSet=list(_TASK_PROPERTIES), all=False),
                query.PropertySpec(type=vim.VirtualMachine, pathSet=[*_VM_PROPERTIES, *keyed], all=False),
            ],
            objectSet=[query.ObjectSpec(obj=managed) for managed in self._new.values()],
            reportMissingObjectsInResults=True,
        )

    def _next(self, deadline: Deadline) -> Any:
        longest = min(_LONGEST, self.session.connection.call_timeout / 2)
        seconds = max(1, math.ceil(min(longest, deadline.remaining())))
        wait = vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=0 if deadline.passed else seconds)
        with self.session.waiting, explaining(_WHAT):
            if self._collector is None:
                own = self.session.content.propertyCollector
                self._collector = own if self._until_logout else own.CreatePropertyCollector()
            if self._new:
                self._collector.CreateFilter(self._filter(), False)
                self._new = {}
            self.calls += 1
            try:
                update = self._collector.WaitForUpdatesEx(self._version, wait)
                self._cancelled = False
                return update
            except vmodl.query.InvalidCollectorVersion:
                # An answer was lost on its way, and with it what had changed: everything is told anew.
                self._version = ""
                return None
            except vmodl.fault.RequestCanceled:
                # So ends a wait whose session was ended. What is asked next is told so.
                if self._cancelled:
                    raise
                self._cancelled = True
                return None

    def _take(self, one: Any) -> str:
        moid = moid_of(one.obj)
        if one.kind == "leave":
            return self._forget(one.obj)
        anew, changes = one.kind == "enter", one.changeSet or ()
        if moid not in self._followed:
            return moid
        if moid in self.tasks:
            self.tasks[moid] = task_after(TaskState(moid=moid) if anew else self.tasks[moid], changes)
        else:
            self.vms[moid] = vm_after(VmState(moid=moid) if anew else self.vms[moid], changes, self.keys)
        return moid

    def _forget(self, managed: Any) -> str:
        """Something is there no longer: vCenter forgets tasks some time after their end, and VMs are destroyed."""
        moid = moid_of(managed)
        if moid not in self._followed:
            return moid
        if moid in self.vms:
            self.vms[moid] = replace(self.vms[moid], gone=True)
        elif not self.tasks[moid].done:
            self.tasks[moid] = replace(self.tasks[moid], gone=True)
        return moid


def task_after(state: TaskState, changes: Iterable[Any]) -> TaskState:
    """A task's state with the changes taken in."""
    names = {"info.state": "state", "info.error": "fault", "info.result": "result"}
    taken: dict[str, Any] = {}
    for change in changes:
        if change.name in names:
            taken[names[change.name]] = change.val
    if "state" in taken:
        taken["state"] = str(taken["state"] or "")
    return replace(state, **taken)


def vm_after(state: VmState, changes: Iterable[Any], keys: Sequence[str]) -> VmState:
    """A VM's state with the changes taken in.

    extraConfig comes key by key or as a whole: vCenter does the one or the
    other, depending on who changed it. A whole list that lacks a key means
    that the key is gone.
    """
    taken: dict[str, Any] = {}
    extra = dict(state.extra_config)
    for change in changes:
        value = change.val
        if change.name == "runtime.powerState":
            taken["power"] = str(value or "")
        elif change.name == "runtime.instantCloneFrozen":
            taken["frozen"] = bool(value)
        elif change.name == "runtime.host":
            taken["host"] = moid_of(value)
        elif change.name == "guest.ipAddress":
            taken["ip"] = str(value or "")
        elif change.name == "guest.toolsRunningStatus":
            taken["tools_running"] = value == "guestToolsRunning"
        elif change.name == "config.extraConfig":
            extra = {key: text for key, text in options(value).items() if key in keys}
        elif change.name.startswith('config.extraConfig["'):
            key = change.name.partition('"')[2].rpartition('"')[0]
            # The option itself, or only its value where the path goes one further.
            text = getattr(value, "value", value)
            extra[key] = "" if text is None or change.op in ("remove", "indirectRemove") else str(text)
    return replace(state, **taken, extra_config={key: text for key, text in extra.items() if text and key in keys})


def wait_for_tasks(
    session: Session, tasks: Mapping[K, Any], *, deadline: Deadline, watch: Watch | None = None
) -> dict[K, TaskState]:
    """Wait until all tasks have ended or the deadline passed; each one's last state, by the caller's key."""
    if not tasks:
        return {}
    if watch is None:
        with Watch(session) as own:
            return wait_for_tasks(session, tasks, deadline=deadline, watch=own)
    watch.add(tasks=tasks.values())
    moids = {key: moid_of(task) for key, task in tasks.items()}
    watch.until(lambda: all(watch.tasks[moid].done for moid in moids.values()), deadline)
    watch.drop(tasks=[moid for moid in moids.values() if watch.tasks[moid].done])
    return {key: watch.tasks[moid] for key, moid in moids.items()}
