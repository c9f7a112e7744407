# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making VMs from VMs: instant clones in bulk, and the full clone behind each template VM."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    InUse,
    NotFound,
    TaskFailed,
    Unreachable,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.again import (
    BUSY,
    TRIES,
    attempt,
    is_busy,
    pause_after,
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
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explaining, is_fault
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import moid_of, read_vms
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import find_by_uuid
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Network
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import TaskState, Watch

_WHAT = "Cannot create the instant clone"
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
    stands nevertheless: found by its uuid and its marks after its task was
    lost, and the caller's to adopt or to remove. ``others`` holds where a VM of
    this uuid stands that this request did not make, and that is not the caller's
    to touch. ``seconds`` ran from the call to the end.
    """

    request: CloneRequest
    vm: str = ""
    error: BonnevilleError | None = None
    others: bool = False
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.error is None


class Turns:
    """How many clones of each VM may be under way at a time, for all that share it, whatever their threads.

    Args:
        per_source: at least 1.
        on_return: called when one has ended, so that others look whether it is their turn.
    """

    def __init__(self, per_source: int, *, on_return: Callable[[], None] = lambda: None) -> None:
        if per_source < 1:
            raise ValueError("per_source is at least 1")
        self._per_source = per_source
        self._on_return = on_return
        self._busy: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, source: str) -> bool:
        """Whether a clone of this VM may begin now; it then counts until it is given back."""
        with self._lock:
            free = self._busy[source] < self._per_source
            self._busy[source] += free
            return free

    def give_back(self, source: str) -> None:
        with self._lock:
            self._busy[source] -= 1
        self._on_return()


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
    turns: Turns | None = None,
    on_clone: Callable[[CloneOutcome], None] = lambda outcome: None,
) -> list[CloneOutcome]:
    """Make all clones, at most ``per_source`` of one VM at a time; one outcome each, in the order of the requests.

    Clones are followed by ``watch`` once they stand. ``on_clone`` is called
    for each outcome when it is known, from this thread. A failure of one is its
    own outcome and stops no other. What failed is looked for by its uuid, since
    in a small window a clone stands although its task failed; so is one whose
    task had not ended at the deadline, which has TaskFailed as outcome. A VM of
    that uuid with other marks is another run's: the outcome is InUse, without a VM.

    A call whose answer was lost is asked about before it is made again. A
    source that is busy is asked again after a pause.

    Args:
        hardware: the sources' devices, by moid.
        turns: shared with others that clone at the same time; counts instead of ``per_source``.

    Raises: what ends them all: SessionLost, and Unreachable once vCenter stays away.
    """
    turns = turns or Turns(per_source)
    run = _Run(session=session, hardware=hardware, watch=watch, turns=turns, on_clone=on_clone)
    run.waiting.extend(requests)
    while run.unsettled and not deadline.passed:
        begun = run.submit()
        if run.running:
            watch.pause(deadline)
            watch.wait(run.next_look(deadline))
        elif run.later:
            time.sleep(run.next_look(deadline).remaining())
        elif not begun:
            watch.wait(deadline)  # others have all turns
        run.take_ended()
    run.give_up()
    return [run.outcomes[request.key] for request in requests]


class _Run:
    """The state of one :func:`instant_clone`. A request is waiting, running, kept for later, or settled."""

    def __init__(
        self,
        *,
        session: Session,
        hardware: Mapping[str, Hardware],
        watch: Watch,
        turns: Turns,
        on_clone: Callable[[CloneOutcome], None],
    ) -> None:
        self.session = session
        self.hardware = hardware
        self.watch = watch
        self.turns = turns
        self.on_clone = on_clone
        self.waiting: deque[CloneRequest] = deque()
        self.running: dict[str, CloneRequest] = {}  # by the task's moid
        self.later: list[_Again] = []
        self.outcomes: dict[str, CloneOutcome] = {}
        self._begun: dict[str, float] = {}  # by the request's key, as what follows
        self._tries: Counter[str] = Counter()
        self._lost: set[str] = set()  # whose call had no answer, so that they may be made

    @property
    def unsettled(self) -> bool:
        return bool(self.waiting or self.running or self.later)

    def next_look(self, deadline: Deadline) -> Deadline:
        """The deadline, or the end of the first pause."""
        return min([deadline, *(again.pause for again in self.later)], key=Deadline.remaining)

    def submit(self) -> bool:
        """Begin as many as the cap allows, side by side; whether there was any."""
        self._take_up_again()
        chosen: list[CloneRequest] = []
        rest = deque[CloneRequest]()
        for request in self.waiting:
            (chosen if self.turns.take(request.source) else rest).append(request)
        self.waiting = rest
        failed = []
        for request, begun in zip(chosen, self.session.in_parallel(self._begin, chosen), strict=True):
            if isinstance(begun, BonnevilleError):
                self.turns.give_back(request.source)
            if isinstance(begun, Unreachable):
                self._lost.add(request.key)
                self._keep(request, begun)
            elif isinstance(begun, BonnevilleError):
                if is_busy(begun):
                    self._keep(request, begun)
                else:
                    failed.append((request, begun))
            else:
                self.running[begun._moId] = request
                self.watch.add(tasks=[begun])
        self._settle_failed(failed)
        return bool(chosen)

    def take_ended(self) -> None:
        """Turn tasks that have ended into outcomes."""
        failed = []
        for moid, request in list(self.running.items()):
            state = self.watch.tasks[moid]
            if not state.done:
                continue
            del self.running[moid]
            self.turns.give_back(request.source)
            self.watch.drop(tasks=[moid])
            if state.ok and state.result is not None:
                self._settle(request, vm=moid_of(state.result))
            elif is_fault(state.fault, *BUSY) and self._tries[request.key] < TRIES:
                self._keep(request, _error(request, state))
            else:
                failed.append((request, _error(request, state)))
        self._settle_failed(failed)

    def give_up(self) -> None:
        """The deadline: what was never begun, what has not ended, and what is not to be asked for any more."""
        for request in self.waiting:
            self._settle(request, error=_late(request, "its turn had not come"))
        failed = [(again.request, again.error) for again in self.later]
        failed += [(request, _error(request, self.watch.tasks[moid])) for moid, request in self.running.items()]
        for request in self.running.values():
            self.turns.give_back(request.source)
        self.watch.drop(tasks=self.running)
        self._settle_failed(failed)

    def _begin(self, request: CloneRequest) -> Any:
        """The task, or why there is none. In a thread of its own."""
        self._begun.setdefault(request.key, time.monotonic())
        self._tries[request.key] += 1
        source = self.session.managed("VirtualMachine", request.source)
        spec = instant_clone_spec(request, self.hardware[request.source])
        return attempt(_WHAT, request.name, lambda: source.InstantClone_Task(spec))

    def _keep(self, request: CloneRequest, error: BonnevilleError) -> None:
        pause = pause_after(self._tries[request.key])
        self.later.append(_Again(request=request, error=error, pause=pause))

    def _take_up_again(self) -> None:
        """Put back in line what has paused, unless a call whose answer was lost had made it."""
        due: list[_Again] = []
        rest: list[_Again] = []
        for again in self.later:  # each pause is asked once: it may end between two questions
            (due if again.pause.passed else rest).append(again)
        self.later = rest
        made = self._standing([again.request for again in due if again.request.key in self._lost]).own
        for again in due:
            if again.request.key in made:
                self._settle(again.request, vm=made[again.request.key])
            elif self._tries[again.request.key] < TRIES:
                self.waiting.append(again.request)
            else:
                self._settle_failed([(again.request, again.error)])

    def _standing(self, requests: Sequence[CloneRequest]) -> _Standing:
        """What stands with the requests' uuids: such a uuid is the same in each run that makes the container."""
        standing = find_by_uuid(self.session, [request.bios_uuid for request in requests])
        facts = read_vms(self.session, [vm for vms in standing.values() for vm in vms])
        found = [(request, facts[vm]) for request in requests for vm in standing[request.bios_uuid] if vm in facts]
        own = {request.key: vm.moid for request, vm in found if _bears(vm.extra_config, request.extra_config)}
        return _Standing(own=own, others={request.key for request, _unused in found} - own.keys())

    def _settle_failed(self, failed: Sequence[tuple[CloneRequest, BonnevilleError]]) -> None:
        standing = self._standing([request for request, _unused in failed])
        for request, error in failed:
            vm = standing.own.get(request.key, "")
            if vm and request.key in self._lost:
                self._settle(request, vm=vm)
            elif request.key in standing.others:
                self._settle(request, error=_made_by_another(request), others=True)
            else:
                self._settle(request, vm=vm, error=error)

    def _settle(
        self, request: CloneRequest, *, vm: str = "", error: BonnevilleError | None = None, others: bool = False
    ) -> None:
        if vm and error is None:
            self.watch.add(vms=[vm])
        seconds = time.monotonic() - self._begun.get(request.key, time.monotonic())
        outcome = CloneOutcome(request=request, vm=vm, error=error, others=others, seconds=seconds)
        self.outcomes[request.key] = outcome
        self.on_clone(outcome)


@dataclass(frozen=True, kw_only=True)
class _Again:
    """A request to be taken up again after a pause, and why it was not made before."""

    request: CloneRequest
    error: BonnevilleError
    pause: Deadline


@dataclass(frozen=True, kw_only=True)
class _Standing:
    """By the requests' keys, the VMs that bear their very marks, and those of which only others stand."""

    own: Mapping[str, str]
    others: Set[str]


def _bears(present: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether these are a request's own marks; what guests are told, and what they say, changes meanwhile."""
    return all(present.get(key) == value for key, value in wanted.items() if value and not key.startswith("guestinfo."))


def _made_by_another(request: CloneRequest) -> BonnevilleError:
    return InUse(_WHAT, obj=request.name, why="another run made it meanwhile", next_step="Run again")


def _error(request: CloneRequest, state: TaskState) -> BonnevilleError:
    if state.ok:
        return NotFound(_WHAT, obj=request.name, why="vCenter says that it was made, and does not say which VM it is")
    return state.error(_WHAT, obj=request.name)


def _late(request: CloneRequest, why: str) -> BonnevilleError:
    return TaskFailed(_WHAT, obj=request.name, why=f"{why} at the deadline", next_step="Raise timeout")


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
