"""A fleet's plan: orphans, owners, limits of pruning, jobs, restarts with dependencies, sizes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import steps
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.desired import Desired, Manner, Places
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.survey import Survey
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet import finished
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.desired import Fleet
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.plan import (
    has_outlived,
    orphans,
    plan_fleet,
    resized,
    settle_jobs,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import (
    Dependency,
    FleetService,
    Project,
    Update,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.rolling import batches, has_failed
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import Scope, VmFacts
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Datacenter, Folder
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.module_utils._container import tables

FOLDER = "bonneville"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def member(name: str, **fields: Any) -> steps.Service:
    return tables.service(name, fleet="shop", **fields)


def fleet_of(services: Iterable[FleetService] = (), **fields: Any) -> Fleet:
    return Fleet(
        project=Project(name="shop", services=tuple(services)),
        desired=Desired(services=(), places=Places(folder=FOLDER), manner=Manner(timeout=1.0, healthy_seconds=1.0)),
        **fields,
    )


def seen_of(services: Iterable[steps.Service] = (), vms: Iterable[Any] = (), scope: Scope | None = None) -> Survey:
    return Survey(
        vcenter=tables.VCENTER,
        datacenter=Datacenter(moid="d", name="dc", path="dc"),
        folder=Folder(moid="f", path=FOLDER),
        pool=None,
        datastore=None,
        networks={},
        scope=scope or Scope(),
        services=tuple(services),
        vms=tuple(vms),
        taken={},
    )


def in_files(*names: str, **fields: Any) -> list[FleetService]:
    return [FleetService(name=name, options={}, **fields) for name in names]


def kinds(plan: steps.Plan) -> list[tuple[str, str]]:
    return [(action.kind, action.name) for action in plan.work]


def standing(name: str, count: int, **fields: Any) -> list[Any]:
    one = member(name, replicas=count, **fields)
    return [tables.vm(one.identity(str(number)), one) for number in range(count)]


@given(count=st.integers(0, 6), limit=st.integers(0, 6), prune=st.booleans(), empty=st.booleans(), allow=st.booleans())
def test_pruning_keeps_to_its_limits(count: int, limit: int, prune: bool, empty: bool, allow: bool) -> None:
    web = member("web")
    files = [] if empty else in_files("web")
    fleet = fleet_of(files, prune=prune, max_prune=limit, allow_empty=allow)
    vms = standing("old", count) + ([] if empty else [tables.vm(web.identity(""), web)])
    plan = plan_fleet(fleet, seen_of([] if empty else [web], vms), {})
    removed = [name for kind, name in kinds(plan) if kind == "remove"]
    assert len(orphans(fleet, seen_of([], vms))) == count
    assert len(removed) == (count if prune else 0)
    assert bool(plan.errors) == (prune and count > 0 and (count > limit or (empty and not allow)))


def test_a_service_that_its_profile_switches_off_is_no_orphan() -> None:
    web, off, gone = (member(name) for name in ("web", "off", "gone"))
    vms = [tables.vm(one.identity(""), one) for one in (web, off, gone)]
    fleet = fleet_of(in_files("web"), prune=True)
    fleet = replace(fleet, project=replace(fleet.project, idle=("off",)))
    assert [one.vm.name for one in orphans(fleet, seen_of([web], vms))] == ["shop-gone"]
    assert kinds(plan_fleet(fleet, seen_of([web], vms), {})) == [("remove", "shop-gone")]
    none = replace(fleet, project=replace(fleet.project, services=(), idle=("off", "web", "gone")))
    assert not plan_fleet(none, seen_of([], vms), {}).actions
    assert not plan_fleet(none, seen_of([], vms), {}).errors


def test_another_owners_vm_forbids_everything_and_is_no_orphan() -> None:
    theirs = standing("old", 1, owner="blue")
    web = member("web")
    plan = plan_fleet(fleet_of(in_files("web"), prune=True), seen_of([web], theirs), {})
    assert [error.code for error in plan.errors] == ["foreign_vm"]
    assert not [name for kind, name in kinds(plan) if kind == "remove"]
    assert [error.code for error in plan_fleet(fleet_of(absent=True), seen_of([], theirs), {}).errors] == ["foreign_vm"]


def test_one_error_for_one_vm_of_another_owner() -> None:
    web = member("web")
    theirs = tables.vm(web.identity(""), replace(web, owner="blue"))
    plan = plan_fleet(fleet_of(in_files("web")), seen_of([web], [theirs]), {})
    assert [error.code for error in plan.errors] == ["foreign_vm"]


def test_an_absent_fleet_loses_all_that_is_its_own_and_nothing_else() -> None:
    other = tables.service("web", fleet="other")
    vms = [*standing("web", 2), *standing("db", 1), tables.vm(other.identity(""), other)]
    plan = plan_fleet(fleet_of(absent=True), seen_of([], vms), {})
    assert {name for _, name in kinds(plan)} == {"shop-web-0", "shop-web-1", "shop-db-0"}


def test_dependents_restart_with_what_they_depend_on_where_that_is_said() -> None:
    db, api, front = member("db", options={"image": "db:2"}), member("api"), member("front")
    old = member("db", options={"image": "db:1"})
    vms = [tables.vm(db.identity(""), old), tables.vm(api.identity(""), api), tables.vm(front.identity(""), front)]
    files = [
        *in_files("db"),
        *in_files("api", depends_on=(Dependency(service="db", restart=True),)),
        *in_files("front", depends_on=(Dependency(service="db"),)),
    ]
    plan = plan_fleet(fleet_of(files), seen_of([db, api, front], vms), {})
    assert sorted(kinds(plan)) == [("recreate", "shop-api"), ("recreate", "shop-db")]
    assert "depends_on says restart" in next(one.reason for one in plan.work if one.name == "shop-api")


@pytest.mark.parametrize("order", ["stop-first", "start-first"])
@pytest.mark.parametrize("address", [None, "192.0.2.7/24"])
def test_the_update_says_who_goes_first_unless_one_address_does(order: str, address: str | None) -> None:
    options = {"ip_address": address} if address else {}
    web = member("web", options={"image": "web:2", **options})
    old = member("web", options={"image": "web:1", **options})
    plan = plan_fleet(
        fleet_of(in_files("web", update=Update(order=order))),
        seen_of([web], [tables.vm(web.identity(""), old)]),
        {},
    )
    assert [action.stop_first for action in plan.of("recreate")] == [order == "stop-first" or address is not None]


@pytest.mark.parametrize(("kept", "told"), [(True, ""), (False, "resized: it has 4 CPUs")])
def test_a_vm_of_another_size_than_its_template_cannot_stay(kept: bool, told: str) -> None:
    web = member("web")
    vm = tables.vm(web.identity(""), web)
    vm = replace(vm, marks=replace(vm.marks, template_vm="t"))
    scope = Scope(vms=(facts("t", cpus=2), facts(vm.moid, cpus=2 if kept else 4)))
    assert resized(seen_of([web], [vm], scope)).get(vm.moid, "").startswith(told)
    plan = plan_fleet(fleet_of(in_files("web")), seen_of([web], [vm], scope), {})
    assert kinds(plan) == ([] if kept else [("recreate", "shop-web")])
    # Its template VM was rebuilt, so there is nothing to compare it with.
    assert not resized(seen_of([web], [vm], Scope(vms=(facts(vm.moid, cpus=4),))))


def facts(moid: str, *, cpus: int) -> VmFacts:
    return VmFacts(
        moid=moid, name=moid, folder=FOLDER, folder_moid="f", host="h", pool="p", power="poweredOn", frozen=False,
        connected=True, is_template=False, bios_uuid="", instance_uuid="", ip="", tools_running=True, annotation="",
        boot_time=None, cpus=cpus, memory_mb=2048, memory_reservation_mb=0, vmx_path="", datastores=(),
        extra_config={},
    )  # fmt: skip


# Jobs --------------------------------------------------------------------------


def job_vm(job: steps.Service, *, code: int = 0, at: str = "2026-11-24T11:00:00Z") -> Any:
    vm = tables.vm(job.identity(""), job, phase="exited", status_fields={"exit_code": code})
    container = replace(vm.status.container, finished_at=at)
    return replace(vm, status=replace(vm.status, container=container))


@pytest.mark.parametrize(
    ("ttl", "code", "must_succeed", "at", "outlived"),
    [
        (3600.0, 0, False, "2026-11-24T11:00:00Z", True),
        (3601.0, 0, False, "2026-11-24T11:00:00Z", False),
        (60.0, 0, False, "2026-11-24T11:58:59.123456789Z", True),
        (None, 0, False, "2026-11-24T11:00:00Z", False),
        (60.0, 3, False, "2026-11-24T11:00:00Z", True),
        (60.0, 3, True, "2026-11-24T11:00:00Z", False),
        (60.0, 0, False, "", False),
        (60.0, 0, False, "whenever", False),
    ],
)
def test_a_finished_job_has_its_time(ttl: float | None, code: int, must_succeed: bool, at: str, outlived: bool) -> None:
    job = member("job", ends=True, must_succeed=must_succeed)
    assert has_outlived(job_vm(job, code=code, at=at), ttl, job, now=NOW) is outlived


def test_a_job_that_changed_runs_though_the_time_of_the_one_before_has_passed() -> None:
    old, new = (member("job", ends=True, must_succeed=True, options={"image": f"job:{n}"}) for n in (1, 2))
    files = fleet_of(in_files("job", job=True, ttl=60.0))
    for wanted, done in ((old, [("remove", "shop-job")]), (new, [("recreate", "shop-job")])):
        vms = [job_vm(old)]
        (service,) = settle_jobs(files, [wanted], vms, Scope(), vcenter=tables.VCENTER, now=NOW)
        assert kinds(plan_fleet(files, seen_of([service], vms), {})) == done


def test_a_recorded_job_is_not_made_again_and_another_one_is() -> None:
    job = member("job", ends=True, options={"env": {"TOKEN": "hush"}})
    name = finished.record_name(job, "", vcenter=tables.VCENTER)
    assert "hush" not in name and len(name) <= 80
    scope = Scope(folders={"x": f"{FOLDER}/{name}", "y": f"{FOLDER}/other/{name}"})
    files = in_files("job", job=True)
    (settled,) = settle_jobs(fleet_of(files), [job], [], scope, vcenter=tables.VCENTER, now=None)
    assert settled.settled == {""} and kinds(plan_fleet(fleet_of(files), seen_of([settled]), {})) == []
    other = member("job", ends=True, options={"env": {"TOKEN": "other"}})
    (again,) = settle_jobs(fleet_of(files), [other], [], scope, vcenter=tables.VCENTER, now=None)
    assert kinds(plan_fleet(fleet_of(files), seen_of([again]), {})) == [("create", "shop-job")]
    assert finished.outdated([name, "photos"], [again], vcenter=tables.VCENTER, all_others=False) == {name}
    assert not finished.outdated([name, "photos"], [settled], vcenter=tables.VCENTER, all_others=True)


def test_records_of_jobs_that_are_gone_go_only_with_a_pruning() -> None:
    name = "_done old 0123456789abcdef"
    assert not finished.outdated([name], [], vcenter=tables.VCENTER, all_others=False)
    assert finished.outdated([name, "photos"], [], vcenter=tables.VCENTER, all_others=True) == {name}
    of_replica = "_done old-0 0123456789abcdef"
    others = ["_done older 0123456789abcdef", "_done old-x 0123456789abcdef"]
    names = [name, of_replica, *others]
    assert finished.outdated(names, [], vcenter=tables.VCENTER, all_others=True, idle=["old"]) == set(others)


@pytest.mark.parametrize(
    ("phase", "code", "must_succeed", "kind"),
    [
        ("exited", 0, False, "unchanged"),
        ("exited", 4, False, "unchanged"),
        ("exited", 0, True, "unchanged"),
        ("exited", 4, True, "start"),
        ("stopped", None, False, "unchanged"),
        ("stopped", None, True, "start"),
        ("running", None, True, "unchanged"),
    ],
)
def test_a_job_that_ended_is_finished(phase: str, code: int | None, must_succeed: bool, kind: str) -> None:
    job = member("job", ends=True, must_succeed=must_succeed)
    vm = tables.vm(job.identity(""), job, phase=phase, status_fields={"exit_code": code} if phase == "exited" else {})
    assert [action.kind for action in tables.make_plan([job], [vm]).actions] == [kind]


# Updates -----------------------------------------------------------------------


@given(replaced=st.integers(0, 7), others=st.integers(0, 3), parallelism=st.integers(0, 4), ratio=st.floats(0, 1))
def test_batches_have_everyone_once_and_no_more_than_may_be(
    replaced: int, others: int, parallelism: int, ratio: float
) -> None:
    old, new = (
        member("web", options={"image": "web:1"}),
        member("web", replicas=replaced + others, options={"image": "web:2"}),
    )
    vms = [tables.vm(new.identity(str(number)), old) for number in range(replaced)]
    actions = tables.make_plan([new], vms).actions
    update = Update(parallelism=parallelism, max_failure_ratio=ratio)
    steps_ = batches(actions, update)
    assert sorted(one.name for step in steps_ for one in step) == sorted(one.name for one in actions)
    for step in steps_:
        count = sum(one.kind == "recreate" for one in step)
        assert count <= (parallelism or replaced)
        assert count in (0, len(step))
    assert not has_failed(actions, 0, update)
    assert not actions or has_failed(actions, len(actions) + 1, update)
