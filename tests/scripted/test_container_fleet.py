"""A fleet's life by the module, over real SOAP: order, updates, jobs, pruning, plans, leases and volumes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import find_disk_users
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.fcd import find_disks
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lease import held, me
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import (
    ensure_folder,
    find_datacenter,
    find_datastore,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

from tests.scripted.conftest import Fleet
from tests.support.containers import hear
from tests.support.fleet_files import BOTH, JOB, ONE, TWO, WEB, kinds, there
from tests.support.lab import Lab

THREE = f"""
    services:
      db: {{image: {WEB}}}
      api:
        image: {WEB}
        deploy: {{replicas: 2}}
        depends_on: [db]
      front:
        image: {WEB}
        depends_on: [api]
"""


def test_a_fleet_is_made_in_order_kept_and_removed(scripted_lab: Lab, fleet: Fleet, name: str) -> None:
    planned = fleet(THREE, check=True)
    assert planned["changed"] and planned["summary"] == "+ 4 create"
    assert f"bonneville-containers/{name}" not in str(scripted_lab.state()["folders"])

    made = fleet(THREE)
    wanted = {f"{name}-db", f"{name}-api-0", f"{name}-api-1", f"{name}-front"}
    assert {container["name"] for container in made["containers"]} == wanted == there(scripted_lab, name)
    assert made["plan"] == planned["plan"] and made["plan_sha256"] == planned["plan_sha256"]
    assert made["services"]["api"] == {"replicas": 2, "running": 2, "healthy": 0, "state": "done", "why": None}

    scripted_lab.reset_calls()
    again = fleet(THREE)
    assert not again["changed"] and again["summary"] == "= 4 unchanged"
    assert "CreateFolder" not in scripted_lab.calls(), "a run with nothing to do takes a lease"

    gone = fleet(state="absent")
    assert {action["name"] for action in gone["actions"]} == wanted | {f"bonneville-containers/{name}"}
    assert not there(scripted_lab, name)
    assert not [path for path in scripted_lab.state()["folders"] if name in str(path)]
    assert not fleet(state="absent")["changed"]


# Order -------------------------------------------------------------------------


def began(lab: Lab, name: str) -> list[str]:
    """The fleet's VMs in the order in which they were cloned."""
    vms = lab.vms(f"bonneville-containers/{name}")
    return sorted(vms, key=lambda one: int(vms[one]["moid"].rpartition("-")[2]))


HEALTHY = [
    {"phase": "running", "container": {"health": "starting"}},
    {"after_ms": 300, "phase": "running", "container": {"health": "healthy"}},
]


def test_dependents_wait_for_what_they_depend_on_and_for_nobody_else(
    scripted_lab: Lab, fleet: Fleet, name: str
) -> None:
    text = f"""
        services:
          slow: {{image: {WEB}, healthcheck: {{test: [CMD, check]}}}}
          a-front: {{image: {WEB}, depends_on: {{slow: {{condition: service_healthy}}}}}}
          b-quick: {{image: {WEB}}}
          c-after: {{image: {WEB}, depends_on: [b-quick]}}
    """
    with scripted_lab.scripted({"match": f"{name}-slow", "script": HEALTHY}):
        made = fleet(text)
    order = began(scripted_lab, name)
    assert order.index(f"{name}-a-front") == 3, f"it did not wait, or others waited with it: {order}"
    assert order.index(f"{name}-c-after") > order.index(f"{name}-b-quick")
    assert made["services"]["slow"]["healthy"] == 1


