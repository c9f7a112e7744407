# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making VMs from VMs: instant clones in bulk, and the full clone behind each template VM."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    NotFound,
    TaskFailed,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import (
    Hardware,
    edit,
    is_on,
    log_to_file,
    nic_on,
    option_values,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explaining
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import moid_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import find_by_uuid
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Network
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import TaskState, Watch

PER_SOURCE = 8  # clones of one VM at a time: vCenter publishes no limit, so this is a caller's choice


@dataclass(frozen=True, kw_only=True)
class CloneRequest:
    """One instant clone to be made.

    ``source``, ``folder``, ``pool`` and ``datastore`` are moids; empty ones are
    the source's own. ``log`` is a datastore path for the source's serial port,
    ``mac`` the address of its first NIC; both are left alone when empty.
    """

    key: str
    name: str
    source: str
    bios_uuid: str
    extra_config: Mapping[str, str] = field(repr=False)
    folder: str = ""
    pool: str = ""
    datastore: str = ""
    network: Network | None = None
    mac: str = ""
    log: str = ""


@dataclass(frozen=True, kw_only=True)
class CloneOutcome:
    """What became of a request.

    ``vm`` is the clone's moid. With an ``error`` it is empty, or the clone that
    stands nevertheless: found by its uuid after its task was lost, and the
    caller's to adopt or to remove. ``seconds`` ran from the call to the end.
    """

    request: CloneRequest
    vm: str = ""
    error: BonnevilleError | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.error is None


def instant_clone_spec(request: CloneRequest, hardware: Hardware) -> Any:
    """The InstantCloneSpec: only what vSphere lets it say, which is no host, no size and no new device."""
    changes = []
    if hardware.nics and (request.mac or (request.network and not is_on(hardware.nics[0], request.network))):
        changes.append(edit(nic_on(hardware.nics[0], request.network, mac=request.mac)))
    if request.log and hardware.serial_ports:
        changes.append(edit(log_to_file(hardware.serial_ports[0], request.log)))
    location = vim.vm.RelocateSpec(deviceChange=changes)
    if request.folder:
        location.folder = vim.Folder(request.folder, None)
    if request.pool:
        location.pool = vim.ResourcePool(request.pool, None)
    if request.datastore:
        location.datastore = vim.Datastore(request.datastore, None)
    return vim.vm.InstantCloneSpec(
        name=request.name, location=location, config=option_values(request.extra_config), biosUuid=request.bios_uuid
    )


def instant_clone(
    session: Session,
    requests: Sequence[CloneRequest],
    *,
    hardware: Mapping[str, Hardware],
    watch: Watch,
    deadline: Deadline,
    per_source: int = PER_SOURCE,
    on_clone: Callable[[CloneOutcome], None] = lambda outcome: None,
) -> list[CloneOutcome]:
    """Make all clones, at most ``per_source`` of one VM at a time; one outcome each, in the order of the requests.

    Clones are followed by ``watch`` as soon as they stand, so that what their
    guests say meanwhile is not missed; ``on_clone`` is called for each outcome
    when it is known, from this thread. A failure of one is its own outcome and
    stops no other. A clone under way at the deadline has TaskFailed as outcome,
    and is looked for like one whose task was lost.

    Args:
        hardware: the sources' devices, by moid.

    Raises: what ends them all: SessionLost, Unreachable.
    """
    run = _Run(session=session, hardware=hardware, watch=watch, per_source=per_source, on_clone=on_clone)
    run.waiting.extend(requests)
    while (run.waiting or run.running) and not deadline.passed:
        run.submit()
        if run.running and run.take_ended() == 0:
            watch.wait(deadline)
            watch.pause(deadline)
    run.give_up()
    return [run.outcomes[request.key] for request in requests]


class _Run:
    """The state of one :func:`instant_clone`."""

    def __init__(
        self,
        *,
        session: Session,
        hardware: Mapping[str, Hardware],
        watch: Watch,
        per_source: int,
        on_clone: Callable[[CloneOutcome], None],
    ) -> None:
        self.session = session
        self.hardware = hardware
        self.watch = watch
        self.per_source = per_source
        self.on_clone = on_clone
        self.waiting: deque[CloneRequest] = deque()
        self.running: dict[str, CloneRequest] = {}  # by the task's moid
        self.begun: dict[str, float] = {}  # by the request's key
        self.outcomes: dict[str, CloneOutcome] = {}
        self._ended: list[str] = []  # tasks to drop with the next exchange
        self._made: list[str] = []  # VMs to add with it

    def submit(self) -> None:
        """Begin as many as the cap allows, side by side, and follow them: one change of the view for all."""
        busy = Counter(request.source for request in self.running.values())
        chosen, later = [], deque[CloneRequest]()
        for request in self.waiting:
            if busy[request.source] < self.per_source:
                busy[request.source] += 1
                chosen.append(request)
            else:
                later.append(request)
        self.waiting = later
        begun = [task for task in self.session.in_parallel(self._begin, chosen) if task is not None]
        self.watch.exchange(tasks=begun, vms=self._made, drop_tasks=self._ended)
        self._made, self._ended = [], []

    def take_ended(self) -> int:
        """Turn tasks that have ended into outcomes; how many there were."""
        ended = {moid: request for moid, request in self.running.items() if self.watch.tasks[moid].done}
        lost = []
        for moid, request in ended.items():
            del self.running[moid]
            self._ended.append(moid)
            state = self.watch.tasks[moid]
            vm = moid_of(state.result) if state.ok else ""
            if vm:
                self._settle(request, vm=vm)
            else:
                lost.append((request, state))
        self._settle_failed(lost)
        return len(ended)

    def give_up(self) -> None:
        """The deadline: what was never begun, and what has not ended."""
        for request in self.waiting:
            self._settle(request, error=_late(request, "its turn had not come"))
        self._settle_failed([(request, self.watch.tasks[moid]) for moid, request in self.running.items()])
        self.watch.exchange(vms=self._made, drop_tasks=[*self._ended, *self.running])

    def _begin(self, request: CloneRequest) -> Any:
        self.begun[request.key] = time.monotonic()
        source = self.session.managed("VirtualMachine", request.source)
        try:
            with explaining("Cannot create the instant clone", obj=request.name):
                return self._follow(
                    request, source.InstantClone_Task(instant_clone_spec(request, self.hardware[request.source]))
                )
        except BonnevilleError as error:
            if error.code in ("session_lost", "vcenter_unreachable"):
                raise
            self._settle(request, error=error)
            return None

    def _follow(self, request: CloneRequest, task: Any) -> Any:
        self.running[task._moId] = request
        return task

    def _settle_failed(self, failed: Sequence[tuple[CloneRequest, TaskState]]) -> None:
        """A task's fault is not the whole truth: in a small window a clone stands although its task failed."""
        if not failed:
            return
        standing = find_by_uuid(self.session, [request.bios_uuid for request, _ in failed])
        for request, state in failed:
            vm = next(iter(standing.get(request.bios_uuid, ())), "")
            if state.ok and vm:
                self._settle(request, vm=vm)
                continue
            error = state.error("Cannot create the instant clone", obj=request.name)
            if state.ok:
                error = NotFound("Cannot find the instant clone", obj=request.name, why="vCenter says that it was made")
            self._settle(request, vm=vm, error=error)

    def _settle(self, request: CloneRequest, *, vm: str = "", error: BonnevilleError | None = None) -> None:
        if vm and error is None:
            self._made.append(vm)
        seconds = time.monotonic() - self.begun.get(request.key, time.monotonic())
        outcome = CloneOutcome(request=request, vm=vm, error=error, seconds=seconds)
        self.outcomes[request.key] = outcome
        self.on_clone(outcome)


def _late(request: CloneRequest, why: str) -> BonnevilleError:
    return TaskFailed(
        "Cannot create the instant clone", obj=request.name, why=f"{why} at the deadline", next_step="Raise timeout"
    )


def full_clone(
    session: Session,
    *,
    source: str,
    name: str,
    folder: str,
    pool: str,
    host: str = "",
    datastore: str = "",
    config: Any = None,
) -> Any:
    """Begin a full, powered-off copy of a VM; the task. All but ``name`` are moids, empty ones the source's own.

    Args:
        config: a vim.vm.ConfigSpec that is applied to the copy, as
            :func:`..reconfigure.config_spec` makes it.
    """
    location = vim.vm.RelocateSpec(
        pool=vim.ResourcePool(pool, None),
        host=vim.HostSystem(host, None) if host else None,
        datastore=vim.Datastore(datastore, None) if datastore else None,
    )
    spec = vim.vm.CloneSpec(location=location, powerOn=False, template=False, config=config)
    with explaining("Cannot clone the VM", obj=name):
        return session.managed("VirtualMachine", source).CloneVM_Task(vim.Folder(folder, None), name, spec)
