# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host on its way into maintenance mode, and back: its container VMs move to other hosts while they run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import OFF, ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.read import as_container_vm
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    CapacityShort,
    InUse,
    Several,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._progress import Progress, silent
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere import placement
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.again import run_tasks
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.collect import read
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import (
    HostFacts,
    Scope,
    VmFacts,
    moids_of,
    read_scope,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import find_datacenter, find_hosts
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.privileges import (
    check_places,
    check_privileges,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Place
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

MAINTENANCE = "maintenance"
IN_SERVICE = "in_service"
MIGRATE = "migrate"
ENTER = "enter_maintenance"
EXIT = "exit_maintenance"
_VMOTION = "Resource.HotMigrate"
_MAINTAIN = "Host.Config.Maintenance"


@dataclass(frozen=True, kw_only=True)
class Here:
    """A VM on the host, and the networks that it is on, by managed object id."""

    facts: VmFacts
    networks: tuple[str, ...]
    container: ContainerVm | None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The host, the hosts of its cluster, and the VMs on it that are not powered off."""

    host: HostFacts
    cluster: tuple[HostFacts, ...]
    vms: tuple[Here, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Action:
    """One thing to do. ``moid`` is the VM's, or the host's; ``to`` the host that a VM moves to."""

    kind: str
    name: str
    moid: str
    reason: str
    to: HostFacts | None = None

    def document(self) -> dict[str, Any]:
        """For the module's ``actions``."""
        shown = {"action": self.kind, "name": self.name, "reason": self.reason}
        return {**shown, "to": self.to.name} if self.to else shown


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is done, in this order; ``strangers`` are other people's VMs that run there."""

    host: HostFacts
    actions: tuple[Action, ...] = ()
    strangers: tuple[str, ...] = ()

    @property
    def moves(self) -> tuple[Action, ...]:
        return tuple(action for action in self.actions if action.kind == MIGRATE)


def survey(session: Session, *, datacenter: str, host: str) -> Seen:
    """The host and what runs on it: four calls. Raises NotFound, Ambiguous."""
    center = find_datacenter(session, datacenter)
    (found,), computes = find_hosts(session, datacenter=center, names=[host])
    start = [(session.managed("HostSystem", found.moid), ("host_vm",))]
    what = f"Cannot read the VMs of host '{found.name}'"
    networks = {
        one.moid: moids_of(one.get("network"))
        for one in read(session, start=start, properties={"VirtualMachine": ("network",)}, what=what)
    }
    scope = read_scope(session, vms=networks, hosts=computes[found.compute].hosts)
    return Seen(host=scope.hosts[found.moid], cluster=_others(found, scope), vms=_running(networks, scope))


def _others(host: HostFacts, scope: Scope) -> tuple[HostFacts, ...]:
    others = (one for one in scope.hosts.values() if one.compute == host.compute and one.moid != host.moid)
    return tuple(sorted(others, key=lambda one: one.name))


def _running(networks: Mapping[str, tuple[str, ...]], scope: Scope) -> tuple[Here, ...]:
    running = (vm for vm in scope.vms if vm.moid in networks and vm.power != OFF)
    return tuple(
        Here(facts=vm, networks=networks[vm.moid], container=as_container_vm(vm, scope))
        for vm in sorted(running, key=lambda vm: (vm.name, vm.moid))
    )


def plan(seen: Seen, *, state: str, migrate: bool) -> Plan:
    """What brings the host into the state. Pure.

    Raises: InUse for what has to be parked or removed first, CapacityShort where a container VM has nowhere to go.
    """
    host = seen.host
    if state == IN_SERVICE:
        leave = Action(kind=EXIT, name=host.name, moid=host.moid, reason="it is in maintenance mode")
        return Plan(host=host, actions=(leave,) if host.maintenance else ())
    if host.maintenance:
        return Plan(host=host)
    _check_templates(seen)
    containers = [vm for vm in seen.vms if vm.container]
    if containers and not migrate:
        raise InUse(
            "Cannot take the host out of service",
            obj=host.name,
            why=f"containers run there: {_listed(vm.facts.name for vm in containers)}",
            next_step="Remove them, or set migrate to true",
            details={"container_vms": [vm.facts.name for vm in containers]},
        )
    enter = Action(kind=ENTER, name=host.name, moid=host.moid, reason="it is to be in maintenance mode")
    strangers = tuple(vm.facts.name for vm in seen.vms if not vm.container)
    return Plan(host=host, actions=(*_moves(seen, containers), enter), strangers=strangers)


def _check_templates(seen: Seen) -> None:
    """A frozen VM cannot be moved. A copy of one with copied marks is somebody's own VM."""
    there = [vm.facts.name for vm in seen.vms if _is_template(vm.facts)]
    if there:
        raise InUse(
            "Cannot take the host out of service",
            obj=seen.host.name,
            why=f"template VMs are powered on there, which cannot be moved: {_listed(there)}",
            next_step="Power them off with photon_template, state parked, and this host in hosts",
            details={"template_vms": there},
        )


def _is_template(facts: VmFacts) -> bool:
    kind = facts.extra_config.get(marks_of.KEY_KIND, "")
    return kind == marks_of.TEMPLATE_KIND and marks_of.are_its_own(facts.extra_config, bios_uuid=facts.bios_uuid)


def _moves(seen: Seen, containers: Iterable[Here]) -> Iterable[Action]:
    """Each container VM goes to a host that has its datastores and networks, the one with the most free memory."""
    free = {one.moid: one.memory_free_mb for one in seen.cluster}
    for vm in containers:
        able = [
            one
            for one in seen.cluster
            if one.in_service
            and set(vm.facts.datastores) <= set(one.datastores)
            and set(vm.networks) <= set(one.networks)
            and free[one.moid] >= vm.facts.memory_mb
        ]
        if not able:
            raise CapacityShort(
                "Cannot move the container VM",
                obj=vm.facts.name,
                why=f"no other host of the cluster is in service, has its datastores and networks, and "
                f"{vm.facts.memory_mb} MiB of memory free",
                next_step="Bring another host into service, or remove the container",
                details={"vm": vm.facts.name, "hosts": [one.name for one in seen.cluster]},
            )
        seats = [
            placement.Seat(vm=one.moid, host=one.name, memory_free_mb=free[one.moid], clone_mb=vm.facts.memory_mb)
            for one in able
        ]
        wish = placement.Wish(key=vm.facts.moid, group="")
        chosen = placement.place([wish], seats=seats)[wish.key].vm
        free[chosen] -= vm.facts.memory_mb
        yield Action(
            kind=MIGRATE,
            name=vm.facts.name,
            moid=vm.facts.moid,
            reason="its host is to be in maintenance mode",
            to={one.moid: one for one in able}[chosen],
        )


def difference(seen: Seen, wanted: Plan) -> tuple[dict[str, Any], dict[str, Any]]:
    """Before and after of the host and of the VMs that move."""
    changes = any(action.kind != MIGRATE for action in wanted.actions)
    mode = {True: MAINTENANCE, False: IN_SERVICE}
    before = {"host": mode[seen.host.maintenance], "container_vms": {one.name: seen.host.name for one in wanted.moves}}
    hosts = {one.name: one.to.name for one in wanted.moves if one.to}
    return before, {"host": mode[seen.host.maintenance != changes], "container_vms": hosts}


def check_rights(session: Session, wanted: Plan) -> None:
    """Refuse what would end half-way. Raises PermissionMissing."""
    what = "Cannot take the host out of service or back"
    check_privileges(session, {move.moid: move.name for move in wanted.moves}, [_VMOTION], what=what)
    place = Place(kind="HostSystem", moid=wanted.host.moid, name=wanted.host.name)
    check_places(session, {place: [_MAINTAIN]}, what=what, obj=wanted.host.name)


def carry_out(session: Session, wanted: Plan, *, seconds: float, progress: Progress = silent) -> None:
    """Move the VMs side by side, then enter or leave maintenance mode.

    Where a VM cannot be moved, the host stays in service. Raises what failed,
    with what was done nevertheless in ``actions``.
    """
    deadline = Deadline(seconds)
    done: list[Action] = []
    if wanted.moves:
        errors = _migrate(session, wanted.moves, deadline=deadline)
        done += [move for move in wanted.moves if errors[move.moid] is None]
        progress(f"{len(done)} of {len(wanted.moves)} container VMs moved")
        _raise(wanted.host, [error for error in errors.values() if error], done)
    host = session.managed("HostSystem", wanted.host.moid)
    for action in wanted.actions:
        if action.kind == MIGRATE:
            continue
        # vCenter waits until nothing is powered on there, and gives up by itself before we do.
        limit = max(1, int(deadline.remaining()) - 5)
        entering = action.kind == ENTER
        call = partial(host.ExitMaintenanceMode_Task, timeout=limit)
        if entering:
            call = partial(host.EnterMaintenanceMode_Task, timeout=limit, evacuatePoweredOffVms=False)
        what = f"Cannot bring {'into maintenance mode' if entering else 'back into service'} host"
        outcome = run_tasks(
            session, {"": call}, what=what, names={"": wanted.host.name}, deadline=deadline
        )  # fmt: skip
        _raise(wanted.host, [error for error in outcome.values() if error], done)
        progress(f"{wanted.host.name}: {action.kind.replace('_', ' ')}")


def _migrate(session: Session, moves: Iterable[Action], *, deadline: Deadline) -> dict[str, BonnevilleError | None]:
    def begin(move: Action) -> Any:
        to = session.managed("HostSystem", move.to.moid) if move.to else None
        return session.managed("VirtualMachine", move.moid).RelocateVM_Task(spec=vim.vm.RelocateSpec(host=to))

    known = {move.moid: move for move in moves}
    return run_tasks(
        session,
        {moid: partial(begin, move) for moid, move in known.items()},
        what="Cannot move the container VM",
        names={moid: move.name for moid, move in known.items()},
        deadline=deadline,
    )


def _raise(host: HostFacts, errors: list[BonnevilleError], done: list[Action]) -> None:
    if not errors:
        return
    details = {"changed": bool(done), "actions": [action.document() for action in done]}
    if len(errors) == 1:
        errors[0].details |= details
        raise errors[0]
    raise Several(f"Cannot bring into maintenance mode host {host.name}", errors, details=details)


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    return ", ".join(known[:10]) + (f" and {len(known) - 10} more" if len(known) > 10 else "")