def test_a_failure_keeps_its_dependents_from_starting_and_nobody_else(
    scripted_lab: Lab, fleet: Fleet, name: str
) -> None:
    broken = {
        "match": f"{name}-db",
        "script": [{"phase": "failed", "reason": {"code": "disk_full", "message": "no space"}}],
    }
    with scripted_lab.scripted(broken):
        failed = fleet(
            f"""
            services:
              db: {{image: {WEB}}}
              api: {{image: {WEB}, depends_on: [db]}}
              front: {{image: {WEB}, depends_on: [api]}}
              other: {{image: {WEB}}}
            """,
            ok=False,
        )
    assert failed["failed"]
    codes = {error["error_code"] for error in failed["errors"]}
    assert codes == {"guest_failed", "dependency_failed"}
    assert "no space" in failed["msg"] and "'api'" in failed["msg"] and "'front'" in failed["msg"]
    assert there(scripted_lab, name) == {f"{name}-other"}
    assert failed["services"]["front"]["state"] == "not started"
    assert [action for action in kinds(failed) if "front" in action[1] or "api" in action[1]] == []


# Updates -----------------------------------------------------------------------


def rolling(name: str, image: str, *, config: str, replicas: int = 3) -> str:
    return f"""
        services:
          web:
            image: {image}
            environment: {{COLOUR: {name}}}
            deploy:
              replicas: {replicas}
              update_config: {config}
    """


@pytest.mark.parametrize("order", ["start-first", "stop-first"])
def test_an_update_replaces_all_and_leaves_the_same_names(
    scripted_lab: Lab, fleet: Fleet, name: str, order: str
) -> None:
    config = f"{{parallelism: 2, order: {order}}}"
    fleet(rolling("red", WEB, config=config))
    before = scripted_lab.vms(f"bonneville-containers/{name}")
    updated = fleet(rolling("blue", WEB, config=config))
    after = scripted_lab.vms(f"bonneville-containers/{name}")
    assert set(before) == set(after)
    assert not {vm["moid"] for vm in before.values()} & {vm["moid"] for vm in after.values()}
    assert updated["summary"] == "~ 3 recreate (env)"
    assert not fleet(rolling("blue", WEB, config=config))["changed"]


@pytest.mark.parametrize("back", ["start-first", "stop-first"])
@pytest.mark.parametrize("order", ["start-first", "stop-first"])
def test_a_failed_update_is_rolled_back_to_exactly_what_ran(
    scripted_lab: Lab, fleet: Fleet, name: str, order: str, back: str
) -> None:
    config = f"{{order: {order}, failure_action: rollback}}\n              rollback_config: {{order: {back}}}"
    fleet(rolling("red", WEB, config=config))
    before = scripted_lab.vms(f"bonneville-containers/{name}")
    broken = {
        "match": f"{name}-web-2~2",
        "script": [{"phase": "failed", "reason": {"code": "disk_full", "message": "no space"}}],
    }
    with scripted_lab.scripted(broken):
        failed = fleet(rolling("blue", WEB, config=config), ok=False)
    assert failed["failed"] and "no space" in failed["msg"] and "back to what ran before" in failed["msg"]
    after = scripted_lab.vms(f"bonneville-containers/{name}")
    assert {one: vm["moid"] for one, vm in after.items()} == {one: vm["moid"] for one, vm in before.items()}
    assert {vm["power"] for vm in after.values()} == {"poweredOn"}
    assert failed["services"]["web"]["state"] == "rolled back" and "no space" in failed["services"]["web"]["why"]
    assert {one["phase"] for one in failed["containers"]} == {"running"} and len(failed["containers"]) == 3
    assert kinds(failed) == []
    assert not fleet(rolling("red", WEB, config=config))["changed"]


def test_an_update_that_goes_through_with_rollback_at_hand_leaves_only_the_new_ones(
    scripted_lab: Lab, fleet: Fleet, name: str
) -> None:
    config = "{parallelism: 1, order: start-first, failure_action: rollback}"
    fleet(rolling("red", WEB, config=config))
    before = scripted_lab.vms(f"bonneville-containers/{name}")
    fleet(rolling("blue", WEB, config=config))
    after = scripted_lab.vms(f"bonneville-containers/{name}")
    assert set(after) == set(before)
    assert not {vm["moid"] for vm in before.values()} & {vm["moid"] for vm in after.values()}
    assert not fleet(rolling("blue", WEB, config=config))["changed"]


