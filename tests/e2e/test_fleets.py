"""Fleets from Compose files, with real guests: used while they are updated, taken back, pruned and removed."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.conftest import Run
from tests.support.lab import Lab
from tests.support.load import Load

Fleet = Callable[..., dict[str, Any]]


@pytest.fixture
def fleet(module: Run, template: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """Bring a fleet of this test's own to what a Compose file says."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:20].strip("-")
    given = {"name": name, "template": template, "project_src": str(tmp_path)}

    def call(text: str, *, check: bool = False, ok: bool = True, **options: Any) -> dict[str, Any]:
        (tmp_path / "compose.yaml").write_text(textwrap.dedent(text))
        result = module("container_fleet", check=check, **{**given, **options})
        assert not (ok and result.get("failed")), result["msg"]
        return {**result, "name": name}

    yield call
    gone = module("container_fleet", **given, state="absent", remove_volumes=True)
    assert not gone.get("failed"), gone["msg"]


def shop(images: dict[str, str], colour: str, *, replicas: int = 2, command: str = "") -> str:
    return f"""
        services:
          front:
            image: {images["web"]}
            ports: ["80:8080"]
            depends_on: [web]
          web:
            image: {images["web"]}
            {command}
            environment: {{COLOUR: {colour}}}
            deploy:
              replicas: {replicas}
              update_config: {{parallelism: 1, order: start-first, failure_action: rollback, monitor: 1s}}
    """


def test_nobody_notices_an_update_or_one_that_is_taken_back(
    docker_lab: Lab, fleet: Fleet, images: dict[str, str]
) -> None:
    made = fleet(shop(images, "red"))
    assert made["summary"] == "+ 3 create"
    assert not fleet(shop(images, "red"))["changed"]
    vms = docker_lab.vms()
    url = f"http://{vms[made['name'] + '-front']['ip']}/fetch"

    def ask() -> requests.Response:
        return requests.get(url, params={"url": "http://web:8080/"}, timeout=10)

    with Load(ask, read=lambda answer: str(answer.json()["env"]["COLOUR"])) as load:
        updated = fleet(shop(images, "blue"))
        assert updated["summary"] == "~ 2 recreate (env), = 1 unchanged"
        broken = fleet(shop(images, "green", command="entrypoint: [/nothing-of-this-name]"), ok=False)
    assert not load.failures, load.failures[:3]
    assert load.answers["red"] and load.answers["blue"] and not load.answers["green"], load.answers
    assert broken["failed"] and "back to what ran before" in broken["msg"]
    assert broken["services"]["web"]["state"] == "rolled back"
    assert not fleet(shop(images, "blue"))["changed"]
    assert ask().json()["env"]["COLOUR"] == "blue"


def test_a_job_comes_before_its_dependents_and_what_is_gone_is_pruned(
    docker_lab: Lab, fleet: Fleet, images: dict[str, str]
) -> None:
    text = f"""
        services:
          migrate: {{image: {images["job"]}, restart: "no"}}
          web:
            image: {images["web"]}
            depends_on: {{migrate: {{condition: service_completed_successfully}}}}
    """
    made = fleet(text)
    assert made["services"]["migrate"]["exit_codes"] == {f"{made['name']}-migrate": 0}
    assert not fleet(text)["changed"]
    only = f"services: {{web: {{image: {images['web']}}}}}"
    assert [one["service"] for one in fleet(only)["orphans"]] == ["migrate"]
    assert fleet(only, prune=True)["summary"] == "- 1 remove, = 1 unchanged"
    assert f"{made['name']}-migrate" not in docker_lab.vms()
