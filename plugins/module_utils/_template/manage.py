# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A template's run in two halves: ``prepare`` reads and plans, ``carry_out`` does what was planned.

Between them stands whoever guards check mode. All that can be found wrong
without changing anything is found in the first half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    Several,
    TemplateUnusable,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._template import driver, tell
from ansible_collections.bonneville.vsphere.plugins.module_utils._template import exemptions as exempt
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actions import Actions
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.build import Builder
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.dependents import find_dependents, names
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.desired import (
    ABSENT,
    PARKED,
    PRESENT,
    PULL,
    Request,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.permits import PARKING, REMOVAL, needed
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.plan import (
    EXEMPT,
    IMPORT,
    MOVE,
    REMOVE,
    RETIRE,
    VERIFY,
    Plan,
    Step,
    plan_absent,
    plan_parked,
    plan_present,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.site import Site
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import TemplateSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.survey import (
    Sources,
    Survey,
    Wanted,
    check_reach,
    open_sources,
    read_again,
    resolve,
    survey,
    with_siblings,
    with_strays,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import ensure_folder, find_folder
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.privileges import (
    check_places,
    check_privileges,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Place
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

# After its time is over, a run still cleans up behind itself; calls to vCenter are bounded by this much more.
_AFTERWARDS_SECONDS = 90.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """What was asked, what stands, and what is to be done. ``wanted`` is there where the template is to stand.

    ``to_clear`` are the managed object ids of container VMs that have to be removed before, with ``force``.
    """

    request: Request
    seen: Survey
    plan: Plan
    wanted: Wanted | None = None
    to_clear: tuple[str, ...] = ()
    exemptions: exempt.Exemptions = field(default_factory=exempt.Exemptions)

    @property
    def spec(self) -> TemplateSpec | None:
        return self.wanted.spec if self.wanted else None


@dataclass(frozen=True, kw_only=True)
class Done:
    """What came of a job: what stands afterwards (as far as it could be read), failures by the steps' keys.

    ``steps`` are the plan's, as they were done. ``milestones`` are seconds since the work began, by VM and by what
    was reached.
    """

    seen: Survey
    steps: tuple[Step, ...] = ()
    errors: Mapping[str, BonnevilleError] = field(default_factory=dict)
    milestones: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def prepare(session: Session, request: Request, sources: Sources) -> Job:
    """Read what stands and plan; raises whatever forbids the plan, before anything was changed."""
    seen = survey(session, request)
    if request.state == ABSENT:
        seen = with_siblings(session, seen, template=request.name)
        job = Job(request=request, seen=seen, plan=_plan_absent(request, seen, {}))
    elif request.state == PARKED:
        seen = with_siblings(session, seen, template=request.name)
        job = Job(request=request, seen=seen, plan=plan_parked(name=request.name, hosts=seen.hosts, vms=seen.vms))
    else:
        wanted = resolve(session, request, sources=sources, seen=seen)
        seen = with_siblings(session, seen, template=request.name, besides=wanted.spec.generation)
        plan = _plan_present(wanted, seen, {})
        if missing := [step.host for step in plan.work if step.missing]:
            folder = seen.folder.path if seen.folder else request.folder
            seen = with_strays(session, seen, missing, spec=wanted.spec, folder=folder, sequence=plan.sequence)
            plan = _plan_present(wanted, seen, {})
        job = Job(request=request, seen=seen, plan=plan, wanted=wanted)
        job = replace(job, wanted=_check(job, wanted))
    if job.plan.doomed and not job.plan.errors:
        found = find_dependents(session, job.plan.doomed)
        to_clear = {one.moid for ones in found.values() for one in ones if request.force and one.owner == request.owner}
        needed = names({moid: [one for one in ones if one.moid not in to_clear] for moid, ones in found.items()})
        plan = _plan_present(job.wanted, seen, needed) if job.wanted else _plan_absent(request, seen, needed)
        job = Job(request=request, seen=seen, plan=plan, wanted=job.wanted, to_clear=tuple(sorted(to_clear)))
    if job.plan.errors:
        raise _as_one(f"Nothing was done for template '{request.name}'", job.plan.errors)
    if request.state == PRESENT:
        exemptions = exempt.look(session, seen, job.plan)
        plan = exempt.with_exemptions(job.plan, seen, exemptions)
        job = replace(job, plan=plan, exemptions=exemptions)
    _check_privileges(session, job)
    return job


def carry_out(session: Session, job: Job, progress: Callable[[str], None]) -> Done:
    """Do the plan's work on all hosts side by side; one host's failure does not stop the others.

    Raises only what keeps all of them from beginning.
    """
    if not job.plan.work:
        return Done(seen=job.seen)
    deadline = Deadline(job.request.timeout)
    session.deadline = Deadline(job.request.timeout + _AFTERWARDS_SECONDS)
    if job.wanted is None:
        return _put_away(session, job, deadline)
    datacenter = job.seen.datacenter
    folder = job.seen.folder or ensure_folder(session, datacenter=datacenter, path=job.request.folder)
    builder = Builder(
        session,
        spec=job.wanted.spec,
        sequence=job.plan.sequence,
        site=Site(
            folder=folder,
            datastore=job.wanted.datastore,
            network=job.wanted.network,
            datacenter=datacenter.path,
            pools=job.seen.pools,
            ova=job.wanted.sources.ova,
            pull=job.request.transfer == PULL,
            source_vm=job.wanted.source_vm.moid if job.wanted.source_vm else "",
            cluster=job.seen.cluster,
            hosts=tuple(sorted(host.moid for host in job.seen.hosts)),
        ),
        logins=job.request.logins,
        deadline=deadline,
        progress=progress,
    )
    building = tuple(step for step in job.plan.work if step.action != EXEMPT)
    errors = driver.run(session, builder.flows(building), deadline=deadline)
    seen = job.seen
    try:
        seen = read_again(session, job.seen, folder)
    except BonnevilleError:
        # With failures of their own to tell, that they cannot be looked at adds nothing.
        if not errors:
            raise
    if seen is not job.seen:
        errors = {**_unfinished(job, job.wanted, seen), **errors}
        kept = (step.name for step in job.plan.work if not step.aside)
        errors |= exempt.grant(session, seen, kept, job.exemptions, deadline=deadline)
    steps = tuple(_as_done(step, builder.retired) for step in job.plan.steps)
    return Done(seen=seen, steps=steps, errors=errors, milestones=builder.milestones)


def failure(job: Job, done: Done) -> BonnevilleError | None:
    """All failures of a job as one, with what was done nevertheless; None when there is none.

    A failure that several hosts share is told once.
    """
    if not done.errors:
        return None
    unique = {id(error): error for error in done.errors.values()}
    error = _as_one(f"Cannot finish template '{job.request.name}'", unique.values())
    error.details.update(
        changed=_outline(job.seen) != _outline(done.seen),
        actions=tell.actions_after_failure(job.plan.work, done.errors),
        template=outcome(job, done),
    )
    return error


def outcome(job: Job, done: Done | None = None) -> dict[str, Any]:
    """The module's ``template``: as it stands after the work, or in check mode as it stands now."""
    return tell.template(
        name=job.request.name,
        spec=job.spec,
        steps=(done.steps if done else ()) or job.plan.steps,
        vms=(done or job).seen.vms,
        milestones=done.milestones if done else {},
    )


def _outline(seen: Survey) -> set[tuple[Any, ...]]:
    return {(vm.moid, vm.host, vm.power, vm.frozen, vm.marks.phase, vm.marks.generation, vm.astray) for vm in seen.vms}


def _plan_present(wanted: Wanted | None, seen: Survey, dependents: Mapping[str, tuple[str, ...]]) -> Plan:
    if wanted is None:
        raise AssertionError("a template that shall be has a spec")
    return plan_present(
        spec=wanted.spec,
        hosts=seen.hosts,
        vms=seen.vms,
        foreign=seen.foreign,
        dependents=dependents,
        cluster=seen.cluster,
    )


def _plan_absent(request: Request, seen: Survey, dependents: Mapping[str, tuple[str, ...]]) -> Plan:
    return plan_absent(
        name=request.name,
        hosts=seen.hosts,
        vms=seen.vms,
        everywhere=not request.cluster and not request.hosts,
        dependents=dependents,
    )


def _check(job: Job, wanted: Wanted) -> Wanted:
    """What the plan needs and no fault of vCenter's would say as well; with its source at hand."""
    work = job.plan.work
    check_reach([step.host for step in work if step.makes or step.action == MOVE], facts=job.seen.facts, wanted=wanted)
    return open_sources(job.request, wanted) if any(step.makes == IMPORT for step in work) else wanted


def _check_privileges(session: Session, job: Job) -> None:
    if not job.plan.work:
        return
    if job.wanted is None:
        vms = {step.vm.moid: step.vm.name for step in job.plan.work if step.vm}
        parking = job.request.state == PARKED
        verb = "park" if parking else "remove"
        check_privileges(session, vms, PARKING if parking else REMOVAL, what=f"Cannot {verb} the template VMs")
        return
    permits = needed(job.plan.work, job.wanted.spec, pull=job.request.transfer == PULL)
    datacenter = job.seen.datacenter
    folder = job.seen.folder or find_folder(session, datacenter=datacenter, path="")
    making = [] if job.seen.folder else ["Folder.Create"]
    wanted = {
        Place(kind="Folder", moid=folder.moid, name=folder.path or "vm"): [*permits.folder, *making],
        job.wanted.datastore: permits.datastore,
        job.wanted.network.place: permits.network,
    }
    # A host that left has no pool of the target's, and needs none.
    for pool in {pool for step in job.plan.work if (pool := job.seen.pools.get(step.host.moid))}:
        wanted[Place(kind="ResourcePool", moid=pool, name="Resources")] = permits.pool
    check_places(session, wanted, what="Cannot make template", obj=job.request.name)


def _put_away(session: Session, job: Job, deadline: Deadline) -> Done:
    """Park or remove the VMs."""
    actions = Actions(session)
    # A clone that a run left behind goes before the VM that its disks hang on.
    left = [step for step in job.plan.work if step.vm and step.vm.trial]
    errors: dict[str, BonnevilleError] = {}
    for steps in (left, [step for step in job.plan.work if step not in left]):
        flows = {
            step.key: actions.destroy(vm.moid, vm.name, power=vm.power) if step.destroys else actions.switch_off(vm)
            for step in steps
            if (vm := step.vm)
        }
        errors |= driver.run(session, flows, deadline=deadline) if flows else {}
    seen = job.seen
    if (errors or job.request.state == PARKED) and seen.folder:
        with suppress(BonnevilleError):
            seen = read_again(session, seen, seen.folder)
    return Done(seen=seen, errors=errors)


def _unfinished(job: Job, wanted: Wanted, seen: Survey) -> dict[str, BonnevilleError]:
    """Steps whose VM does not stand as wanted although nothing failed: someone was at it meanwhile."""
    left = _plan_present(wanted, seen, {}).work
    again = {step.host.moid: step for step in left if not step.aside and step.action != VERIFY}
    return {
        step.key: TemplateUnusable(
            "The template VM does not stay as it was made",
            obj=step.name,
            why=again[step.host.moid].reason,
            next_step="See its events in vCenter, then run again",
            details={"vm": step.name, "host": step.host.name},
        )
        for step in job.plan.work
        if step.host.moid in again and not step.aside
    }


def _as_done(step: Step, retired: Mapping[str, tuple[str, ...]]) -> Step:
    """A VM that was to go, and that a disk came to depend on meanwhile, is kept; one that was to be kept may go."""
    if not step.after_switch:
        return step
    clones = retired.get(step.key, ())
    return replace(step, action=RETIRE if clones else REMOVE, clones=clones)


def _as_one(what: str, errors: Iterable[BonnevilleError]) -> BonnevilleError:
    known = tuple(errors)
    return known[0] if len(known) == 1 else Several(what, known)