def test_a_failed_update_pauses_and_says_what_is_done(scripted_lab: Lab, fleet: Fleet, name: str) -> None:
    config = "{parallelism: 1, order: start-first, failure_action: pause}"
    fleet(rolling("red", WEB, config=config))
    before = scripted_lab.vms(f"bonneville-containers/{name}")
    broken = {
        "match": f"{name}-web-1~2",
        "script": [{"phase": "failed", "reason": {"code": "disk_full", "message": "no space"}}],
    }
    with scripted_lab.scripted(broken):
        failed = fleet(rolling("blue", WEB, config=config), ok=False)
    assert f"replaced are {name}-web-0, not yet {name}-web-2" in failed["msg"]
    after = scripted_lab.vms(f"bonneville-containers/{name}")
    assert [one for one in sorted(after) if after[one]["moid"] == before[one]["moid"]] == [
        f"{name}-web-1",
        f"{name}-web-2",
    ]
    assert failed["services"]["web"]["state"] == "paused"
    assert kinds(failed) == [("recreate", f"{name}-web-0")]
    assert kinds(fleet(rolling("blue", WEB, config=config))) == [
        ("recreate", f"{name}-web-1"),
        ("recreate", f"{name}-web-2"),
    ]


def test_an_update_goes_on_where_that_is_asked_for(scripted_lab: Lab, fleet: Fleet, name: str) -> None:
    config = "{parallelism: 1, order: start-first, failure_action: continue}"
    fleet(rolling("red", WEB, config=config))
    before = scripted_lab.vms(f"bonneville-containers/{name}")
    broken = {
        "match": f"{name}-web-1~2",
        "script": [{"phase": "failed", "reason": {"code": "disk_full", "message": "no space"}}],
    }
    with scripted_lab.scripted(broken):
        assert fleet(rolling("blue", WEB, config=config), ok=False)["failed"]
    after = scripted_lab.vms(f"bonneville-containers/{name}")
    assert [one for one in sorted(after) if after[one]["moid"] == before[one]["moid"]] == [f"{name}-web-1"]


def test_one_that_fails_while_it_is_monitored_counts_as_failed(scripted_lab: Lab, fleet: Fleet, name: str) -> None:
    config = "{order: start-first, monitor: 2s, failure_action: rollback}"
    fleet(rolling("red", WEB, config=config, replicas=1))
    dies = {
        "match": f"{name}-web-0~2",
        "script": [
            {"phase": "running"},
            {"after_ms": 400, "phase": "exited", "container": {"state": "exited", "exit_code": 3}},
        ],
    }
    with scripted_lab.scripted(dies):
        failed = fleet(rolling("blue", WEB, config=config, replicas=1), ok=False)
    assert failed.get("failed"), "nobody saw it die"
    assert failed["services"]["web"]["state"] == "rolled back" and "code 3" in failed["msg"]


def test_one_that_is_put_back_and_fails_while_it_is_monitored_is_told(
    scripted_lab: Lab, fleet: Fleet, name: str
) -> None:
    config = "{order: stop-first, failure_action: rollback}\n              rollback_config: {monitor: 2s}"
    fleet(rolling("red", WEB, config=config, replicas=1))
    fails = {"phase": "failed", "reason": {"code": "disk_full", "message": "no space"}}
    dies = [
        {"phase": "running"},
        {"after_ms": 400, "phase": "exited", "container": {"state": "exited", "exit_code": 3}},
    ]
    with scripted_lab.scripted(
        {"match": f"{name}-web-0~2", "script": [fails]}, {"match": f"{name}-web-0", "script": dies}
    ):
        failed = fleet(rolling("blue", WEB, config=config, replicas=1), ok=False)
    assert "no space" in failed["msg"]
    assert "code 3" in failed["msg"] and "while a failed update was taken back" in failed["msg"], failed["msg"]


