# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The removal of chosen containers: what is meant, what forbids it, and its carrying out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import power
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import OFF, ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.plan import plan_removal
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.read import (
    claimed_vm,
    container_vms,
    in_words,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.select import Selector, check_names, select
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.sight import Sight
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import Plan
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    ForeignVm,
    InvalidOption,
    Several,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._progress import Progress, silent
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import read_scope
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.privileges import check_privileges
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

_WHAT = "Cannot remove the container VM"
_DELETE = "VirtualMachine.Inventory.Delete"
_POWER_OFF = "VirtualMachine.Interact.PowerOff"


def plan_absence(sight: Sight, selector: Selector, *, owner: str) -> Plan:
    """The removal of every container VM that is meant, with what forbids it. Pure.

    Raises: Ambiguous where a name fits several containers, InvalidOption where nothing is named.
    """
    if selector.fits_all:
        raise InvalidOption(
            "Cannot remove containers", why="none is named", next_step="Set name, service, fleet or labels"
        )
    names = selector.names or ()
    chosen = select(sight.vms, selector)
    check_names(chosen, names)
    errors = (*_foreign(sight, names), *_of_others(chosen, owner))
    return replace(plan_removal(vms=chosen, reason="it is to be absent"), errors=errors)


def plan_clearing(session: Session, moids: Iterable[str], *, why: str) -> Plan:
    """The removal of container VMs that are known by their managed object ids; what is none of ours is left out."""
    wanted = tuple(moids)
    found = container_vms(read_scope(session, vms=wanted)).ours if wanted else ()
    return plan_removal(vms=found, reason=why)


def copies(sight: Sight, selector: Selector) -> tuple[str, ...]:
    """Names of VMs that would be meant if the marks that they bear were their own. Pure."""
    return tuple(vm.name for vm in sight.others if (claimed := claimed_vm(vm)) and selector.fits(claimed))


def check_rights(session: Session, plan: Plan) -> None:
    """Refuse a removal that would end half-way, with VMs that are off and stay. Raises: PermissionMissing."""
    vms = _vms(plan)
    privileges = [_DELETE, _POWER_OFF] if any(vm.power != OFF for vm in vms) else [_DELETE]
    check_privileges(session, {vm.moid: vm.name for vm in vms}, privileges, what=_WHAT)


def carry_out(session: Session, plan: Plan, *, force: bool, seconds: float, progress: Progress = silent) -> None:
    """Remove what is planned, all side by side.

    Args:
        progress: is told how many are gone.
        seconds: what vCenter's work may take, beside the containers' own stop timeouts.

    Raises: what failed, in the end, with the names of those that are ``removed`` all the same.
    """
    removals = [power.removal(vm, force=force) for vm in _vms(plan)]
    longest = 0.0 if force else max(one.stop_timeout for one in removals)
    gone: list[str] = []

    def tell(moid: str, error: BonnevilleError | None) -> None:
        gone.extend([moid] if error is None else [])
        progress(f"{len(gone)} of {len(removals)} container VMs removed", tally=True)

    outcomes = power.remove(session, removals, deadline=Deadline(seconds + longest), on_done=tell)
    errors = [error for error in outcomes.values() if error]
    if not errors:
        return
    removed = [action for action in plan.actions if action.vm and outcomes[action.vm.moid] is None]
    details = {
        "changed": bool(removed),
        "removed": [action.name for action in removed],
        "actions": [action.document() for action in removed],
    }
    if len(errors) == 1:
        errors[0].details |= details
        raise errors[0]
    raise Several(f"{len(errors)} of {len(removals)} container VMs are not removed", errors, details=details)


def states(plan: Plan) -> dict[str, str]:
    """The phase of each VM that is to go, by its name, or by its path where a name is there twice."""
    vms = _vms(plan)
    names = [vm.name for vm in vms]
    return {f"{vm.folder}/{vm.name}" if names.count(vm.name) > 1 else vm.name: vm.phase for vm in vms}


def _vms(plan: Plan) -> list[ContainerVm]:
    return [action.vm for action in plan.actions if action.vm]


def _foreign(sight: Sight, names: Sequence[str]) -> Iterable[BonnevilleError]:
    """A name that is asked for belongs to someone else's VM."""
    for vm in sight.others:
        if vm.name in names:
            yield ForeignVm(
                _WHAT,
                obj=vm.name,
                why=f"the VM of that name in folder '{vm.folder}' is none: {in_words(vm)}",
                next_step="Leave its name out, or remove it by other means if it is yours",
                details=_details(vm.name, vm.moid),
            )


def _of_others(vms: Iterable[ContainerVm], owner: str) -> Iterable[BonnevilleError]:
    for vm in vms:
        if vm.marks.owner != owner:
            theirs = f"owner '{vm.marks.owner}'" if vm.marks.owner else "no owner"
            yield ForeignVm(
                _WHAT,
                obj=vm.name,
                why=f"its marks say that it has {theirs}, and "
                + (f"owner is '{owner}' here" if owner else "owner is not set here"),
                next_step="Set owner to what its marks say if it is yours to remove",
                details={**_details(vm.name, vm.moid), "owner": vm.marks.owner},
            )


def _details(name: str, moid: str) -> Mapping[str, str]:
    return {"name": name, "moid": moid}
