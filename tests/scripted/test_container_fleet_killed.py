"""A fleet's run that is ended in the middle: the next one goes on with it, and nothing is left over."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.killing import begin, end_at, kill_after
from tests.support.lab import Lab
from tests.support.modules import run_module
from tests.support.standing import check_same, standing
from tests.support.vsphere import FrozenTemplate

WEB, JOB = "registry.example/web:1", "registry.example/job:1"
SHOP = f"""
services:
  db: {{image: {WEB}, environment: {{COLOUR: "@"}}, volumes: [data:/data]}}
  migrate: {{image: {JOB}, restart: "no", environment: {{COLOUR: "@"}}, depends_on: [db]}}
  api:
    image: {WEB}
    environment: {{COLOUR: "@"}}
    depends_on: {{migrate: {{condition: service_completed_successfully}}}}
    deploy: {{replicas: 3, update_config: {{parallelism: 2, order: start-first, failure_action: rollback}}}}
  front: {{image: {WEB}, depends_on: [api]}}
volumes:
  data: {{x-bonneville: {{size_gb: 1}}}}
"""

# How far a run is when it is killed: parts of the calls that it makes undisturbed.
_SEEDED = random.Random(5)
DEPLOYS = [(False, round(_SEEDED.random(), 3)) for _ in range(20)]
UPDATES = [(True, round(_SEEDED.random(), 3)) for _ in range(6)]
ALWAYS = (*DEPLOYS[:4], *UPDATES[:2])


class Shop:
    """One fleet that is deployed in processes of their own."""

    def __init__(self, lab: Lab, template: str, directory: Path, name: str) -> None:
        self.lab, self.name, self.directory = lab, name, directory
        self._options = {**lab.connection, "name": name, "template": template, "timeout": 60, "lock_timeout": 60}

    def options(self, colour: str) -> dict[str, Any]:
        (self.directory / "compose.yaml").write_text(SHOP.replace("@", colour))
        return {**self._options, "project_src": str(self.directory)}

    def begin(self, colour: str, *, elsewhere: float = 0.0) -> subprocess.Popen[bytes]:
        return begin(self.lab, self.options(colour), elsewhere=elsewhere)

    def run(self, colour: str) -> dict[str, Any]:
        result = run_module("container_fleet", self.options(colour), environment=self.lab.environment)
        assert not result.get("failed"), result["msg"]
        return result

    def end(self) -> None:
        options = {**self.options("red"), "state": "absent", "remove_volumes": True}
        gone = run_module("container_fleet", options, environment=self.lab.environment)
        assert not gone.get("failed"), gone["msg"]

    def vms(self) -> dict[str, Any]:
        return self.lab.vms(f"bonneville-containers/{self.name}")

    def folders(self) -> list[str]:
        return [str(path) for path in self.lab.state()["folders"] if self.name in str(path)]


@pytest.fixture(scope="module", autouse=True)
def jobs_end(scripted_lab: Lab) -> Iterator[None]:
    ended = {"phase": "exited", "container": {"state": "exited", "exit_code": 0}}
    with scripted_lab.scripted({"match": "*-migrate*", "script": [{"phase": "running"}, {"after_ms": 50, **ended}]}):
        yield


@pytest.fixture(scope="module")
def undisturbed(
    scripted_lab: Lab, frozen_template: FrozenTemplate, tmp_path_factory: pytest.TempPathFactory
) -> dict[bool, tuple[dict[str, Any], int]]:
    """What a deploy, and an update after it, come to when nobody disturbs them, and how many calls each makes."""
    shop = Shop(scripted_lab, frozen_template.name, tmp_path_factory.mktemp("undisturbed"), "undisturbed")
    found = {}
    for updating, colour in ((False, "blue"), (True, "green")):
        scripted_lab.reset_calls()
        shop.run(colour)
        calls = sum(scripted_lab.calls().values())
        found[updating] = (standing(scripted_lab, shop.name), calls)
    shop.end()
    return found


@pytest.fixture
def shop(
    scripted_lab: Lab, frozen_template: FrozenTemplate, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Shop]:
    name = "".join(letter for letter in request.node.name.removeprefix("test_a_run_that_is_") if letter.isalnum())[:20]
    shop = Shop(scripted_lab, frozen_template.name, tmp_path, f"{name}-{random.randrange(10_000)}")
    yield shop
    shop.end()


@pytest.mark.parametrize(
    ("updating", "part"),
    [pytest.param(*moment, marks=() if moment in ALWAYS else pytest.mark.long) for moment in DEPLOYS + UPDATES],
)
def test_a_run_that_is_killed_is_finished_by_the_next(
    shop: Shop, undisturbed: dict[bool, tuple[dict[str, Any], int]], updating: bool, part: float
) -> None:
    wanted, calls = undisturbed[updating]
    colour = "green" if updating else "blue"
    if updating:
        shop.run("blue")
    shop.lab.reset_calls()
    # Each call takes a while, so that it is killed where it is to be, with calls under way.
    with shop.lab.fault(method="any", delay_ms=15, times=-1):
        process = shop.begin(colour)
        assert kill_after(shop.lab, process, max(1, int(part * calls))), "it ended before it could be killed"
    shop.run(colour)
    check_same(standing(shop.lab, shop.name), wanted)
    again = shop.run(colour)
    assert not again["changed"], again["actions"]


def test_a_run_that_is_killed_elsewhere_is_finished_once_its_lease_has_run_out(
    shop: Shop, undisturbed: dict[bool, tuple[dict[str, Any], int]]
) -> None:
    wanted, calls = undisturbed[False]
    shop.lab.reset_calls()
    with shop.lab.fault(method="any", delay_ms=15, times=-1):
        process = shop.begin("blue", elsewhere=3.0)
        assert kill_after(shop.lab, process, calls // 2), "it ended before it could be killed"
    shop.run("blue")
    check_same(standing(shop.lab, shop.name), wanted)


def test_what_was_on_its_way_when_a_run_was_killed_is_awaited(scripted_lab: Lab, shop: Shop) -> None:
    slow = [{"phase": "network"}, {"after_ms": 4000, "phase": "running"}]
    ended = {"phase": "exited", "container": {"state": "exited", "exit_code": 0}}
    job = {"match": "*-migrate*", "script": [{"phase": "running"}, {"after_ms": 50, **ended}]}
    with scripted_lab.scripted({"match": f"{shop.name}-db", "script": slow}, job):
        process = shop.begin("blue")
        while process.poll() is None and f"{shop.name}-db" not in shop.vms():
            time.sleep(0.01)
        process.kill()
        process.wait(timeout=30)
        done = shop.run("blue")
    assert ("adopt", f"{shop.name}-db") in [(one["action"], one["name"]) for one in done["actions"]]
    assert {name: one["running"] for name, one in done["services"].items()} == {
        "db": 1, "migrate": 0, "api": 3, "front": 1,
    }  # fmt: skip
    scripted_lab.control("POST", "/scripted", [job])


def test_one_that_gets_its_address_after_the_kill_is_on_the_lists_before_its_container_begins(
    scripted_lab: Lab, shop: Shop
) -> None:
    waiting = [{"phase": "thawed"}, {"after_ms": 6000, "phase": "network"}, {"after_ms": 4000, "phase": "running"}]
    ended = {"phase": "exited", "container": {"state": "exited", "exit_code": 0}}
    job = {"match": "*-migrate*", "script": [{"phase": "running"}, {"after_ms": 50, **ended}]}
    with scripted_lab.scripted({"match": f"{shop.name}-db", "script": waiting}, job):
        process = shop.begin("blue")
        while process.poll() is None and f"{shop.name}-db" not in shop.vms():
            time.sleep(0.01)
        process.kill()
        process.wait(timeout=30)
        with ThreadPoolExecutor(max_workers=1) as pool:
            done = pool.submit(shop.begin("blue").wait, 120)
            while not done.done():
                db = standing(scripted_lab, shop.name)["vms"]["FLEET-db"]
                assert db["phase"] != "running", "it had to wait until its guest lost patience"
                if db["knows"].get("db"):
                    break
                time.sleep(0.02)
            assert done.result() == 0
    scripted_lab.control("POST", "/scripted", [job])


def test_a_run_that_is_ended_gives_its_lease_back_at_once(shop: Shop) -> None:
    shop.lab.reset_calls()
    with shop.lab.fault(method="InstantClone_Task", delay_ms=1000, times=-1):
        code = end_at(shop.begin("blue"), lambda: "InstantClone_Task" in shop.lab.calls())
    assert code > 0
    deadline = time.monotonic() + 20
    while len(shop.folders()) > 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(shop.folders()) == 1, shop.folders()
    assert shop.run("blue")["changed"]
    assert not shop.run("blue")["changed"]


def test_two_runs_at_once_come_to_the_same_as_one_after_the_other(
    shop: Shop, undisturbed: dict[bool, tuple[dict[str, Any], int]]
) -> None:
    runs = [shop.begin("blue"), shop.begin("blue")]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    check_same(standing(shop.lab, shop.name), undisturbed[False][0])
    assert not shop.run("blue")["changed"]