def test_a_service_that_its_profile_switches_off_is_left_alone(scripted_lab: Lab, fleet: Fleet, name: str) -> None:
    text = f"services: {{web: {{image: {WEB}}}, debug: {{image: {WEB}, profiles: [debug]}}}}"
    fleet(text, profiles=["debug"])
    left = fleet(text, prune=True)
    assert not left["changed"] and left["orphans"] == [] == left["plan"]["orphans"]
    assert there(scripted_lab, name) == {f"{name}-web", f"{name}-debug"}
    assert not fleet(text, profiles=["debug"])["changed"]
    assert {action["name"] for action in fleet(text, state="absent")["actions"]} >= {f"{name}-web", f"{name}-debug"}


def test_what_leaves_a_service_leaves_its_container(fleet: Fleet) -> None:
    full = f"""
        services:
          web:
            image: {WEB}
            environment: {{A: "1", B: "2"}}
            ports: ["80:8080", "81:8081"]
            labels: {{tier: front}}
    """
    fleet(full)
    fewer = full.replace(', B: "2"', "").replace(', "81:8081"', "").replace("labels: {tier: front}", "")
    assert fleet(fewer)["summary"] == "~ 1 recreate (env, labels, published_ports)"
    assert not fleet(fewer)["changed"]
    kept = fleet(f"services: {{web: {{image: {WEB}}}}}", comparisons={"env": "ignore", "ports": "ignore"})
    assert not kept["changed"]


def test_replicas_come_and_go(scripted_lab: Lab, fleet: Fleet, name: str) -> None:
    for count in (2, 5, 1):
        fleet(f"services: {{web: {{image: {WEB}, deploy: {{replicas: {count}}}}}}}")
        assert there(scripted_lab, name) == {f"{name}-web-{number}" for number in range(count)}


# Jobs --------------------------------------------------------------------------


def ended(code: int) -> list[dict[str, Any]]:
    return [
        {"phase": "running"},
        {
            "after_ms": 200,
            "phase": "exited",
            "container": {"state": "exited", "exit_code": code, "finished_at": "2026-01-01T00:00:00.123456789Z"},
        },
    ]


WITH_JOB = f"""
    services:
      migrate: {{image: {JOB}, restart: "no", environment: {{VERSION: "@"}}}}
      web:
        image: {WEB}
        depends_on: {{migrate: {{condition: service_completed_successfully}}}}
"""


def test_a_job_that_ended_is_finished_and_its_dependents_begin(scripted_lab: Lab, fleet: Fleet, name: str) -> None:
    with scripted_lab.scripted({"match": f"{name}-migrate", "script": ended(0)}):
        made = fleet(WITH_JOB)
    assert began(scripted_lab, name) == [f"{name}-migrate", f"{name}-web"]
    assert made["services"]["migrate"]["exit_codes"] == {f"{name}-migrate": 0}
    assert not fleet(WITH_JOB)["changed"]


def test_a_job_that_failed_holds_back_who_waits_for_it_and_is_run_again(
    scripted_lab: Lab, fleet: Fleet, name: str
) -> None:
    with scripted_lab.scripted({"match": f"{name}-migrate", "script": ended(3)}):
        failed = fleet(WITH_JOB, ok=False)
    assert failed["failed"] and "exit code is 3" in failed["msg"]
    assert there(scripted_lab, name) == {f"{name}-migrate"}, "its output could not be read"
    with scripted_lab.scripted({"match": f"{name}-migrate", "script": ended(0)}):
        again = fleet(WITH_JOB)
    assert kinds(again) == [("start", f"{name}-migrate"), ("create", f"{name}-web")]


