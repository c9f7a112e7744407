# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what is wanted and what stands to what is done, container by container. Pure.

A plan acts only on VMs with genuine marks of the wanted services; nothing else
has a way into an action. Its order does not depend on the order of its input.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import (
    OFF,
    ON,
    SILENT,
    UNDER_WAY,
    ContainerVm,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.compare import Comparison, compare
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import SLOTS, Identity
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.spec import EXCLUSIVE
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import (
    ABSENT,
    ADOPT,
    CREATE,
    HEALTHY,
    MOVE,
    PRESENT,
    RECREATE,
    REMOVE,
    RENAME,
    START,
    STOP,
    STOPPED,
    UNCHANGED,
    Action,
    Plan,
    Service,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    Ambiguous,
    BonnevilleError,
    ForeignVm,
    InvalidOption,
)


def plan(
    *,
    services: Iterable[Service],
    vms: Iterable[ContainerVm],
    taken: Mapping[tuple[str, str], str],
    held_images: Mapping[tuple[str, str], Collection[str]],
    vcenter: str,
    unfit: Mapping[str, str] | None = None,
) -> Plan:
    """How every wanted container comes to be, and what is no longer wanted goes.

    Args:
        vms: all container VMs that were read, of whatever service.
        taken: what the VM is, in words, for each folder and name that belongs to a VM which is none of ours.
        held_images: the ids that a template's VMs hold for an image, by template and image.
        vcenter: the vCenter's instanceUuid, part of every identity.
        unfit: why a VM cannot stay although its marks are as wanted, by moid.

    Raises:
        InvalidOption: secrets were recorded under another digest key.
    """
    ordered = sorted(services, key=lambda service: (service.fleet, service.folder, service.name))
    standing = sorted(vms, key=lambda vm: (vm.name, vm.moid))
    errors = list(_collisions(ordered))
    actions: list[Action] = []
    mine: dict[str, ContainerVm] = {}
    for service in ordered:
        belonging = [vm for vm in standing if vm.is_of(service.identity(vm.marks.ordinal), vcenter=vcenter)]
        mine |= {vm.moid: vm for vm in belonging}
        errors.extend(_other_owner(service, belonging))
        errors.extend(_ambiguous(belonging))
        wanted = {identity.ordinal: identity for identity in service.identities}
        for ordinal in sorted(wanted, key=_number):
            candidates = [vm for vm in belonging if vm.marks.ordinal == ordinal]
            actions.extend(_container(service, wanted[ordinal], candidates, held_images, unfit or {}))
        surplus = sorted((vm for vm in belonging if vm.marks.ordinal not in wanted), key=_ordinal, reverse=True)
        actions.extend(_remove(service, vm, _surplus_reason(service, vm)) for vm in surplus)
    errors.extend(_names(actions, standing, mine, taken))
    return Plan(actions=tuple(actions), errors=tuple(errors))


def plan_removal(*, vms: Iterable[ContainerVm], reason: str) -> Plan:
    """The removal of chosen container VMs, of whatever services."""
    chosen = sorted(vms, key=lambda vm: (vm.marks.fleet, vm.marks.service, _ordinal(vm), vm.moid), reverse=True)
    return Plan(
        actions=tuple(
            _remove(
                Service(name=vm.marks.service, fleet=vm.marks.fleet, folder=vm.folder, spec=None, state=ABSENT),
                vm,
                reason,
            )
            for vm in chosen
        )
    )


def _container(
    service: Service,
    identity: Identity,
    candidates: list[ContainerVm],
    held_images: Mapping[tuple[str, str], Collection[str]],
    unfit: Mapping[str, str],
) -> Iterable[Action]:
    """One container: choose which VM is kept, and bring it to its state; further VMs of it go."""
    spec = service.spec
    if spec is None:
        return
    if not candidates:
        after = {"image": spec.image, "template": spec.template, "state": service.state}
        yield Action(
            kind=CREATE, identity=identity, service=service, reason="it does not exist", slot=SLOTS[0],
            waits=True, after=after,
        )  # fmt: skip
        return
    found = [(vm, compare_vm(service, identity, vm, held_images)) for vm in candidates]
    found.sort(key=lambda pair: (-_worth(pair[0], pair[1], identity), pair[0].marks.slot, pair[0].moid))
    vm, comparison = found[0]
    for other, _unused in found[1:]:
        yield _remove(service, other, f"a second VM of {identity.name}, left by an interrupted replacement")
    reason = _why_replace(service, vm, comparison, unfit.get(vm.moid, ""))
    if reason:
        yield Action(
            kind=RECREATE,
            identity=identity,
            service=service,
            reason=reason,
            vm=vm,
            slot=SLOTS[1] if vm.marks.slot == SLOTS[0] else SLOTS[0],
            stop_first=spec.is_exclusive or _was_exclusive(vm),
            waits=True,
            before=comparison.before,
            after=comparison.after,
        )
        return
    if vm.sealed:
        yield Action(
            kind=ADOPT, identity=identity, service=service, vm=vm,
            reason="an earlier run made it and did not finish: its sealed spec is still in its configuration",
        )  # fmt: skip
    if service.fleet and vm.folder != identity.folder:
        yield Action(
            kind=MOVE, identity=identity, service=service, vm=vm, reason="someone moved it out of its folder",
            before={"folder": vm.folder or "another"}, after={"folder": identity.folder},
        )  # fmt: skip
    if vm.name != identity.name:
        yield Action(
            kind=RENAME, identity=identity, service=service, vm=vm, reason=f"it is called {vm.name}",
            before={"name": vm.name}, after={"name": identity.name},
        )  # fmt: skip
    yield _bring_to_state(service, identity, vm)


def compare_vm(
    service: Service, identity: Identity, vm: ContainerVm, held_images: Mapping[tuple[str, str], Collection[str]]
) -> Comparison:
    """How a standing VM differs from what its service wants now. Raises InvalidOption as ``compare`` does."""
    spec = service.spec
    # Whoever asks for a new container in any case may have a new digest key, too.
    if spec is None or service.recreate:
        return Comparison()
    return compare(
        spec,
        vm.marks.applied,
        rules=service.rules,
        image_ids=held_images.get((spec.template, spec.image), ()),
        scope=identity.scope,
        digest_key=service.digest_key,
        exact=service.exact,
    )


def _why_replace(service: Service, vm: ContainerVm, comparison: Comparison, unfit: str) -> str:
    """Why a VM cannot stay; empty when it can."""
    if service.recreate:
        return "recreate was asked for"
    if not comparison.equal:
        return comparison.reason
    if unfit or service.because:
        return unfit or service.because
    # A VM that is off keeps no status; starting it tells.
    if service.state == STOPPED or vm.power == OFF:
        return ""
    if vm.phase == SILENT:
        return "its agent says nothing: it never came up, or its guest is broken"
    if vm.phase == "failed" and vm.status:
        return f"its agent gave up: {vm.status.reason.message if vm.status.reason else 'no reason given'}"
    return ""


def _bring_to_state(service: Service, identity: Identity, vm: ContainerVm) -> Action:
    def action(kind: str, reason: str, *, waits: bool = False, to: str = "") -> Action:
        return Action(
            kind=kind, identity=identity, service=service, vm=vm, reason=reason, waits=waits,
            before={"state": vm.phase} if to else {}, after={"state": to} if to else {},
        )  # fmt: skip

    if service.state == STOPPED:
        if vm.power == OFF:
            return action(UNCHANGED, "it is stopped")
        return action(STOP, f"it is {vm.phase}", to="stopped")
    if service.state == PRESENT:
        return action(UNCHANGED, f"it is {vm.phase}", waits=vm.power == ON and vm.phase in UNDER_WAY)
    health = vm.container.health if vm.container else ""
    if vm.phase == "running":
        waits = service.state == HEALTHY and health != "healthy"
        waits = waits or (service.checked and health in ("starting", "unhealthy")) or service.must_succeed
        return action(UNCHANGED, "it is running", waits=waits)
    if vm.phase in UNDER_WAY:
        return action(UNCHANGED, f"it is still {vm.phase}", waits=True)
    if service.ends and not (service.must_succeed and _may_have_failed(vm)):
        return action(UNCHANGED, _how_it_ended(vm))
    reason = f"it is {vm.phase}"
    if vm.phase == "exited" and vm.container:
        reason = f"it ended with exit code {vm.container.exit_code}"
    return action(START, reason, waits=True, to="running")


def _may_have_failed(vm: ContainerVm) -> bool:
    return vm.phase != "exited" or not vm.container or vm.container.exit_code != 0


def _how_it_ended(vm: ContainerVm) -> str:
    """Of a container that is to end. One whose VM is off is not run twice on a suspicion."""
    if vm.phase != "exited":
        return f"it is to end by itself, and its VM is {vm.phase}"
    return f"it is finished, with exit code {vm.container.exit_code if vm.container else None}"


def _worth(vm: ContainerVm, comparison: Comparison, identity: Identity) -> int:
    """Which of a container's VMs is kept: one that works as wanted, then one that works, then the one in place."""
    # One that is off beside the one in place may have failed, and be kept to be looked at: it keeps no status.
    works = vm.name == identity.name if vm.power == OFF else vm.phase not in (SILENT, "failed")
    return 4 * (works and comparison.equal) + 2 * works + (vm.name == identity.name)


def _was_exclusive(vm: ContainerVm) -> bool:
    return any(vm.marks.applied.options.get(name) for name in EXCLUSIVE)


def _remove(service: Service, vm: ContainerVm, reason: str) -> Action:
    return Action(
        kind=REMOVE,
        identity=service.identity(vm.marks.ordinal),
        service=service,
        vm=vm,
        reason=reason,
        before={"image": str(vm.marks.applied.options.get("image", "")), "state": vm.phase},
    )


def _surplus_reason(service: Service, vm: ContainerVm) -> str:
    if service.state == ABSENT:
        return service.because or "it is to be absent"
    if vm.marks.ordinal in service.settled:
        return "it is finished, and its time to live has passed"
    return "the service has no replicas now" if service.replicas is None else f"replicas is {service.replicas} now"


def _collisions(services: Iterable[Service]) -> Iterable[BonnevilleError]:
    owners: dict[tuple[str, str], Service] = {}
    for service in services:
        for identity in service.identities:
            first = owners.setdefault((identity.folder, identity.name), service)
            if first is not service:
                yield InvalidOption(
                    "Two services want a container of the name",
                    obj=identity.name,
                    why=f"it is computed for '{first.name}' and for '{service.name}'",
                    next_step="Rename one of the two services",
                    details={"name": identity.name},
                )


def _other_owner(service: Service, vms: Iterable[ContainerVm]) -> Iterable[BonnevilleError]:
    for vm in vms:
        if vm.marks.owner != service.owner:
            yield ForeignVm(
                "Cannot manage the container VM",
                obj=vm.name,
                why=f"its marks say that it belongs to {_owner(vm.marks.owner)}, this is {_owner(service.owner)}",
                next_step="Use another name or folder, or remove it from where it is managed",
                details={"moid": vm.moid, "owner": vm.marks.owner},
            )


def _owner(owner: str) -> str:
    return f"owner '{owner}'" if owner else "nobody in particular (owner is not set)"


def _ambiguous(vms: Iterable[ContainerVm]) -> Iterable[BonnevilleError]:
    """Two genuine VMs of one container and slot: a VM was registered twice, as after a restore from backup."""
    seen: dict[tuple[str, str], ContainerVm] = {}
    for vm in vms:
        first = seen.setdefault((vm.marks.ordinal, vm.marks.slot), vm)
        if first is not vm:
            yield Ambiguous(
                "Cannot tell which VM is the container",
                obj=vm.name,
                why=f"{first.name} ({first.moid}) and {vm.name} ({vm.moid}) have one identity and one BIOS UUID",
                next_step="Remove or unregister the one that was restored or copied by mistake",
                details={"moids": sorted((first.moid, vm.moid))},
            )


def _names(
    actions: Iterable[Action],
    standing: Iterable[ContainerVm],
    mine: Collection[str],
    taken: Mapping[tuple[str, str], str],
) -> Iterable[BonnevilleError]:
    """Every name that the plan would give to a VM has to be free, or be a VM's that the plan itself works on."""
    blocked = dict(taken)
    for vm in standing:
        if vm.moid not in mine:
            blocked[vm.folder, vm.name] = f"it is container VM {vm.moid} of service '{vm.title}', made elsewhere"
    for action in actions:
        names = [action.identity.name] if action.kind in (CREATE, RENAME) else []
        if action.kind == MOVE and action.vm:
            names = [action.vm.name]
        if action.kind == RECREATE:
            names = [action.identity.replacement(action.slot), action.identity.name]
        for name in names:
            there = blocked.get((action.identity.folder, name))
            if there:
                yield ForeignVm(
                    f"Cannot {action.kind} the container VM",
                    obj=name,
                    why=f"a VM of that name in folder '{action.identity.folder}' is not this container's; {there}",
                    next_step="Rename or move that VM, or use another name or folder",
                    details={"name": name, "folder": action.identity.folder},
                )


def _ordinal(vm: ContainerVm) -> tuple[int, int]:
    return _number(vm.marks.ordinal)


def _number(ordinal: str) -> tuple[int, int]:
    return (1, int(ordinal)) if ordinal.isdigit() else (0, 0)
