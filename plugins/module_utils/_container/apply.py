# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carrying a plan out: all clones at once, one wait for tasks and guests, and nothing half-done behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import back, follow, power
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import OFF, ON, ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.build import Build, annotation
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.desired import REMOVE as REMOVE_FAILED
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.desired import Manner
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.discovery import Keeper
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.follow import Follow, follow_all
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.logs import last_lines
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.part import Done, Part, goal_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.shelf import Shelf
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import (
    ADOPT,
    CREATE,
    MOVE,
    RECREATE,
    REMOVE,
    RENAME,
    START,
    STOP,
    STOPPED,
    UNCHANGED,
    Action,
    Plan,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.tally import Count, Tally
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.wish import Stock
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._progress import Progress
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.clone import CloneOutcome, instant_clone
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import read_hardware
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.folders import move_into
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.reconfigure import Change, reconfigure_all
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

# Of a container that failed, what its error tells; all of it stands in the log port's file.
_LAST_WORDS = 10


def carry_out(
    session: Session,
    plan: Plan,
    *,
    builds: Iterable[Build],
    folder: Callable[[], str],
    datacenter: str,
    manner: Manner,
    progress: Progress,
    part: Part | None = None,
) -> Done:
    """Do what the plan says; failures stand in the outcome, each with its container.

    Args:
        builds: the prepared requests of all containers that the plan makes.
        folder: makes the folder if it has to be made; its moid.
        datacenter: its inventory path.

    Raises: what ends a run as a whole: SessionLost, Unreachable.
    """
    if part is None:
        with Watch(session, keys=(protocol.KEY_STATUS,), until_logout=True) as watch:
            return carry_out(
                session, plan, builds=builds, folder=folder, datacenter=datacenter, manner=manner, progress=progress,
                part=Part(watch=watch),
            )  # fmt: skip
    run = _Run(session, plan, builds=tuple(builds), manner=manner, part=part, datacenter=datacenter, progress=progress)
    run.clear_the_way(folder)
    run.make(folder)
    run.start()
    run.listen()
    run.switch()
    run.settle()
    return run.done


class _Run:
    """The state of one :func:`carry_out`, which calls its methods in their order."""

    def __init__(
        self,
        session: Session,
        plan: Plan,
        *,
        builds: tuple[Build, ...],
        manner: Manner,
        part: Part,
        datacenter: str,
        progress: Progress,
    ) -> None:
        self._session = session
        self._plan = plan
        self._builds = {build.action.identity.name: build for build in builds}
        self._manner = manner
        self._part = part
        self._watch = part.watch
        self._datacenter = datacenter
        self._tally = part.tally or Tally(progress, total=len(plan.work))
        self._deadline = Deadline(manner.timeout)
        self._began = time.monotonic()
        self._follows: dict[str, Follow] = {}
        self._removed: set[str] = set()
        self._others: set[str] = set()  # containers that another run makes
        self._shelf = part.shelf or Shelf(session, Stock())
        self._fleet = Keeper(session, part.roster, watch=part.watch, deadline=self._deadline)
        self.done = Done()

    def clear_the_way(self, folder: Callable[[], str]) -> None:
        """What frees names, addresses and memory: removals, moves, renames, stops."""
        in_the_way = [vm for build in self._builds.values() if build.action.stop_first and (vm := build.action.vm)]
        self._fleet.withdraw(vm.moid for vm in (*self._standing(REMOVE, STOP), *in_the_way))
        self._remove({action.name: vm for action in self._plan.of(REMOVE) if (vm := action.vm)})
        moved = {vm.moid: action.name for action in self._plan.of(MOVE) if (vm := action.vm)}
        if moved:
            self._note(move_into(self._session, folder(), moved, deadline=self._deadline, watch=self._watch), moved)
        self._note(
            reconfigure_all(
                self._session,
                {vm.moid: Change(name=action.identity.name) for action in self._plan.of(RENAME) if (vm := action.vm)},
                deadline=self._deadline,
                names={vm.moid: vm.name for vm in self._standing(RENAME)},
                watch=self._watch,
            ),
            {vm.moid: action.name for action in self._plan.of(RENAME) if (vm := action.vm)},
        )
        self._stop({vm.name: vm for vm in (*self._standing(STOP), *in_the_way) if vm.power != OFF})
        off = [vm for vm in in_the_way if vm.name not in self.done.errors]
        taken = self._shelf.release(off, deadline=self._cleanup, watch=self._watch)
        self._note(taken, {vm.moid: vm.name for vm in off})

    def make(self, folder: Callable[[], str]) -> None:
        """Clone all that is to be made, but for those whose way could not be cleared."""
        wanted = [name for name in self._builds if name not in self.done.errors]
        self.done.errors |= self._shelf.make(wanted, deadline=self._deadline, watch=self._watch)
        builds = [self._builds[name] for name in wanted if name not in self.done.errors]
        if not builds:
            return
        where = folder()
        instant_clone(
            self._session,
            [self._fleet.introduced(replace(build.request, folder=where)) for build in builds],
            hardware=read_hardware(self._session, [build.seat.moid for build in builds]),
            watch=self._watch,
            deadline=self._deadline,
            per_source=self._manner.clones_per_template,
            turns=self._part.turns,
            on_clone=self._cloned,
        )
        made = {name: moid for name, moid in self.done.vms.items() if name not in self.done.errors}
        failed = self._shelf.attach(made, deadline=self._cleanup, watch=self._watch)
        self.done.errors |= failed
        self._follows = {name: one for name, one in self._follows.items() if name not in failed}

    def _cloned(self, outcome: CloneOutcome) -> None:
        name = outcome.request.key
        build = self._builds[name]
        if outcome.vm:
            self.done.vms[name] = outcome.vm
        if outcome.others:
            self._others.add(name)
        if outcome.error:
            self.done.errors[name] = outcome.error
            self._count()
            return
        self._follow(
            build.action,
            moid=outcome.vm,
            nonce=build.marks.nonce,
            unread=protocol.unread_nonce(build.request.extra_config[protocol.KEY_SPEC]),
        )
        self._fleet.came(outcome.vm, build.action)
        self._count()

    def start(self) -> None:
        """Order those to start that stand and do not run."""
        starts = {action.name: action for action in self._plan.of(START)}
        vms = [vm for action in starts.values() if (vm := action.vm)]
        failed = power.start(self._session, vms, watch=self._watch, deadline=self._deadline)
        for name, action in starts.items():
            if action.vm is None:
                raise AssertionError("an action on a container VM has one")
            error = failed[action.vm.moid]
            if error:
                self.done.errors[name] = error
            else:
                self._follow(action, moid=action.vm.moid, nonce=action.vm.marks.nonce, before=action.vm.status)

    def listen(self) -> None:
        """Wait for all guests at once, those included that are on their way already, whether adopted or not."""
        found = {action.name: vm.moid for action in self._plan.of(UNCHANGED, ADOPT) if (vm := action.vm)}
        self.done.errors |= self._shelf.attach(found, standing=True, deadline=self._cleanup, watch=self._watch)
        for action in (*self._plan.of(UNCHANGED), *self._plan.of(ADOPT)):
            awaits_end = (
                not self._manner.detach and action.kind == UNCHANGED and action.vm and action.vm.phase == "running"
            )
            if action.name in self.done.errors or action.name in self._follows:
                continue
            if action.vm and (action.waits or action.kind == ADOPT or awaits_end):
                before = action.vm.status if action.vm.booting else None
                self._follow(action, moid=action.vm.moid, nonce=action.vm.marks.nonce, before=before)
        left = [action.vm for action in self._plan.of(UNCHANGED, ADOPT) if action.name in self._follows]
        self._fleet.remind([vm for vm in left if vm])
        follow_all(self._watch, list(self._follows.values()), between=self._between)
        for name, one in self._follows.items():
            self.done.seconds[name] = one.seconds
            if one.status:
                self.done.statuses[name] = one.status
            if one.error:
                self.done.errors[name] = one.error

    def _between(self) -> bool:
        self._count()
        return self._fleet.admit(self._follows)

    def _count(self) -> None:
        follows = self._follows.values()
        failed = {*self.done.errors, *(name for name, one in self._follows.items() if one.error)}
        self._tally.count(
            id(self),
            Count(
                removed=len(self._removed),
                cloned=len(self.done.vms),
                started=sum(one.begun for one in follows),
                healthy=sum(one.goal == follow.HEALTHY and one.over and not one.error for one in follows),
                failed=len(failed),
            ),
        )

    def switch(self) -> None:
        """Remove what was replaced, unless it is held; what failed goes too, and then what it was to replace stays."""
        failed = [build for name, build in self._builds.items() if name in self.done.errors]
        self._tell_last_words(failed)
        if self._manner.on_failure == REMOVE_FAILED:
            self._discard(failed)
        # Another run that makes one also has the say over the one that it replaces.
        self._put_back([build for build in failed if build.action.stop_first and build.final_name not in self._others])
        replaced = {
            vm.name: vm
            for name, build in self._builds.items()
            if name not in self.done.errors and (vm := build.action.vm)
        }
        made = {name: moid for name, moid in self.done.vms.items() if name not in self.done.errors}
        if self._part.hold:
            # Where the old one is off already, nobody else answers to the name.
            self._fleet.switch(to=[made[name] for name in made if self._builds[name].action.stop_first], off=[])
        else:
            self._fleet.switch(to=made.values(), off=[vm.moid for vm in replaced.values()])
            self._remove(replaced)

    def settle(self) -> None:
        """Give every VM its name and its words, take the sealed spec out of it, and leave it told of its fleet."""
        changes: dict[str, Change] = {}
        names: dict[str, str] = {}
        for name, build in self._builds.items():
            moid = self.done.vms.get(name, "")
            if not moid:
                continue
            replaces = build.action.kind == RECREATE and name not in self.done.errors and not self._part.hold
            names[moid] = name
            changes[moid] = Change(
                name=name if replaces else None,
                annotation=annotation(build.action.identity, image=build.spec.image, template=build.seat.name),
                extra_config={protocol.KEY_SPEC: ""},
            )
        for action in self._plan.of(ADOPT):
            if action.vm and action.name not in self.done.errors:
                names[action.vm.moid] = action.name
                image = str(action.vm.marks.applied.options.get("image", ""))
                changes[action.vm.moid] = Change(
                    annotation=annotation(action.identity, image=image, template=action.vm.marks.template),
                    extra_config={protocol.KEY_SPEC: ""},
                )
        self._note(
            reconfigure_all(self._session, changes, deadline=self._cleanup, names=names, watch=self._watch), names
        )
        self._stop_new()
        self.done.errors = {**self._fleet.settle(self._follows), **self.done.errors}

    # Single actions ------------------------------------------------------------

    @property
    def _cleanup(self) -> Deadline:
        """What has been begun is brought to its end, even where the time for it is up."""
        return Deadline(max(30.0, self._deadline.remaining()))

    def _follow(
        self, action: Action, *, moid: str, nonce: str, unread: str = "", before: protocol.Status | None = None
    ) -> None:
        self._follows[action.name] = Follow(
            moid=moid,
            name=action.name,
            nonce=nonce,
            unread=unread,
            goal=follow.SPEAKING if action.kind == ADOPT else goal_of(action.service, detach=self._manner.detach),
            limit=self._deadline,
            healthy_seconds=self._manner.healthy_seconds,
            steady_seconds=self._part.steady_seconds if action.kind in (CREATE, RECREATE) else 0.0,
            on_begun=lambda: self._part.on_begun(action.name),
            before=before,
            restarted=action.kind == START,
            was_on=action.kind != START and (action.vm is None or action.kind == RECREATE or action.vm.power == ON),
            began=self._began,
        )

    def _standing(self, *kinds: str) -> list[ContainerVm]:
        return [action.vm for action in self._plan.of(*kinds) if action.vm]

    def _remove(self, vms: Mapping[str, ContainerVm]) -> None:
        found = power.remove(
            self._session, [power.removal(vm) for vm in vms.values()], watch=self._watch, deadline=self._cleanup
        )
        self._fleet.gone(found)
        self._removed |= {moid for moid, error in found.items() if error is None}
        self._count()
        self._note(found, {vm.moid: name for name, vm in vms.items()})

    def _stop(self, vms: Mapping[str, ContainerVm]) -> None:
        found = power.stop(
            self._session, [power.removal(vm) for vm in vms.values()], watch=self._watch, deadline=self._cleanup
        )
        self._fleet.off(found)
        self._note(found, {vm.moid: name for name, vm in vms.items()})

    def _discard(self, failed: Iterable[Build]) -> None:
        """Remove what came to nothing; there is no container in it that deserves time to stop."""
        doomed = {moid: build for build in failed if (moid := self.done.vms.pop(build.action.identity.name, ""))}
        found = power.remove(
            self._session,
            [power.Removal(moid=moid, name=build.request.name, power=ON, force=True) for moid, build in doomed.items()],
            watch=self._watch,
            deadline=self._cleanup,
        )
        self._fleet.gone(found)
        for moid, error in found.items():
            if error:
                name = doomed[moid].action.identity.name
                self.done.vms[name] = moid
                self.done.errors[name].add(f"and its VM could not be removed: {error.message}")

    def _put_back(self, failed: Sequence[Build]) -> None:
        """The one that had to make room is again what it was when the new one failed, which is off if it is kept."""
        new = {self.done.vms.get(build.final_name, ""): build for build in failed if build.spec.is_exclusive}
        new.pop("", None)
        aside = back.step_aside(self._session, new, shelf=self._shelf, watch=self._watch, deadline=self._cleanup)
        self._fleet.off(aside)
        for moid, error in aside.items():
            self._follows.pop(new[moid].final_name, None)
            self.done.errors[new[moid].final_name].add(back.aside_in_words(error))
        stuck = {new[moid].final_name for moid, error in aside.items() if error}
        old = {build.final_name: vm for build in failed if (vm := build.action.vm) and build.final_name not in stuck}
        vms = list(old.values())
        found = back.put_back(self._session, vms, shelf=self._shelf, watch=self._watch, deadline=self._cleanup)
        self._fleet.back({vm.moid: found[vm.moid] for vm in vms if vm.booting or back.ran(vm)})
        for name, vm in old.items():
            self.done.errors[name].add(back.in_words(vm, found[vm.moid]))

    def _stop_new(self) -> None:
        """A new container that is to be stopped was made, not started; its VM goes off."""
        moids = {
            moid: name
            for name, build in self._builds.items()
            if build.action.service.state == STOPPED
            and (moid := self.done.vms.get(name))
            and name not in self.done.errors
        }
        stops = [power.Removal(moid=moid, name=name, power=ON) for moid, name in moids.items()]
        self._note(power.stop(self._session, stops, watch=self._watch, deadline=self._cleanup), moids)

    def _tell_last_words(self, failed: Iterable[Build]) -> None:
        """The last lines of a container that ended are most of its error; its VM may not be there to ask later."""
        logs = {
            f"{build.request.log}": build
            for build in failed
            if (status := self.done.statuses.get(build.action.identity.name)) and status.container
        }
        for path, text in last_lines(self._session, list(logs), datacenter=self._datacenter, lines=_LAST_WORDS).items():
            error = self.done.errors[logs[path].action.identity.name]
            error.details["output"] = list(text.lines)
            if text.lines:
                error.add("its last output: " + " | ".join(text.lines[-3:]))

    def _note(self, outcome: Mapping[str, BonnevilleError | None], names: Mapping[str, str]) -> None:
        for moid, error in outcome.items():
            if error:
                self.done.errors.setdefault(names[moid], error)