@pytest.mark.parametrize("replicas", [1, 2], ids=["alone", "rolled back"])
def test_a_finished_job_whose_update_fails_is_not_run_again(
    scripted_lab: Lab, session: Session, fleet: Fleet, name: str, replicas: int
) -> None:
    """Of two, the first one's replacement goes well, and is taken back."""
    text = f"""
        services:
          job:
            image: {JOB}
            restart: "no"
            environment: {{VERSION: "@"}}
            deploy: {{replicas: {replicas}, update_config: {{parallelism: 1, failure_action: rollback}}}}
    """
    jobs = [f"{name}-job-{number}" for number in range(replicas)]
    with scripted_lab.scripted({"match": f"{name}-job*", "script": ended(0)}):
        fleet(text)
        hear(session, scripted_lab, jobs, "exited")
    before = scripted_lab.vms(f"bonneville-containers/{name}")
    broken = {
        "match": f"{jobs[-1]}~2",
        "script": [{"phase": "failed", "reason": {"code": "disk_full", "message": "no space"}}],
    }
    with scripted_lab.scripted(broken):
        failed = fleet(text.replace("@", "2"), ok=False)
        assert "no space" in failed["msg"] and "the old one is on again as it was" in failed["msg"], failed["msg"]
        hear(session, scripted_lab, jobs, "exited")
    vms = scripted_lab.vms(f"bonneville-containers/{name}")
    assert {job: vm["moid"] for job, vm in vms.items()} == {job: vm["moid"] for job, vm in before.items()}
    for job in jobs:
        assert not vms[job]["extra_config"].get("guestinfo.bonneville.start"), "it was ordered to run again"
        assert (
            '"finished_at":"2026-01-01T00:00:00.123456789Z"' in vms[job]["extra_config"]["guestinfo.bonneville.status"]
        )
    assert not fleet(text)["changed"]


def test_a_job_that_nobody_waits_for_is_reported_only(
    scripted_lab: Lab, session: Session, fleet: Fleet, name: str
) -> None:
    text = f'services: {{report: {{image: {JOB}, restart: "no"}}}}'
    with scripted_lab.scripted({"match": f"{name}-report", "script": ended(4)}):
        fleet(text)
        hear(session, scripted_lab, [f"{name}-report"], "exited")
        again = fleet(text)
    assert not again["changed"]
    assert again["services"]["report"]["exit_codes"] == {f"{name}-report": 4}
    assert any("exit code 4" in str(text) for text in again["warnings"])


def test_a_finished_job_goes_when_its_time_has_passed_and_is_not_run_again(
    scripted_lab: Lab, fleet: Fleet, name: str
) -> None:
    text = WITH_JOB.replace("restart:", "x-bonneville: {ttl: 60s}, restart:")
    with scripted_lab.scripted({"match": f"{name}-migrate", "script": ended(0)}):
        fleet(text)
        gone = fleet(text)
        assert kinds(gone) == [("remove", f"{name}-migrate")]
        scripted_lab.reset_calls()
        assert not fleet(text)["changed"]
        assert "FindAllByUuid" not in scripted_lab.calls()
        other = fleet(text.replace("@", "2"))
        assert kinds(other) == [("create", f"{name}-migrate")]
        assert kinds(fleet(text.replace("@", "2"))) == [("remove", f"{name}-migrate")]
    records = [path for path in scripted_lab.state()["folders"] if f"{name}/_done" in str(path)]
    assert len(records) == 1, records
    fleet(state="absent")
    assert not [path for path in scripted_lab.state()["folders"] if f"/{name}" in str(path)]


# Pruning -----------------------------------------------------------------------


def test_what_the_files_name_no_longer_is_told_and_pruned_only_when_asked(
    scripted_lab: Lab, fleet: Fleet, name: str
) -> None:
    fleet(BOTH)
    left = fleet(ONE)
    assert not left["changed"]
    assert [one["name"] for one in left["orphans"]] == [f"{name}-cron-0", f"{name}-cron-1"] == left["plan"]["orphans"]
    refused = fleet(ONE, prune=True, max_prune=1, ok=False)
    assert refused["error_code"] == "invalid_option" and "max_prune is 1" in refused["msg"]
    assert len(there(scripted_lab, name)) == 3
    pruned = fleet(ONE, prune=True)
    assert pruned["summary"] == "- 2 remove, = 1 unchanged"
    assert there(scripted_lab, name) == {f"{name}-web"}


def test_an_empty_file_prunes_nothing_unless_that_is_meant(scripted_lab: Lab, fleet: Fleet, name: str) -> None:
    fleet(ONE)
    none = "services: {}"
    refused = fleet(none, prune=True, ok=False)
    assert refused["error_code"] == "invalid_option" and "allow_empty" in refused["msg"]
    assert there(scripted_lab, name) == {f"{name}-web"}
    assert kinds(fleet(none, prune=True, allow_empty=True)) == [("remove", f"{name}-web")]


