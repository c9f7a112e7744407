# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run from what is wanted to what stands: survey, plan, prepare, apply, and the report.

What only a run that changes something needs is imported by such a run: most
runs find nothing to do, and each of them compiles what it imports.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.desired import Desired, Manner
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.plan import plan, plan_removal
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.read import container_vms
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.report import container_name, describe
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import (
    RECREATE,
    REMOVE,
    Action,
    Plan,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.survey import Refine, Survey, survey
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.templates import all_seats
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.wish import Stock
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    ContainerFailed,
    NotFound,
    Several,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._progress import Progress, silent
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.collect import is_gone
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import read_scope, read_vms
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import ensure_folder
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

if TYPE_CHECKING:
    from ansible_collections.bonneville.vsphere.plugins.module_utils._container.build import Build

# What a job's output may be in a result; all of it stands in the log port's file until its VM is removed.
_OUTPUT_LINES = 10_000

Guard = Callable[[Plan, Callable[[Plan], None]], bool]
HeldImages = Mapping[tuple[str, str], Collection[str]]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a run came to. ``containers`` are as ``describe`` returns them, in the order of the services' ordinals;
    ``cleaned`` are the removals after a job's end that ``cleanups`` foretells."""

    plan: Plan
    containers: tuple[Mapping[str, Any], ...]
    errors: Mapping[str, BonnevilleError] = field(default_factory=dict)
    cleaned: tuple[Action, ...] = ()

    @property
    def work(self) -> tuple[Action, ...]:
        return (*self.plan.work, *self.cleaned)

    @property
    def changed(self) -> bool:
        return bool(self.work)

    @property
    def before(self) -> dict[str, Any]:
        """The diff's first half: every container that is worked on, by its name."""
        return {action.name: dict(action.before) or {"state": "absent"} for action in self.work}

    @property
    def after(self) -> dict[str, Any]:
        return {
            action.name: {"state": "absent"} if action.kind == REMOVE else dict(action.after) for action in self.work
        }

    @property
    def values(self) -> dict[str, Any]:
        """For a result: the containers, and the parts of the one container that has no number."""
        values: dict[str, Any] = {"containers": list(self.containers)}
        if len(self.containers) == 1 and self.containers[0]["ordinal"] is None:
            values |= {part: self.containers[0][part] for part in ("container", "vm", "phase")}
        return values

    @property
    def actions(self) -> list[dict[str, Any]]:
        return [action.document() for action in self.work]

    def check(self) -> None:
        """Raise what failed, with all that is known beside it."""
        if not self.errors:
            return
        details = {**self.values, "changed": self.changed, "actions": self.actions}
        errors = [self.errors[name] for name in sorted(self.errors)]
        if len(errors) > 1:
            total = len({action.name for action in self.plan.actions})
            raise Several(f"{len(errors)} of {total} containers are not as they should be", errors, details=details)
        errors[0].details = {**details, **errors[0].details}
        raise errors[0]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A run before anything is changed: what stands, the plan, a request for each container that it makes, and
    the volumes that these have."""

    seen: Survey
    plan: Plan
    builds: tuple[Build, ...] = ()
    stock: Stock = field(default_factory=Stock)


def plan_services(seen: Survey, held_images: HeldImages) -> Plan:
    """The plan for the services of a survey, and nothing else. Pure."""
    return plan(
        services=seen.services, vms=seen.vms, taken=seen.taken, held_images=held_images, vcenter=seen.vcenter
    )  # fmt: skip


def lay_out(
    session: Session,
    desired: Desired,
    *,
    make_folder: bool = False,
    refine: Refine = lambda services, scope: services,
    planner: Callable[[Survey, HeldImages], Plan] = plan_services,
) -> Layout:
    """Survey, plan and prepare.

    Args:
        make_folder, refine: as ``survey`` takes them.
        planner: makes the plan, from the survey and the ids that templates hold for images, by both.

    Raises: what forbids the plan; nothing was changed.
    """
    seen = survey(session, services=desired.services, places=desired.places, make_folder=make_folder, refine=refine)
    specs = [service.spec for service in seen.services if service.spec]
    places = all_seats(seen.scope, sorted({spec.template for spec in specs}))
    held = {(spec.template, spec.image): places[spec.template].image_ids(spec.image) for spec in specs}
    planned = planner(seen, held)
    planned.check()
    if not planned.work and not any(spec.volumes for spec in specs):
        return Layout(seen=seen, plan=planned)
    from ansible_collections.bonneville.vsphere.plugins.module_utils._container.absent import check_rights
    from ansible_collections.bonneville.vsphere.plugins.module_utils._container.placing import prepare
    from ansible_collections.bonneville.vsphere.plugins.module_utils._container.volumes import take_stock

    builds = prepare(planned, seen, places)
    check_rights(session, Plan(actions=planned.of(RECREATE, REMOVE)))
    stock = take_stock(session, plan=planned, builds=builds, seen=seen, wishes=desired.volumes)
    return Layout(seen=seen, plan=planned, builds=builds, stock=stock)


def deploy(session: Session, desired: Desired, *, guard: Guard, progress: Progress = silent) -> Report:
    """Bring services to what is desired.

    Args:
        guard: carries the plan out by the function that it is given, or does not, in check mode; whether it did.
        progress: is told what happens, in words.

    Raises: what was found before anything was changed. What fails afterwards
    stands in the report.
    """
    session.deadline = Deadline(desired.manner.timeout)
    layout = lay_out(session, desired)
    session.deadline = None  # what is begun is brought to its end, each wait with a limit of its own
    planned = layout.plan
    waits = any(action.waits for action in planned.actions) or not desired.manner.detach
    if planned.work or waits:
        run = Run(session, desired, layout, progress)
        if guard(planned, run.carry_out):
            return run.report()
    return as_it_stands(planned, cleaned=cleanups(planned, desired.manner))


def as_it_stands(planned: Plan, *, cleaned: tuple[Action, ...] = ()) -> Report:
    """The report of a run that changes nothing."""
    standing = {action.vm.moid: action.vm for action in planned.actions if action.vm and action.kind != REMOVE}
    return Report(plan=planned, containers=tuple(describe(vm) for vm in standing.values()), cleaned=cleaned)


def cleanups(planned: Plan, manner: Manner) -> tuple[Action, ...]:
    """The removals of standing VMs after their jobs' end, should all of them end. What the run makes is told as made,
    whether it stays or not. Pure."""
    if not manner.cleanup:
        return ()
    vms = [replace(vm, name=container_name(vm)) for vm in _standing(planned).values()]
    return plan_removal(vms=vms, reason="its end was waited for, and cleanup was asked for").actions


class Run:
    """What a run that changes something keeps on its way; ``done`` is what it did."""

    def __init__(self, session: Session, desired: Desired, layout: Layout, progress: Progress) -> None:
        from ansible_collections.bonneville.vsphere.plugins.module_utils._container.part import Done

        self._session = session
        self._desired = desired
        self._layout = layout
        self._seen = layout.seen
        self._progress = progress
        self._made_folder = ""
        self.done = Done()

    def carry_out(self, planned: Plan) -> None:
        from ansible_collections.bonneville.vsphere.plugins.module_utils._container.apply import carry_out

        self.done = carry_out(
            self._session,
            planned,
            builds=self._layout.builds,
            folder=self.folder,
            datacenter=self._seen.datacenter.path,
            manner=self._desired.manner,
            progress=self._progress,
        )

    def report(self) -> Report:
        """Read what stands now, once for all; a job's output with it, and then its VM goes if that was asked for."""
        manner = self._desired.manner
        planned, errors = self._layout.plan, dict(self.done.errors)
        vms = self._read([*self.done.vms.values(), *_standing(planned, failed=errors)])
        documents = {vm.moid: self._describe(vm) for vm in vms}
        if not manner.detach:
            self._jobs(vms, documents, errors)
        cleaned = self._clean_up(vms, errors) if manner.cleanup else ()
        ordered = sorted(vms, key=lambda vm: (vm.marks.fleet, vm.marks.service, vm.marks.ordinal.zfill(9)))
        containers = tuple(documents[vm.moid] for vm in ordered)
        return Report(plan=planned, containers=containers, errors=errors, cleaned=cleaned)

    def _read(self, moids: list[str]) -> tuple[ContainerVm, ...]:
        """These VMs as they are now; one that someone removed meanwhile is left out."""
        try:
            scope = read_scope(self._session, vms=moids)
        except NotFound as error:
            if not is_gone(error):
                raise
            scope = read_scope(self._session, vms=read_vms(self._session, moids))
        paths = {**self._seen.scope.folders, self._made_folder: self._desired.places.folder}
        placed = (replace(facts, folder=paths.get(facts.folder_moid)) for facts in scope.vms)
        return container_vms(replace(scope, vms=tuple(placed))).ours

    def folder(self) -> str:
        """The moid of the containers' folder, which is made where it is missing."""
        if self._seen.folder:
            return self._seen.folder.moid
        path = self._desired.places.folder
        self._made_folder = ensure_folder(self._session, datacenter=self._seen.datacenter, path=path).moid
        return self._made_folder

    def _describe(self, vm: ContainerVm) -> dict[str, Any]:
        document = describe(vm)
        seconds = self.done.seconds.get(vm.name)
        return document if seconds is None else {**document, "seconds": round(seconds, 3)}

    def _jobs(
        self, vms: tuple[ContainerVm, ...], documents: Mapping[str, dict[str, Any]], errors: dict[str, BonnevilleError]
    ) -> None:
        from ansible_collections.bonneville.vsphere.plugins.module_utils._container.logs import last_lines

        paths = [vm.log_path for vm in vms]
        logs = last_lines(self._session, paths, datacenter=self._seen.datacenter.path, lines=_OUTPUT_LINES)
        for vm in vms:
            code = vm.container.exit_code if vm.container else None
            documents[vm.moid]["container"] = {
                **(documents[vm.moid]["container"] or {}),
                "output": "\n".join(logs[vm.log_path].lines),
            }
            if code:
                name = container_name(vm)
                errors.setdefault(name, _job_failed(name, code))

    def _clean_up(self, vms: tuple[ContainerVm, ...], errors: dict[str, BonnevilleError]) -> tuple[Action, ...]:
        """Remove the jobs that ended, whatever their exit codes; those of the plan's ``cleanups`` that were done."""
        from ansible_collections.bonneville.vsphere.plugins.module_utils._container import power

        ended = [vm for vm in vms if vm.phase == "exited" and container_name(vm) not in self.done.errors]
        found = power.remove(self._session, [power.removal(vm, force=True) for vm in ended], deadline=Deadline(60.0))
        errors |= {container_name(vm): error for vm in ended if (error := found[vm.moid])}
        gone = {moid for moid, error in found.items() if error is None}
        foretold = cleanups(self._layout.plan, self._desired.manner)
        return tuple(action for action in foretold if action.vm and action.vm.moid in gone)


def _standing(planned: Plan, *, failed: Collection[str] = ()) -> dict[str, ContainerVm]:
    """The VMs that are there before and after, by moid: one whose replacement failed still is."""
    return {
        action.vm.moid: action.vm
        for action in planned.actions
        if action.vm and action.kind != REMOVE and (action.kind != RECREATE or action.name in failed)
    }


def _job_failed(name: str, code: int) -> ContainerFailed:
    return ContainerFailed(
        "The container ended with a failure",
        obj=name,
        why=f"its exit code is {code}",
        next_step="See its output in container.output, or say in failed_when which exit codes are fine",
        details={"reason": {"code": "container_exited", "message": f"exited with code {code}"}},
    )
