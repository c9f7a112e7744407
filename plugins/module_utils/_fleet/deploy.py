# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet's run from its files to what stands: look, plan, hold the lease, and carry out."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.deploy import (
    Guard,
    Layout,
    Report,
    Run,
    as_it_stands,
    lay_out,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.discovery import publish
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.read import container_vms
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.roster import Roster
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.shelf import Shelf, remove_volumes
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import (
    REMOVE,
    UNCHANGED,
    Action,
    Plan,
    Service,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.tally import Tally
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError, DependencyFailed, InUse
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet import finished
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.desired import Fleet
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.order import reversed_dependencies
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.plan import (
    may_have_outlived,
    members,
    orphans,
    plan_fleet,
    record_names,
    settle_jobs,
    unused_volumes,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.plan_document import (
    PlanDocument,
    check_expected,
    document,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import Dependency, FleetService
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.service import Common, Outcome, ServiceRun
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.stages import Stage, go_through
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._progress import Progress, silent
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere import lease
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.clone import Turns
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.fcd import find_disks
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.folders import (
    make_folder,
    remove_empty,
    remove_folder,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import Scope
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import ensure_folder
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Folder
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.shared import SharedWatch
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch


@dataclass(frozen=True, kw_only=True)
class View:
    """A fleet before anything is changed: what is to be done, and the document of it.

    ``volumes`` are the disks that go, by name.
    """

    fleet: Fleet
    layout: Layout
    plan_document: PlanDocument
    volumes: tuple[str, ...] = ()

    @property
    def removes_folder(self) -> bool:
        """Whether the fleet's folder goes with its last VM."""
        seen = self.layout.seen
        if not self.fleet.absent or not self.fleet.own_folder or seen.folder is None:
            return False
        gone = {action.vm.moid for action in self.layout.plan.actions if action.vm}
        here = {vm.moid for vm in seen.scope.vms if vm.folder == seen.folder.path}
        ours = all(_is_ours(name) for name in record_names(self.fleet, seen.scope).values())
        return here <= gone and ours

    @property
    def has_work(self) -> bool:
        return bool(self.layout.plan.work or self.volumes) or self.removes_folder

    @property
    def locks(self) -> tuple[str, ...]:
        """The fleet's lease, by its folder's moid, where there is one."""
        names = record_names(self.fleet, self.layout.seen.scope)
        return tuple(moid for moid, name in names.items() if name == lease.LOCK)

    @property
    def waits(self) -> bool:
        """Whether something that stands is still on its way to where it is to be."""
        return any(action.waits for action in self.layout.plan.actions)


@dataclass(frozen=True, kw_only=True)
class FleetReport:
    """What a run came to. ``outcomes`` are the services that were worked on; ``blocked`` says why others were not.

    ``volumes_removed`` are disks, by name.
    """

    view: View
    report: Report
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    volumes_removed: tuple[str, ...] = ()
    folder_removed: bool = False


def look(session: Session, fleet: Fleet) -> View:
    """Survey and plan; nothing is changed. Raises what forbids the plan."""

    def refine(services: tuple[Service, ...], scope: Scope) -> tuple[Service, ...]:
        vms = container_vms(scope).ours
        now = lease.current_time(session) if may_have_outlived(fleet, vms) else None
        return settle_jobs(fleet, services, vms, scope, vcenter=session.instance_uuid, now=now)

    layout = lay_out(
        session,
        fleet.desired,
        make_folder=True,
        refine=refine,
        planner=lambda seen, held: plan_fleet(fleet, seen, held),
    )
    unused = unused_volumes(fleet, layout.seen) if fleet.remove_volumes else ()
    disks = find_disks(session, datastores=layout.seen.scope.datastores, names=unused) if unused else ()
    volumes = tuple(sorted({disk.name for disk in disks}))
    left = () if fleet.prune else tuple(one.vm.name for one in orphans(fleet, layout.seen))
    return View(
        fleet=fleet,
        layout=layout,
        plan_document=document(
            layout.plan, fleet=fleet.name, folder=fleet.folder, orphans=left, removed_volumes=volumes
        ),
        volumes=volumes,
    )


def deploy_fleet(session: Session, fleet: Fleet, *, guard: Guard, progress: Progress = silent) -> FleetReport:
    """Bring a fleet to what is desired.

    Whatever is changed is changed under the fleet's lease, and planned anew
    under it, since another run may have worked until it was free.

    Args:
        guard: carries the plan out by the function that it is given, or does not, in check mode; whether it did.

    Raises: what was found before anything was changed, Locked, LeaseLost. What
    fails afterwards stands in the report.
    """
    view = look(session, fleet)
    check_expected(view.plan_document, fleet.expected)
    run = _FleetRun(session, view, progress)
    upkeep = view.waits or view.locks or run.roster_is_outdated
    if (view.has_work or upkeep) and guard(view.layout.plan, run.carry_out):
        return run.report()
    return FleetReport(
        view=view,
        report=as_it_stands(view.layout.plan),
        volumes_removed=view.volumes,
        folder_removed=view.removes_folder,
    )


class _FleetRun:
    """What a fleet's run keeps on its way."""

    def __init__(self, session: Session, view: View, progress: Progress) -> None:
        self._session = session
        self._fleet = view.fleet
        self._view = view
        self._progress = progress
        self._services: dict[str, ServiceRun] = {}
        self._blocked: dict[str, str] = {}
        self._folder_removed = False
        self._volumes: dict[str, BonnevilleError | None] = {}  # each that was to go, and why it did not

    def carry_out(self, plan: Plan) -> None:
        """The lease is for changes; a run that only waits for what is on its way needs none."""
        fleet = self._fleet
        with SharedWatch(self._session, keys=(protocol.KEY_STATUS,)) as watch:
            if not self._view.has_work:
                self._go_through(watch)
                self._publish(watch)
                for lock in self._view.locks:
                    lease.clear(self._session, lock)
                return
            with lease.held(
                self._session, self._folder, holder=lease.me(fleet.owner), name=fleet.name,
                patience=fleet.lock_timeout, on_lost=watch.end, seconds=lease.SECONDS, tell=self._progress,
            ) as mine:  # fmt: skip
                self._view = look(self._session, fleet)
                check_expected(self._view.plan_document, fleet.expected)
                self._go_through(watch)
                self._tidy(mine, watch.part())

    def report(self) -> FleetReport:
        """Read what stands now, once for all."""
        outcomes = {name: run.outcome for name, run in self._services.items()}
        run = Run(self._session, self._fleet.desired, self._view.layout, self._progress)
        for outcome in outcomes.values():
            run.done.vms |= outcome.done.vms
            run.done.seconds |= outcome.done.seconds
            run.done.statuses |= outcome.done.statuses
            run.done.errors |= outcome.done.errors
        run.done.errors |= {f"volume {name}": error for name, error in self._volumes.items() if error}
        for name, why in self._blocked.items():
            run.done.errors[f"service {name}"] = _not_started(self._fleet, name, why)
            run.done.vms |= {
                action.name: action.vm.moid for action in self._actions().get(name, ()) if action.vm is not None
            }
        return FleetReport(
            view=self._view,
            report=run.report(),
            outcomes=outcomes,
            blocked=dict(self._blocked),
            volumes_removed=tuple(name for name, error in self._volumes.items() if not error),
            folder_removed=self._folder_removed,
        )

    @property
    def roster_is_outdated(self) -> bool:
        """Whether a VM has to be told anew who belongs to the fleet, as when someone removed one of them by hand."""
        roster = self._roster()
        return roster is not None and bool(roster.outdated())

    def _publish(self, watch: SharedWatch) -> None:
        """Upkeep that changes no container, so it is no part of the plan."""
        roster = self._roster()
        if roster is not None and roster.outdated():
            publish(self._session, roster, deadline=Deadline(60.0), watch=watch.part(), heard=False)

    def _folder(self) -> str:
        """The fleet's folder, made where it is missing: the lease stands in it."""
        return ensure_folder(self._session, datacenter=self._view.layout.seen.datacenter, path=self._fleet.folder).moid

    def _go_through(self, watch: SharedWatch) -> None:
        layout, fleet = self._view.layout, self._fleet
        if not (layout.plan.work or self._view.waits):
            return
        common = Common(
            session=self._session,
            watch=watch,
            turns=Turns(fleet.desired.manner.clones_per_template, on_return=watch.wake),
            tally=Tally(self._progress, total=len(layout.plan.work)),
            roster=self._roster(),
            shelf=Shelf(self._session, layout.stock),
            manner=fleet.desired.manner,
            datacenter=layout.seen.datacenter.path,
            folder=layout.seen.folder.moid if layout.seen.folder else "",
            record=self._record,
        )
        known = {service.name: service for service in fleet.project.services}
        for name, actions in self._actions().items():
            service = known.get(name, FleetService(name=name, options={}))
            builds = [build for build in layout.builds if build.action.service.name == name]
            self._services[name] = ServiceRun(common, service, actions, builds)
        stages = {name: Stage(work=run.run, needs=self._needs(name)) for name, run in self._services.items()}
        go_through(stages, blocked=self._block, end=watch.end)

    def _actions(self) -> dict[str, list[Action]]:
        """What is done or awaited, by service."""
        found: dict[str, list[Action]] = {}
        for action in self._view.layout.plan.actions:
            found.setdefault(action.service.name, []).append(action)
        busy = {name for name, actions in found.items() if any(one.kind != UNCHANGED or one.waits for one in actions)}
        return {name: actions for name, actions in found.items() if name in busy}

    def _needs(self, name: str) -> tuple[Dependency, ...]:
        """What a service waits for; one that only has to be awaited, or loses containers, waits for nobody."""
        services = self._fleet.project.services
        if self._fleet.absent:
            return reversed_dependencies(services).get(name, ())
        known = {service.name: service for service in services}
        if name not in known or not any(action.kind not in (UNCHANGED, REMOVE) for action in self._actions()[name]):
            return ()
        return known[name].depends_on

    def _block(self, name: str, why: str) -> None:
        self._blocked[name] = why
        del self._services[name]

    def _roster(self) -> Roster | None:
        """Everyone of the fleet, for its service discovery."""
        fleet, seen = self._fleet, self._view.layout.seen
        if fleet.absent:
            return None
        services = fleet.project.services
        return Roster(
            services=[service.name for service in services],
            vms=members(fleet, seen),
            aliases={service.name: service.aliases for service in services},
        )

    def _record(self, action: Action) -> None:
        """A job's VM goes, and its record comes first: a run that dies in between leaves both."""
        seen = self._view.layout.seen
        if seen.folder is None:
            return
        name = finished.record_name(action.service, action.vm.marks.ordinal if action.vm else "", vcenter=seen.vcenter)
        with suppress(InUse):  # it is there already
            make_folder(self._session, parent=seen.folder.moid, name=name)

    def _tidy(self, mine: lease.Lease, watch: Watch) -> None:
        """Remove records that tell nothing any more, and with the last of a fleet its folder."""
        seen, fleet = self._view.layout.seen, self._fleet
        names = record_names(fleet, seen.scope)
        old = finished.outdated(
            names.values(), seen.services, vcenter=seen.vcenter, all_others=fleet.prune or fleet.absent,
            idle=() if fleet.absent else fleet.project.idle,
        )  # fmt: skip
        remove_empty(self._session, {moid: name for moid, name in names.items() if name in old}, watch=watch)
        if self._view.volumes and not self._errors():
            self._volumes = remove_volumes(
                self._session, self._view.volumes, datastores=seen.scope.datastores, deadline=Deadline(60.0),
                watch=watch,
            )  # fmt: skip
        if self._view.removes_folder and not self._errors() and not any(self._volumes.values()):
            folder = Folder(moid=mine.folder, path=fleet.folder)
            # The lock goes with it: whoever waits for it finds no folder then, and makes its own.
            self._folder_removed = remove_folder(
                self._session, datacenter=seen.datacenter, folder=folder, spare=[mine.moid], watch=watch
            )

    def _errors(self) -> list[BonnevilleError]:
        return [error for run in self._services.values() for error in run.outcome.done.errors.values()]


def _is_ours(name: str) -> bool:
    return name == lease.LOCK or name.startswith(finished.PREFIX)


def _not_started(fleet: Fleet, name: str, why: str) -> DependencyFailed:
    return DependencyFailed(
        "Did not start the service",
        obj=name,
        why=why,
        next_step="See the other failure, then run again",
        details={"service": name, "fleet": fleet.name},
    )