# Plans -------------------------------------------------------------------------


def test_only_the_plan_that_was_reviewed_is_carried_out(
    scripted_lab: Lab, fleet: Fleet, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    planned = fleet(TWO, check=True)
    refused = fleet(THREE, expected_plan=planned["plan_sha256"], ok=False)
    assert refused["error_code"] == "plan_differs"
    assert planned["plan_sha256"] in refused["msg"] and refused["plan_sha256"] in refused["msg"]
    kept = tmp_path_factory.mktemp("plan") / "plan.json"
    kept.write_text(json.dumps(planned["plan"], indent=1))
    told = fleet(THREE, expected_plan=str(kept), ok=False)
    assert f"{name}-web-0: was create, is not there" in told["differences"]
    assert not there(scripted_lab, name)
    assert fleet(TWO, expected_plan=str(kept))["changed"]


@pytest.mark.parametrize(
    "text",
    [
        "services: {web: {image: 'w', environment: {TOKEN: '${NOBODY:?}'}, secrets: [s]}}\nsecrets: {s: {file: no}}",
        "services: {web: {image: w, build: ., imgae: w, depends_on: [web]}}",
    ],
    ids=["variable", "keys"],
)
def test_a_fleet_can_be_removed_although_its_file_cannot_be_deployed(
    scripted_lab: Lab, fleet: Fleet, name: str, text: str
) -> None:
    fleet(ONE)
    refused = fleet(text, ok=False)
    assert refused["failed"] and there(scripted_lab, name) == {f"{name}-web"}
    assert ("remove", f"{name}-web") in kinds(fleet(text, state="absent"))
    assert not there(scripted_lab, name)


def test_where_a_file_cannot_be_read_at_all_its_fleet_can_be_removed_by_name(
    scripted_lab: Lab, fleet: Fleet, name: str
) -> None:
    fleet(ONE)
    for options, how in (({}, f"give name: {name}"), ({"name": None}, "give the fleet's name")):
        refused = fleet("services: {", state="absent", ok=False, **options)
        assert refused["error_code"] == "invalid_option" and "compose.yaml:1" in refused["msg"]
        assert f"leave project_src out and {how}" in refused["msg"], refused["msg"]
        assert there(scripted_lab, name) == {f"{name}-web"}
    assert ("remove", f"{name}-web") in kinds(fleet(state="absent"))


def test_secrets_are_in_no_plan_and_their_change_is(fleet: Fleet, name: str) -> None:
    text = f"services: {{web: {{image: {WEB}, environment: {{TOKEN: hush-@}}}}}}"
    planned = fleet(text, check=True, digest_key="key")
    assert "hush" not in json.dumps(planned)
    other = fleet(text.replace("@", "2"), check=True, digest_key="key")
    assert other["plan_sha256"] != planned["plan_sha256"] and "hush" not in json.dumps(other)


# Leases and owners -------------------------------------------------------------


def test_two_runs_at_once_do_not_mix(scripted_lab: Lab, fleet: Fleet, session: Session, name: str) -> None:
    folder = f"bonneville-containers/{name}"
    place = ensure_folder(session, datacenter=find_datacenter(session), path=folder).moid
    with held(session, lambda: place, holder=me("other"), name=name, patience=0.0, on_lost=lambda: None, seconds=60.0):
        refused = fleet(ONE, lock_timeout=0, ok=False)
        assert refused["error_code"] == "locked" and refused["holder"].startswith("other at ")
        assert not there(scripted_lab, name)
        assert fleet(ONE, check=True)["changed"], "a look needs no lease"
    assert fleet(ONE)["changed"]
    assert not fleet(ONE)["changed"]


# Volumes -----------------------------------------------------------------------

WITH_VOLUME = f"""
    services:
      db:
        image: {WEB}
        environment: {{VERSION: "@"}}
        volumes: [data:/data]
        deploy: {{update_config: {{failure_action: rollback}}}}
    volumes:
      data: {{x-bonneville: {{size_gb: 1}}}}
"""


def test_a_volume_survives_an_update_a_rollback_and_a_removal(scripted_lab: Lab, fleet: Fleet, name: str) -> None:
    fleet(WITH_VOLUME)
    fleet(WITH_VOLUME.replace("@", "2"))
    broken = {
        "match": f"{name}-db~1",
        "script": [{"phase": "failed", "reason": {"code": "disk_full", "message": "no space"}}],
    }
    with scripted_lab.scripted(broken):
        assert fleet(WITH_VOLUME.replace("@", "3"), ok=False)["failed"]
    assert not fleet(WITH_VOLUME.replace("@", "2"))["changed"]
    fleet(state="absent")
    again = fleet(WITH_VOLUME, check=True, state="absent", remove_volumes=True)
    assert again["plan"]["removed_volumes"] == [f"{name}_data"]
    fleet(WITH_VOLUME)
    scripted_lab.reset_calls()
    gone = fleet(WITH_VOLUME, state="absent", remove_volumes=True)
    assert scripted_lab.calls()["CreatePropertyCollector"] == 1, (
        "one wait stands in another one's way for half a minute"
    )
    assert ("remove", f"{name}_data") in kinds(gone)
    assert not fleet(WITH_VOLUME, state="absent", remove_volumes=True)["changed"]


def test_a_volume_without_a_name_is_warned_of_and_changes_no_plan(scripted_lab: Lab, fleet: Fleet, name: str) -> None:
    text = f"services: {{web: {{image: {WEB}, volumes: [/cache], deploy: {{replicas: 2}}}}}}"
    planned, made, again = fleet(text, check=True), fleet(text), fleet(text)
    for one in (planned, made, again):
        (warning,) = one["warnings"]
        assert "compose.yaml:1: the volume at '/cache' of service 'web' has no name" in str(warning)
    assert made["plan_sha256"] == planned["plan_sha256"] and "warnings" not in made["plan"]
    assert not again["changed"] and again["summary"] == "= 2 unchanged"
    assert not [volume for volume in scripted_lab.state()["volumes"] if name in volume]
    assert not fleet(text, state="absent").get("warnings")


def test_another_name_of_a_volume_is_another_disk_and_the_old_one_is_kept(
    scripted_lab: Lab, session: Session, fleet: Fleet, name: str
) -> None:
    fleet(WITH_VOLUME)
    renamed = WITH_VOLUME.replace("{x-bonneville:", f"{{name: {name}-store, x-bonneville:")
    planned = fleet(renamed, check=True)
    assert planned["summary"] == "~ 1 recreate (volume_names)"
    (entry,) = planned["plan"]["recreate"]
    assert entry["before"]["volume_names"] == {"data": f"{name}_data"}
    assert entry["after"]["volume_names"] == {"data": f"{name}-store"}
    fails = [{"phase": "failed", "reason": {"code": "disk_full", "message": "no space"}}]
    with scripted_lab.scripted({"match": f"{name}-db~2", "script": fails}):
        assert fleet(renamed, ok=False)["failed"]
    assert disks(session, scripted_lab, name) == [f"{name}-db has {name}_data"]
    moved = fleet(renamed)
    assert f"'{name}-store' instead of '{name}_data', which stays as it is" in str(moved["warnings"])
    assert disks(session, scripted_lab, name) == [f"{name}-db has {name}-store"]
    assert {f"{name}-store", f"{name}_data"} <= set(scripted_lab.state()["volumes"])
    assert not fleet(renamed)["changed"]
    gone = fleet(renamed, state="absent", remove_volumes=True)
    assert gone["plan"]["removed_volumes"] == [f"{name}-store"]
    assert f"{name}_data" in scripted_lab.state()["volumes"], "nobody asked for this one"
    fleet(WITH_VOLUME, state="absent", remove_volumes=True)


def test_without_its_files_a_fleet_gives_up_the_disks_that_its_containers_had(
    scripted_lab: Lab, fleet: Fleet, name: str
) -> None:
    fleet(WITH_VOLUME)
    renamed = WITH_VOLUME.replace("{x-bonneville:", f"{{name: {name}-store, x-bonneville:")
    fleet(renamed)
    gone = fleet(state="absent", remove_volumes=True)
    assert gone["plan"]["removed_volumes"] == [f"{name}-store"]
    assert f"{name}_data" in scripted_lab.state()["volumes"], "nobody asked for this one"
    assert fleet(WITH_VOLUME, state="absent", remove_volumes=True)["plan"]["removed_volumes"] == [f"{name}_data"]


@pytest.mark.parametrize("by", ["a teardown without files", "pruning"])
def test_an_external_volume_stays_though_the_files_can_no_longer_say_so(
    scripted_lab: Lab, fleet: Fleet, name: str, by: str
) -> None:
    fleet(WITH_VOLUME)
    external = WITH_VOLUME.replace("{x-bonneville: {size_gb: 1}}", f"{{external: true, name: {name}_data}}")
    assert fleet(external)["summary"] == "~ 1 recreate (external_volumes)"
    assert not fleet(external)["changed"]
    if by == "pruning":
        left = f"services: {{web: {{image: {WEB}}}}}"
        gone = fleet(left, prune=True, remove_volumes=True)
    else:
        gone = fleet(state="absent", remove_volumes=True)
    assert ("remove", f"{name}-db") in kinds(gone)
    assert ("remove", f"{name}_data") not in kinds(gone)
    assert f"{name}_data" in scripted_lab.state()["volumes"]
    fleet(WITH_VOLUME, state="absent", remove_volumes=True)


def test_a_teardown_that_fails_claims_no_volume_and_no_folder(scripted_lab: Lab, fleet: Fleet, name: str) -> None:
    fleet(WITH_VOLUME)
    with scripted_lab.fault(method="Destroy_Task", fault="InvalidState", task=True, times=-1):
        failed = fleet(WITH_VOLUME, state="absent", remove_volumes=True, ok=False, timeout=15)
    assert failed["failed"] and f"{name}-db" in failed["msg"]
    assert [one for one in kinds(failed) if one[1] in (f"{name}_data", f"bonneville-containers/{name}")] == []
    assert f"{name}_data" in scripted_lab.state()["volumes"]
    gone = fleet(WITH_VOLUME, state="absent", remove_volumes=True)
    assert {("remove", f"{name}_data"), ("remove", f"bonneville-containers/{name}")} <= set(kinds(gone))


def test_a_volume_that_is_left_out_is_given_back_where_the_update_fails(
    scripted_lab: Lab, session: Session, fleet: Fleet, name: str
) -> None:
    fleet(WITH_VOLUME)
    without = WITH_VOLUME.replace("        volumes: [data:/data]\n", "")
    fails = [{"phase": "failed", "reason": {"code": "disk_full", "message": "no space"}}]
    with scripted_lab.scripted({"match": f"{name}-db~2", "script": fails}):
        assert fleet(without, ok=False)["failed"]
    assert disks(session, scripted_lab, name) == [f"{name}-db has {name}_data"]
    assert not fleet(WITH_VOLUME)["changed"]
    assert fleet(without)["summary"] == "~ 1 recreate (named_volumes, volume_names)"
    assert disks(session, scripted_lab, name) == []
    fleet(WITH_VOLUME, state="absent", remove_volumes=True)


def disks(session: Session, lab: Lab, name: str) -> list[str]:
    """Which VM has which volume of a fleet."""
    datastore = find_datastore(session, datacenter=find_datacenter(session), path=lab.ready["datastore"]).moid
    wanted = [one for one in lab.state()["volumes"] if one.startswith(name)]
    return sorted(
        f"{user} has {disk.name}"
        for disk in find_disks(session, datastores=[datastore], names=wanted)
        for user in find_disk_users(session, files=[disk.path], datastores=[datastore]).values()
    )
