# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the work on many VMs side by side in one thread, over one Watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    GuestSilent,
    TemplateUnusable,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.waits import (
    Awaited,
    Flow,
    OthersDid,
    Pause,
    TaskEnds,
    VmShows,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import VmState, Watch

# What a flow may still take to clean up behind itself after its time ended.
_CLEANUP_SECONDS = 30.0
_NOTHING = object()


@dataclass
class _Lane:
    """One flow and what it waits for. ``grace``: what it still has after the run's time ended, to clean up."""

    flow: Flow
    awaited: Awaited | None = None
    limit: Deadline = field(default_factory=lambda: Deadline(0))
    over: bool = False
    grace: Deadline | None = None
    error: BonnevilleError | None = None


def run(session: Session, flows: Mapping[str, Flow], *, deadline: Deadline) -> dict[str, BonnevilleError]:
    """Run all flows to their ends; the errors of those that failed, by their names. One failure ends no other flow."""
    lanes = {name: _Lane(flow=flow) for name, flow in flows.items()}
    with Watch(session, keys=(protocol.KEY_STATUS, protocol.KEY_KEY)) as watch:
        driver = _Driver(watch=watch, deadline=deadline)
        for lane in lanes.values():
            driver.advance(lane)
        while any(not lane.over for lane in lanes.values()):
            while any(driver.look(lane) for lane in lanes.values() if not lane.over):
                pass
            driver.wait([lane for lane in lanes.values() if not lane.over])
    return {name: lane.error for name, lane in lanes.items() if lane.error}


class _Driver:
    def __init__(self, *, watch: Watch, deadline: Deadline) -> None:
        self._watch = watch
        self._deadline = deadline
        self._new_tasks: list[Any] = []
        self._new_vms: list[str] = []
        self._old_tasks: list[str] = []

    def advance(self, lane: _Lane, value: Any = None, error: BonnevilleError | None = None) -> None:
        """Let a flow go on to what it waits for next, or to its end."""
        try:
            if error is None:
                lane.awaited = lane.flow.send(value)
            else:
                lane.awaited = lane.flow.throw(error)
        except StopIteration:
            lane.over, lane.awaited = True, None
            return
        except BonnevilleError as raised:
            lane.over, lane.awaited, lane.error = True, None, raised
            return
        if self._deadline.passed:
            lane.grace = lane.grace or Deadline(_CLEANUP_SECONDS)
        lane.limit = lane.grace or self._deadline
        if isinstance(lane.awaited, TaskEnds):
            self._new_tasks.append(lane.awaited.task)
        elif isinstance(lane.awaited, VmShows):
            self._new_vms.append(lane.awaited.moid)
            lane.limit = lane.limit.sooner(lane.awaited.seconds)
        elif isinstance(lane.awaited, Pause):
            lane.limit = lane.awaited.until

    def look(self, lane: _Lane) -> bool:
        """Whether a flow's wait is over; then it went on."""
        try:
            value = self._found(lane.awaited)
        except BonnevilleError as error:
            self.advance(lane, error=error)
            return True
        if value is _NOTHING:
            if not lane.limit.passed or isinstance(lane.awaited, OthersDid | Pause):
                return False
            self.advance(lane, error=self._late(lane.awaited))
        else:
            self.advance(lane, value)
        return True

    def wait(self, lanes: list[_Lane]) -> None:
        """Until something changes or the next limit passes."""
        timed = [lane for lane in lanes if not isinstance(lane.awaited, OthersDid)]
        if not timed:
            if lanes:
                raise AssertionError("all that is left waits for each other")
            return
        self._watch.exchange(tasks=self._new_tasks, vms=self._new_vms, drop_tasks=self._old_tasks)
        self._new_tasks, self._new_vms, self._old_tasks = [], [], []
        nearest = min(timed, key=lambda lane: lane.limit.remaining()).limit
        self._watch.wait(nearest)

    def _found(self, awaited: Awaited | None) -> Any:
        if isinstance(awaited, TaskEnds):
            state = self._watch.tasks.get(awaited.task._moId)
            if state is None or not state.done:
                return _NOTHING
            self._old_tasks.append(state.moid)
            if not state.ok:
                raise state.error(awaited.what, obj=awaited.obj)
            return state.result
        if isinstance(awaited, VmShows):
            seen = self._watch.vms.get(awaited.moid)
            if seen is None or not (seen.power or seen.gone):
                return _NOTHING
            if seen.gone:
                raise TemplateUnusable(
                    "Lost the template VM",
                    obj=awaited.name,
                    why="someone removed it meanwhile",
                    next_step="Run again",
                )
            found = awaited.find(seen)
            return _NOTHING if found is None else found
        if isinstance(awaited, Pause):
            return None if awaited.until.passed else _NOTHING
        if not isinstance(awaited, OthersDid):
            raise AssertionError("nothing else is awaited here")
        return awaited.find() or _NOTHING

    def _late(self, awaited: Awaited | None) -> BonnevilleError:
        if isinstance(awaited, TaskEnds):
            return self._watch.tasks[awaited.task._moId].error(awaited.what, obj=awaited.obj)
        if not isinstance(awaited, VmShows):
            raise AssertionError("nothing else is awaited here")
        last = _last_words(self._watch.vms.get(awaited.moid))
        return GuestSilent(
            "Gave up on the template VM",
            obj=awaited.name,
            why=f"{awaited.seconds:.0f} s were not enough for {awaited.awaited}; last seen: {last}",
            next_step="Look at its console in vCenter, or raise timeout, then run again",
            details={"vm": awaited.name, "last_seen": last},
        )


def _last_words(state: VmState | None) -> str:
    if state is None:
        return "nothing"
    text = state.extra_config.get(protocol.KEY_STATUS, "")
    try:
        status = protocol.Status.decode(text) if text else None
    except protocol.ProtocolError as error:
        return f"{state.power}, its agent said something that is no status ({error})"
    if status is None:
        return f"{state.power}, its agent said nothing"
    reason = f" ({status.reason.message})" if status.reason else ""
    return f"{state.power}, agent {status.phase}{reason}, nonce {status.nonce}"
