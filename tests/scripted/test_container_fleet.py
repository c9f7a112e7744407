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
