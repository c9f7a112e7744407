# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way down of many container VMs, each at its own pace: asked, off, and for those that are to go, away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import marks
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import OFF, ON, ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.options import OPTIONS
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    ForeignVm,
    InUse,
    NotFound,
    PermissionMissing,
    TaskFailed,
    Unreachable,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.again import (
    TRIES,
    attempt,
    fault_of,
    passes,
    pause_after,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.collect import Read, read
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import Disk, detach, hardware
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import options
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.reconfigure import Change, config_spec
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

Outcomes: TypeAlias = "dict[str, BonnevilleError | None]"
OnDone: TypeAlias = "Callable[[str, BonnevilleError | None], None]"

_SHUT_DOWN = "Cannot shut down the guest of the container VM"
_POWER_OFF = "Cannot power off the container VM"
_DETACH = "Cannot detach the disks that are not the container VM's own from"
_DESTROY = "Cannot delete the container VM"
_READ = "Cannot read the container VMs that are to be deleted"
_PROPERTIES = ("name", "config.uuid", "config.extraConfig", "config.files.vmPathName", "config.hardware.device")


@dataclass(frozen=True, kw_only=True)
class Removal:
    """A VM that is to go off and, unless it is only to stop, away.

    ``power`` is its state when it was read, ``stop_timeout`` what its container
    gets between the stop signal and the kill, in seconds. ``force`` pulls the
    plug at once.
    """

    moid: str
    name: str
    power: str
    stop_timeout: float = 10.0
    force: bool = False


def removal(vm: ContainerVm, *, force: bool = False) -> Removal:
    """A container VM's removal, with the stop timeout that it was made with."""
    timeout = vm.marks.applied.options.get("stop_timeout", OPTIONS["stop_timeout"].default)
    return Removal(moid=vm.moid, name=vm.name, power=vm.power, stop_timeout=float(timeout), force=force)


@dataclass(frozen=True, kw_only=True)
class _Again:
    """A step to be taken again after a pause, and why it was not taken before."""

    what: str
    vm: Removal
    error: BonnevilleError
    pause: Deadline


class Down:
    """The state of one :func:`..power.remove` (``away``) or :func:`..power.stop`."""

    def __init__(
        self,
        session: Session,
        vms: Sequence[Removal],
        *,
        watch: Watch,
        deadline: Deadline,
        on_done: OnDone,
        grace: float,
        away: bool,
    ) -> None:
        self.session = session
        self.vms = {vm.moid: vm for vm in vms}
        self.watch = watch
        self.deadline = deadline
        self.on_done = on_done
        self.grace = grace
        self.away = away
        self.outcomes: Outcomes = {}
        self.stopping: dict[str, Deadline] = {}  # guests that were asked, by moid: when their time is up
        self.tasks: dict[str, tuple[str, Removal]] = {}  # by the task's moid: what it fails to do, if it fails
        self.later: list[_Again] = []
        self.up: list[Removal] = []  # to be asked
        self.hard: list[Removal] = []  # to lose their power
        self.off: list[Removal] = []
        self._detached: set[str] = set()
        self._doubted: dict[str, BonnevilleError] = {}  # a deletion failed: whether it did its work is looked at
        self._tries: Counter[tuple[str, str]] = Counter()  # by the step and the VM
        self._new: list[Any] = []  # tasks to follow with the next exchange
        self._ended: list[str] = []  # tasks to drop with it

    def run(self) -> Outcomes:
        self.watch.add(vms=self.vms)
        for vm in self.vms.values():
            power = self.watch.vms[vm.moid].power or vm.power
            (self.off if power == OFF else self.up if power == ON and not vm.force else self.hard).append(vm)
        while True:
            self._go_on()
            if self.off:
                continue
            if not self.stopping and not self.tasks and not self.later:
                break
            if self.deadline.passed:
                self._give_up()
                break
            pauses = (again.pause for again in self.later)
            nearest = min((self.deadline, *self.stopping.values(), *pauses), key=Deadline.remaining)
            self.watch.pause(nearest)
            self.watch.wait(nearest)
            self._look()
        return {moid: self.outcomes[moid] for moid in self.vms}

    def leave(self) -> None:
        """Drop from a watch that goes on what is followed no longer."""
        self.watch.exchange(drop_tasks=[*self._ended, *self.tasks])

    def _look(self) -> None:
        """What has become of tasks, and of guests that were asked."""
        for moid, (what, vm) in list(self.tasks.items()):
            ended = self.watch.tasks[moid]
            if not ended.done:
                continue
            del self.tasks[moid]
            self._ended.append(moid)
            if not ended.ok:
                self._failed(what, vm, ended.error(what, obj=vm.name))
            elif what == _DESTROY:
                self._settle(vm)
            elif what == _POWER_OFF:
                self._went_off(vm)
            else:
                self._detached.add(vm.moid)
                self.off.append(vm)
        for moid, limit in list(self.stopping.items()):
            state = self.watch.vms[moid]
            if state.gone:
                self._gone(self.vms[moid])
            elif state.power == OFF:
                self.off.append(self.vms[moid])
            elif limit.passed and not self.deadline.passed:
                self.hard.append(self.vms[moid])
            else:
                continue
            del self.stopping[moid]

    def _go_on(self) -> None:
        """The next step of each that is ready for one."""
        due, self.later = _split(self.later)
        for again in due:
            {_SHUT_DOWN: self.up, _POWER_OFF: self.hard}.get(again.what, self.off).append(again.vm)
        up, self.up = self.up, []
        self._ask(up)
        hard, self.hard = self.hard, []
        self._begin(_POWER_OFF, hard, lambda vm: self._managed(vm).PowerOffVM_Task)
        off, self.off = self.off, []
        if self.away:
            self._dispose(off)
        else:
            for vm in off:
                self._settle(vm)
        if self._new:
            self.watch.exchange(tasks=self._new, drop_tasks=self._ended)
            self._new, self._ended = [], []

    def _ask(self, vms: Sequence[Removal]) -> None:
        """Ask guests to shut down; one that cannot be asked loses its power."""
        for vm, error in zip(vms, self.session.in_parallel(self._shut_down, vms), strict=True):
            asked_before = self._tries[_SHUT_DOWN, vm.moid] > 0
            if error is None or (asked_before and fault_of(error) == "ToolsUnavailable"):
                # Where the answer of the first call was lost, the guest may be on its way down already.
                self.stopping[vm.moid] = self.deadline.sooner(vm.stop_timeout + self.grace)
            elif _is_gone(error) or isinstance(error, PermissionMissing | Unreachable):
                self._failed(_SHUT_DOWN, vm, error)
            else:
                self.hard.append(vm)

    def _shut_down(self, vm: Removal) -> Any:
        return attempt(_SHUT_DOWN, vm.name, self._managed(vm).ShutdownGuest)

    def _dispose(self, off: Sequence[Removal]) -> None:
        """Delete what is off, once nothing hangs on it that is not its own."""
        start = [(self._managed(vm), ()) for vm in off]
        properties = {"VirtualMachine": _PROPERTIES}
        found = {
            one.moid: one for one in read(self.session, start=start, properties=properties, what=_READ, gone_ok=True)
        }
        foreign: dict[str, tuple[Disk, ...]] = {}
        doomed: list[Removal] = []
        holding: list[Removal] = []
        for vm in off:
            one = found.get(vm.moid)
            if one is None:
                self._gone(vm)
                continue
            foreign[vm.moid] = hardware(one).foreign_disks
            error = self._doubted.get(vm.moid) or self._forbidden(vm, one, foreign[vm.moid])
            if error:
                self._settle(vm, error)
            else:
                (holding if foreign[vm.moid] else doomed).append(vm)
        self._begin(_DETACH, holding, lambda vm: lambda: self._detach(vm, foreign[vm.moid]))
        self._begin(_DESTROY, doomed, lambda vm: self._managed(vm).Destroy_Task)

    def _forbidden(self, vm: Removal, one: Read, foreign: Sequence[Disk]) -> BonnevilleError | None:
        """Why a VM that is off must not be deleted."""
        if marks.decode(options(one.get("config.extraConfig")), bios_uuid=str(one.get("config.uuid", ""))) is None:
            return ForeignVm(
                _DESTROY,
                obj=vm.name,
                why="it no longer bears marks that are its own, so someone has taken it over meanwhile",
                next_step="See the VM's events in vCenter",
                details={"moid": vm.moid},
            )
        if foreign and vm.moid in self._detached:
            named = ", ".join(disk.files[0] if disk.files else disk.label for disk in foreign)
            return InUse(
                _DESTROY,
                obj=vm.name,
                why=f"disks that are not its own are attached even after they were detached: {named}",
                next_step="Detach them in vCenter, then run again",
                details={"moid": vm.moid},
            )
        return None

    def _detach(self, vm: Removal, disks: Iterable[Disk]) -> Any:
        return self._managed(vm).ReconfigVM_Task(config_spec(Change(devices=[detach(disk.device) for disk in disks])))

    def _begin(self, what: str, vms: Sequence[Removal], call: Callable[[Removal], Callable[[], Any]]) -> None:
        """Begin one kind of task for several VMs, side by side."""
        begun = self.session.in_parallel(lambda vm: attempt(what, vm.name, call(vm)), vms)
        for vm, task in zip(vms, begun, strict=True):
            if isinstance(task, BonnevilleError):
                self._failed(what, vm, task)
            else:
                self.tasks[task._moId] = (what, vm)
                self._new.append(task)

    def _failed(self, what: str, vm: Removal, error: BonnevilleError) -> None:
        if _is_gone(error):
            self._gone(vm)
        elif what == _POWER_OFF and fault_of(error) == "InvalidPowerState":
            self._went_off(vm)  # by itself
        elif self._may_try_again(what, vm, error):
            pause = pause_after(self._tries[what, vm.moid])
            self.later.append(_Again(what=what, vm=vm, error=error, pause=pause))
        elif what == _DESTROY and vm.moid not in self._doubted:
            self._doubted[vm.moid] = error
            self.off.append(vm)
        else:
            self._settle(vm, error)

    def _may_try_again(self, what: str, vm: Removal, error: BonnevilleError) -> bool:
        """After a lost answer, and where another task works on the VM, which may be that call's: none hurts twice."""
        if not passes(error):
            return False
        self._tries[what, vm.moid] += 1
        return self._tries[what, vm.moid] < TRIES

    def _went_off(self, vm: Removal) -> None:
        """Whoever starts it again looks at the watch, so what stays has to be seen as off there."""
        if self.away or self.watch.vms[vm.moid].power == OFF:
            self.off.append(vm)
        else:
            self.stopping[vm.moid] = self.deadline

    def _gone(self, vm: Removal) -> None:
        if self.away:
            self._settle(vm)
        else:
            self._settle(
                vm,
                NotFound(
                    "Cannot stop the container VM",
                    obj=vm.name,
                    why="someone removed it meanwhile",
                    next_step="Run again",
                ),
            )

    def _give_up(self) -> None:
        """The deadline: who has not come down, or not gone."""
        for moid in self.stopping:
            self._settle(
                self.vms[moid],
                TaskFailed(
                    _SHUT_DOWN,
                    obj=self.vms[moid].name,
                    why="it was still shutting down at the deadline",
                    next_step="Raise timeout, or pull the plug with force",
                ),
            )
        for again in self.later:
            self._settle(again.vm, again.error)
        for task, (what, vm) in self.tasks.items():
            self._settle(vm, self.watch.tasks[task].error(what, obj=vm.name, next_step="Raise timeout, then run again"))

    def _settle(self, vm: Removal, error: BonnevilleError | None = None) -> None:
        self.outcomes[vm.moid] = error
        self.on_done(vm.moid, error)

    def _managed(self, vm: Removal) -> Any:
        return self.session.managed("VirtualMachine", vm.moid)


def _split(waiting: Sequence[_Again]) -> tuple[list[_Again], list[_Again]]:
    """Those whose pause is over, and the others."""
    return [one for one in waiting if one.pause.passed], [one for one in waiting if not one.pause.passed]


def _is_gone(error: BonnevilleError) -> bool:
    return fault_of(error) == "ManagedObjectNotFound"
