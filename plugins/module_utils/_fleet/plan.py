# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet's plan: its services' containers, what is left of others, and what forbids it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.deploy import HeldImages
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import Identity
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.plan import compare_vm, plan, plan_removal
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import (
    RECREATE,
    START,
    Action,
    Plan,
    Service,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.survey import Survey
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.templates import retired
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.volumes import own_disks
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.wish import disk_name
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    ForeignVm,
    InvalidOption,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet import finished, rolling
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.desired import Fleet
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.order import in_order
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import Scope


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """A container VM of the fleet whose service the files name no longer."""

    vm: ContainerVm

    def document(self) -> dict[str, str]:
        return {"name": self.vm.name, "service": self.vm.marks.service, "moid": self.vm.moid}


def plan_fleet(fleet: Fleet, seen: Survey, held_images: HeldImages) -> Plan:
    """All actions, and all that forbids them. A refusal to prune is among the errors."""
    mine = members(fleet, seen)
    errors = list(_other_owner(fleet, mine))
    if fleet.absent:
        return replace(plan_removal(vms=mine, reason="the fleet is to be absent"), errors=tuple(errors))
    planned = _plan_services(fleet, seen, held_images)
    told = {str(error.details.get("moid", "")) for error in planned.errors}
    errors = [error for error in errors if error.details["moid"] not in told]
    left = [one.vm for one in orphans(fleet, seen)]
    removal: tuple[Action, ...] = ()
    if fleet.prune:
        errors += _forbidden_to_prune(fleet, left)
        removal = plan_removal(vms=left, reason="its service is no longer in the fleet's files").actions
    return Plan(actions=(*planned.actions, *removal), errors=(*planned.errors, *errors))


def members(fleet: Fleet, seen: Survey) -> tuple[ContainerVm, ...]:
    """All container VMs that were made for the fleet, whoever owns them."""
    found = (vm for vm in seen.vms if vm.marks.fleet == fleet.name and _is_genuine(vm, fleet, seen))
    return tuple(sorted(found, key=lambda vm: (vm.name, vm.moid)))


def orphans(fleet: Fleet, seen: Survey) -> tuple[Orphan, ...]:
    """What the fleet has and its files do not."""
    if fleet.absent:
        return ()
    known = {*(service.name for service in fleet.project.services), *fleet.project.idle}
    return tuple(
        Orphan(vm=vm) for vm in members(fleet, seen) if vm.marks.service not in known and vm.marks.owner == fleet.owner
    )


def unused_volumes(fleet: Fleet, seen: Survey) -> tuple[str, ...]:
    """The names of disks that go with the containers that had them; an external one never does.

    What a container's disks are called, and which of them are external, its marks tell: the files may not be
    there, or be others by now.
    """
    wishes = fleet.desired.volumes
    leaving = members(fleet, seen) if fleet.absent else tuple(one.vm for one in orphans(fleet, seen) if fleet.prune)
    disks = {disk for vm in leaving for disk in own_disks(vm.marks.applied.options)}
    named = {disk_name(fleet.name, one, wishes) for one in wishes}
    external = {disk_name(fleet.name, one, wishes) for one, wish in wishes.items() if wish.external}
    return tuple(sorted((disks | named) - external if fleet.absent else disks - named))


def resized(seen: Survey) -> dict[str, str]:
    """Why container VMs cannot stay whose CPUs or memory are no longer their template's, by moid.

    A clone has what its template VM has; where that one is gone, nothing can be compared.
    """
    facts = {vm.moid: vm for vm in seen.scope.vms}
    found = {}
    for vm in seen.vms:
        own, template = facts.get(vm.moid), facts.get(vm.marks.template_vm)
        if own is None or template is None or (own.cpus, own.memory_mb) == (template.cpus, template.memory_mb):
            continue
        found[vm.moid] = (
            f"resized: it has {own.cpus} CPUs and {own.memory_mb} MiB, "
            f"its template {template.cpus} and {template.memory_mb}"
        )
    return found


def of_older_generations(fleet: Fleet, seen: Survey) -> tuple[ContainerVm, ...]:
    """The fleet's container VMs whose template was rebuilt since they were cloned."""
    old = retired(seen.scope)
    return tuple(vm for vm in members(fleet, seen) if vm.marks.template_vm in old)


def settle_jobs(
    fleet: Fleet,
    services: Iterable[Service],
    vms: Iterable[ContainerVm],
    scope: Scope,
    *,
    vcenter: str,
    now: datetime | None,
) -> tuple[Service, ...]:
    """The services, with the jobs' ordinals that need no VM any more.

    Args:
        now: vCenter's time; None where nothing has to be compared with it.
    """
    names = record_names(fleet, scope)
    standing = tuple(vms)
    ttl = {one.name: one.ttl for one in fleet.project.services}
    found = []
    for service in services:
        settled = finished.recorded(service, names.values(), vcenter=vcenter) if service.ends else frozenset()
        if service.ends and now is not None:
            settled |= {
                vm.marks.ordinal
                for vm in standing
                if _belongs(vm, service)
                and has_outlived(vm, ttl[service.name], service, now=now)
                and _is_as_wanted(vm, service)
            }
        found.append(replace(service, settled=settled))
    return tuple(found)


def may_have_outlived(fleet: Fleet, vms: Iterable[ContainerVm]) -> bool:
    """Whether the time is needed at all."""
    limited = {one.name for one in fleet.project.services if one.ttl is not None}
    return any(vm.marks.service in limited and vm.marks.fleet == fleet.name and vm.phase == "exited" for vm in vms)


def has_outlived(vm: ContainerVm, ttl: float | None, service: Service, *, now: datetime) -> bool:
    """Whether a job ended so long ago that its VM goes. One that has to succeed, and did not, is run again instead."""
    if ttl is None or vm.phase != "exited" or vm.container is None:
        return False
    if service.must_succeed and vm.container.exit_code != 0:
        return False
    try:
        ended = datetime.fromisoformat(vm.container.finished_at)
    except ValueError:
        return False  # a guest may say anything
    return ended.replace(tzinfo=ended.tzinfo or UTC) + timedelta(seconds=ttl) <= now


def _is_as_wanted(vm: ContainerVm, service: Service) -> bool:
    """Whether a job's VM is of the job as it is described now: only then what it did is what was to be done."""
    if service.spec is None or service.recreate:
        return False
    return compare_vm(service, service.identity(vm.marks.ordinal), vm, {}).equal


def record_names(fleet: Fleet, scope: Scope) -> dict[str, str]:
    """The folders directly in the fleet's folder, by moid."""
    below = f"{fleet.folder}/"
    return {
        moid: path.removeprefix(below)
        for moid, path in scope.folders.items()
        if path.startswith(below) and "/" not in path.removeprefix(below)
    }


def _plan_services(fleet: Fleet, seen: Survey, held_images: HeldImages) -> Plan:
    """Dependents that are to restart with what they depend on are planned in the order of the dependencies."""
    services = {service.name: service for service in seen.services}
    unfit = resized(seen)

    def once() -> Plan:
        return plan(
            services=services.values(), vms=seen.vms, taken=seen.taken, held_images=held_images,
            vcenter=seen.vcenter, unfit=unfit,
        )  # fmt: skip

    planned = once()
    if any(one.restart for service in fleet.project.services for one in service.depends_on):
        for name in in_order(fleet.project.services):
            fresh = {action.service.name for action in planned.of(RECREATE, START)}
            reasons = [
                one.service for one in fleet.project.service(name).depends_on if one.restart and one.service in fresh
            ]
            if reasons and name in services and not services[name].ends:
                why = f"'{reasons[0]}' is replaced or started again, and depends_on says restart"
                services[name] = replace(services[name], because=why)
                planned = once()
    return replace(planned, actions=tuple(_by_order(fleet, action) for action in planned.actions))


def _by_order(fleet: Fleet, action: Action) -> Action:
    """Whether the old one makes room first is the update's to say, unless the two cannot run side by side."""
    if action.kind != RECREATE or action.stop_first:
        return action
    update = fleet.project.service(action.service.name).update
    return replace(action, stop_first=update.order == rolling.STOP_FIRST)


def _other_owner(fleet: Fleet, vms: Iterable[ContainerVm]) -> Iterable[BonnevilleError]:
    for vm in vms:
        if vm.marks.owner != fleet.owner:
            theirs = f"owner '{vm.marks.owner}'" if vm.marks.owner else "nobody in particular"
            yield ForeignVm(
                "Cannot manage the fleet",
                obj=fleet.name,
                why=f"its VM '{vm.name}' belongs to {theirs}, and owner is '{fleet.owner}' here",
                next_step="Use another name or folder, or set owner to what its marks say if it is yours",
                details={"moid": vm.moid, "owner": vm.marks.owner},
            )


def _forbidden_to_prune(fleet: Fleet, left: Collection[ContainerVm]) -> Iterable[BonnevilleError]:
    if left and not fleet.project.services and not fleet.allow_empty:
        yield InvalidOption(
            "Cannot prune the fleet",
            obj=fleet.name,
            why=f"its files name no service at all, so all of its {len(left)} containers would go",
            next_step="Use state: absent to remove it, or set allow_empty if this is meant",
            details={"option": "allow_empty", "orphans": [vm.name for vm in left]},
        )
    if len(left) > fleet.max_prune:
        yield InvalidOption(
            "Cannot prune the fleet",
            obj=fleet.name,
            why=f"{len(left)} containers would go, and max_prune is {fleet.max_prune}: "
            + ", ".join(vm.name for vm in left),
            next_step="Raise max_prune if all of them are to go",
            details={"option": "max_prune", "orphans": [vm.name for vm in left]},
        )


def _is_genuine(vm: ContainerVm, fleet: Fleet, seen: Survey) -> bool:
    marks = vm.marks
    identity = Identity(fleet=fleet.name, folder=fleet.folder, service=marks.service, ordinal=marks.ordinal)
    return vm.is_of(identity, vcenter=seen.vcenter)


def _belongs(vm: ContainerVm, service: Service) -> bool:
    return (vm.marks.fleet, vm.marks.service) == (service.fleet, service.name)
