"""A fleet's life by the module, over real SOAP: order, updates, jobs, drift, leases, and all that is refused."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import Lab
from tests.support.modules import run_module
from tests.support.vsphere import FrozenTemplate

Fleet = Callable[..., dict[str, Any]]
WEB = "registry.example/web:1"
JOB = "registry.example/job:1"


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A fleet of this test's own."""
    short = request.node.name.removeprefix("test_").replace("[", "-").replace("]", "").replace("_", "-")
    return short[:24].strip("-")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Write the fleet's Compose file; its directory."""

    def call(text: str) -> Path:
        (tmp_path / "compose.yaml").write_text(textwrap.dedent(text))
        return tmp_path

    return call


@pytest.fixture
def fleet(
    scripted_lab: Lab, frozen_template: FrozenTemplate, name: str, write: Callable[[str], Path]
) -> Iterator[Fleet]:
    """Run the module on a fleet, which is removed afterwards."""

    def call(text: str | None = None, *, check: bool = False, ok: bool = True, **options: Any) -> dict[str, Any]:
        given: dict[str, Any] = {
            **scripted_lab.connection,
            "name": name,
            "template": frozen_template.name,
            "timeout": 60,
        }
        if text is not None:
            given["project_src"] = str(write(text))
        result = run_module("container_fleet", {**given, **options}, check=check, environment=scripted_lab.environment)
        assert not (ok and result.get("failed")), result["msg"]
        return result

    yield call
    call(state="absent", owner="", ok=False)


def kinds(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(action["action"], action["name"]) for action in result["actions"]]


def there(lab: Lab, name: str) -> set[str]:
    return set(lab.vms(f"bonneville-containers/{name}"))


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


@pytest.mark.parametrize("order", ["start-first", "stop-first"])
def test_a_failed_update_is_rolled_back_to_exactly_what_ran(
    scripted_lab: Lab, fleet: Fleet, name: str, order: str
) -> None:
    config = f"{{parallelism: 1, order: {order}, failure_action: rollback}}"
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


def test_replicas_come_and_go(scripted_lab: Lab, fleet: Fleet, name: str) -> None:
    text = "services: {{web: {{image: %s, deploy: {{replicas: {0}}}}}}}" % WEB
    for count in (2, 5, 1):
        fleet(text.format(count))
        assert there(scripted_lab, name) == {f"{name}-web-{number}" for number in range(count)}
