# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Template VMs are neither for DRS to move nor for HA to restart: a frozen VM cannot be moved, and one that is
restarted is frozen no more. Where the user may change the cluster, it is told so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError, PermissionMissing
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.plan import EXEMPT, UNCHANGED, Plan, Step
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.survey import Survey
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.overrides import (
    PRIVILEGE,
    Overrides,
    exempt,
    read_overrides,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.privileges import check_places
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Place
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session


@dataclass(frozen=True, kw_only=True)
class Exemptions:
    """What clusters do with VMs now, by their managed object ids; ``warnings`` where that cannot be changed."""

    known: Mapping[str, Overrides] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def lacking(self, vm: str, cluster: str) -> bool:
        return cluster in self.known and self.known[cluster].lacking(vm)


def look(session: Session, seen: Survey, plan: Plan) -> Exemptions:
    """One call, and one more for each cluster whose DRS or HA would touch a template VM."""
    if not seen.clusters:
        return Exemptions()
    known = read_overrides(session, seen.clusters)
    warnings = []
    for cluster in seen.clusters:
        mine = [step for step in plan.steps if _cluster(seen, step) == cluster.moid and not step.aside]
        if not any(step.works or (step.vm and known[cluster.moid].lacking(step.vm.moid)) for step in mine):
            continue
        if not (known[cluster.moid].drs or known[cluster.moid].ha):
            continue
        try:
            check_places(session, {cluster: [PRIVILEGE]}, what="Cannot exempt template VMs", obj=cluster.name)
        except PermissionMissing:
            del known[cluster.moid]
            warnings.append(_warning(session, cluster))
    return Exemptions(known=known, warnings=tuple(warnings))


def _warning(session: Session, cluster: Place) -> str:
    return (
        f"DRS may try to move the template VMs, and HA restarts them unfrozen: {session.user_name} lacks the privilege "
        f"{PRIVILEGE} on cluster '{cluster.name}', which exempts them from both."
    )


def with_exemptions(plan: Plan, seen: Survey, exemptions: Exemptions) -> Plan:
    """The plan with what is only to be exempted: a VM that is as wanted otherwise. Pure."""

    def one(step: Step) -> Step:
        if step.action != UNCHANGED or not step.vm:
            return step
        if not exemptions.lacking(step.vm.moid, _cluster(seen, step)):
            return step
        return replace(step, action=EXEMPT, reason="DRS may move it, or HA restart it")

    return replace(plan, steps=tuple(map(one, plan.steps)))


def grant(
    session: Session, seen: Survey, names: Iterable[str], exemptions: Exemptions, *, deadline: Deadline
) -> dict[str, BonnevilleError]:
    """Exempt the VMs of these names, as they stand now: one task for each cluster; the errors, by cluster."""
    wanted = set(names)
    errors: dict[str, BonnevilleError] = {}
    for cluster in seen.clusters:
        known = exemptions.known.get(cluster.moid)
        vms = [
            vm.moid
            for vm in seen.vms
            if vm.name in wanted and vm.host in seen.facts and seen.facts[vm.host].compute == cluster.moid
        ]
        lacking = [vm for vm in vms if known and known.lacking(vm)]
        if known and lacking:
            error = exempt(session, cluster, lacking, known=known, deadline=deadline)
            errors |= {cluster.moid: error} if error else {}
    return errors


def _cluster(seen: Survey, step: Step) -> str:
    facts = seen.facts.get(step.host.moid)
    return facts.compute if facts else ""
