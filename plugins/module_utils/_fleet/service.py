# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One service of a fleet: its plan carried out in the update's steps, and what becomes of an update that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import switch
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.apply import carry_out
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.build import Build
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.desired import Manner
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.part import Done, Part
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.roster import Roster
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.shelf import Shelf
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import (
    CREATE,
    RECREATE,
    REMOVE,
    Action,
    Plan,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.tally import Tally
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError, ContainerFailed
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet import rolling
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import FleetService, Rollback
from ansible_collections.bonneville.vsphere.plugins.module_utils._progress import silent
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.clone import Turns
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.shared import SharedWatch
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

DONE, PAUSED, ROLLED_BACK, FAILED = "done", "paused", "rolled back", "failed"


@dataclass(frozen=True, kw_only=True)
class Common:
    """What the services of a run share. ``folder`` is the fleet's, by moid; ``record`` notes that a job is done."""

    session: Session
    watch: SharedWatch
    turns: Turns
    tally: Tally
    roster: Roster | None
    shelf: Shelf
    manner: Manner
    datacenter: str
    folder: str
    record: Callable[[Action], None]


@dataclass(kw_only=True)
class Outcome:
    """What became of a service. ``undone`` are the containers to which nothing was done after all, by name."""

    done: Done = field(default_factory=Done)
    state: str = DONE
    why: str = ""
    undone: set[str] = field(default_factory=set)

    @property
    def ok(self) -> bool:
        return not self.done.errors


class ServiceRun:
    """One service on its way. It is carried out from one thread."""

    def __init__(
        self, common: Common, service: FleetService, actions: Sequence[Action], builds: Iterable[Build]
    ) -> None:
        self._common = common
        self._service = service
        self._actions = tuple(actions)
        self._builds = {build.final_name: build for build in builds}
        self._updates = rolling.is_update(self._actions)
        self._hold = self._updates and service.update.failure_action == rolling.ROLLBACK
        self._watch: Watch = common.watch.part()
        self._begun: set[str] = set()
        self._on_begun: Callable[[], None] = lambda: None
        self.outcome = Outcome()

    def run(self, on_begun: Callable[[], None]) -> bool:
        """Carry everything out; whether all is well. Failures stand in the outcome.

        Args:
            on_begun: called once all containers of a service that is not updated run or have ended.
        """
        self._on_begun = on_begun
        update, steps = self._service.update, rolling.batches(self._actions, self._service.update)
        for number, step in enumerate(steps):
            if number and update.delay:
                self._watch.until(lambda: False, Deadline(update.delay))
            self._carry_out(step)
            if self._updates and rolling.has_failed(self._actions, len(self._failed), update):
                if update.failure_action == rolling.ROLLBACK:
                    self._roll_back(steps[number + 1 :])
                    break
                if update.failure_action == rolling.PAUSE:
                    self._pause(steps[number + 1 :])
                    break
        else:
            self._finish()
        if not self.outcome.ok and self.outcome.state == DONE:
            self.outcome.state = FAILED
        return self.outcome.ok

    @property
    def _failed(self) -> dict[str, BonnevilleError]:
        """The errors of containers that were to be made."""
        return {name: error for name, error in self.outcome.done.errors.items() if name in self._builds}

    def _carry_out(self, step: Sequence[Action]) -> None:
        common = self._common
        for action in step:
            if action.kind == REMOVE and action.vm and action.vm.marks.ordinal in action.service.settled:
                common.record(action)
        part = Part(
            watch=self._watch,
            turns=common.turns,
            hold=self._hold,
            steady_seconds=self._service.update.monitor if self._updates else 0.0,
            on_begun=self._has_begun,
            roster=common.roster,
            tally=common.tally,
            shelf=common.shelf,
        )
        done = carry_out(
            common.session,
            Plan(actions=tuple(step)),
            builds=[build for action in step if (build := self._build(action))],
            folder=lambda: common.folder,
            datacenter=common.datacenter,
            manner=common.manner,
            progress=silent,
            part=part,
        )
        for action in step:
            _check_success(action, done)
        _merge(self.outcome.done, done)

    def _has_begun(self, name: str) -> None:
        """In an update the dependents wait for its end: it may still be taken back."""
        self._begun.add(name)
        if not self._updates and self._begun >= {action.name for action in self._actions if action.waits}:
            self._on_begun()

    def _finish(self) -> None:
        """The update went through, or its failures were few enough: what was held is switched."""
        if not self._hold:
            return
        good = [
            build for name, build in self._builds.items() if name not in self.outcome.done.errors and build.action.vm
        ]
        self._note(
            switch.commit(
                self._common.session, good, self.outcome.done.vms, watch=self._watch, roster=self._common.roster,
                seconds=self._common.manner.timeout,
            )
        )  # fmt: skip

    def _roll_back(self, left: Sequence[Sequence[Action]]) -> None:
        """All that was made goes, and all that it was to replace runs, as before."""
        outcome, causes = self.outcome, dict(self._failed)
        outcome.state, outcome.why = ROLLED_BACK, _in_words(causes)
        made = [build for name, build in self._builds.items() if name in outcome.done.vms and name not in causes]
        undone = {build.final_name for build in made} | {action.name for step in left for action in step}
        how = self._service.rollback or Rollback(parallelism=0)
        width = how.parallelism or max(1, len(made))
        errors: dict[str, BonnevilleError] = {}
        for start in range(0, len(made), width):
            if start and how.delay:
                self._watch.until(lambda: False, Deadline(how.delay))
            errors |= switch.undo(
                self._common.session, made[start : start + width], outcome.done.vms, watch=self._watch,
                roster=self._common.roster, shelf=self._common.shelf, start_first=how.order == rolling.START_FIRST,
                steady_seconds=how.monitor, seconds=self._common.manner.timeout,
            )  # fmt: skip
        own = switch.see_back(
            [self._builds[name] for name in causes], watch=self._watch, roster=self._common.roster,
            steady_seconds=how.monitor, seconds=self._common.manner.timeout,
        )  # fmt: skip
        for name, error in own.items():
            causes[name].add(f"and the old one did not stay well while a failed update was taken back: {error.why}")
        whole = "is" if not errors and not own else "is not all"
        for error in causes.values():
            error.add(f"so service '{self._service.name}' {whole} back to what ran before")
        for name, error in errors.items():
            error.add("while a failed update was taken back")
            outcome.done.errors.setdefault(name, error)
        outcome.undone |= (undone | causes.keys()) - errors.keys()
        self._stand_still(outcome.undone)

    def _pause(self, left: Sequence[Sequence[Action]]) -> None:
        """What is done stays, what is not is not begun; both are said."""
        outcome, causes = self.outcome, self._failed
        outcome.state, outcome.why = PAUSED, _in_words(causes)
        rest = sorted(action.name for step in left for action in step)
        replaced = sorted(
            name
            for name, build in self._builds.items()
            if build.action.vm and name in outcome.done.vms and name not in causes
        )
        words = (
            f"the update of service '{self._service.name}' pauses here: replaced are {', '.join(replaced) or 'none'}"
        )
        if rest:
            words += f", not yet {', '.join(rest)}"
        for error in causes.values():
            error.add(words)
        outcome.undone |= {*rest, *causes}
        self._stand_still(set(rest))

    def _stand_still(self, names: Iterable[str]) -> None:
        """These have the VM that they had, or none."""
        for name in names:
            self.outcome.done.vms.pop(name, None)
            build = self._builds.get(name)
            if build and build.action.vm:
                self.outcome.done.vms[name] = build.action.vm.moid

    def _build(self, action: Action) -> Build | None:
        return self._builds.get(action.identity.name) if action.kind in (CREATE, RECREATE) else None

    def _note(self, errors: Mapping[str, BonnevilleError]) -> None:
        for name, error in errors.items():
            self.outcome.done.errors.setdefault(name, error)


def _check_success(action: Action, done: Done) -> None:
    """A container that has to end well, and did not."""
    status = done.statuses.get(action.name)
    if not action.service.must_succeed or status is None or status.container is None or action.name in done.errors:
        return
    code = status.container.exit_code
    if status.phase == "exited" and code != 0:
        done.errors[action.name] = ContainerFailed(
            "The job failed",
            obj=action.name,
            why=f"its exit code is {code}, and other services wait for its success",
            next_step="See its output with container_vm_info and logs; the next run starts it again",
            details={"reason": {"code": "container_exited", "message": f"exited with code {code}"}},
        )


def _merge(into: Done, done: Done) -> None:
    into.vms |= done.vms
    into.seconds |= done.seconds
    into.statuses |= done.statuses
    into.errors = {**done.errors, **into.errors}


def _in_words(errors: Mapping[str, BonnevilleError]) -> str:
    return "; ".join(f"{name}: {errors[name].why}" for name in sorted(errors))
