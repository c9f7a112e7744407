"""A fleet's run that is ended in the middle: the next one goes on with it, and nothing is left over."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import Lab
from tests.support.modules import run_module
from tests.support.vsphere import FrozenTemplate

WEB, JOB = "registry.example/web:1", "registry.example/job:1"
# A lease of two minutes would be waited for after each kill.
_ALONE = """
import json, sys
from tests.support.modules import run_module
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere import lease
lease.SECONDS = float(sys.argv[2])
print(json.dumps(run_module("container_fleet", json.loads(sys.argv[1]))))
"""
SHOP = f"""
services:
  db: {{image: {WEB}, environment: {{COLOUR: "@"}}}}
  api:
    image: {WEB}
    environment: {{COLOUR: "@"}}
    depends_on: [db]
    deploy: {{replicas: 3, update_config: {{parallelism: 2, order: start-first, failure_action: rollback}}}}
  front: {{image: {WEB}, depends_on: [api]}}
"""
CALLS = 70  # what the whole takes, roughly


class Shop:
    """One fleet that is deployed in processes of their own."""

    def __init__(self, lab: Lab, template: str, directory: Path, name: str) -> None:
        self.lab, self.name, self.directory = lab, name, directory
        self._options = {**lab.connection, "name": name, "template": template, "timeout": 60, "lock_timeout": 60}

    def options(self, colour: str) -> dict[str, Any]:
        (self.directory / "compose.yaml").write_text(SHOP.replace("@", colour))
        return {**self._options, "project_src": str(self.directory)}

    def begin(self, colour: str, *, lease: float = 120.0) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **self.lab.environment, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", _ALONE, json.dumps(self.options(colour)), str(lease)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def run(self, colour: str) -> dict[str, Any]:
        result = run_module("container_fleet", self.options(colour), environment=self.lab.environment)
        assert not result.get("failed"), result["msg"]
        return result

    def end(self) -> None:
        gone = run_module("container_fleet", {**self._options, "state": "absent"}, environment=self.lab.environment)
        assert not gone.get("failed"), gone["msg"]

    def vms(self) -> dict[str, Any]:
        return self.lab.vms(f"bonneville-containers/{self.name}")

    def folders(self) -> list[str]:
        return [str(path) for path in self.lab.state()["folders"] if self.name in str(path)]


@pytest.fixture
def shop(
    scripted_lab: Lab, frozen_template: FrozenTemplate, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Shop]:
    name = request.node.name.removeprefix("test_").replace("[", "-").replace("]", "").replace("_", "-")[:20].strip("-")
    shop = Shop(scripted_lab, frozen_template.name, tmp_path, f"{name}-{random.randrange(1000)}")
    yield shop
    shop.end()


def after(shop: Shop, process: subprocess.Popen[bytes], calls: int) -> bool:
    """Wait until a run has made so many calls; whether it was still running then."""
    while process.poll() is None:
        if sum(shop.lab.calls().values()) >= calls:
            return True
        time.sleep(0.002)
    return False


@pytest.mark.parametrize("moment", random.Random(5).sample(range(8, CALLS), 5))
@pytest.mark.parametrize("updating", [False, True], ids=["deploy", "update"])
def test_a_run_that_is_killed_is_finished_by_the_next(shop: Shop, moment: int, updating: bool) -> None:
    if updating:
        shop.run("red")
    shop.lab.reset_calls()
    process = shop.begin("blue", lease=2.0)
    killed = after(shop, process, moment)
    process.kill()
    process.wait(timeout=30)
    shop.run("blue")
    again = shop.run("blue")
    assert not again["changed"], (killed, again["actions"])
    wanted = {f"{shop.name}-{one}" for one in ("db", "api-0", "api-1", "api-2", "front")}
    assert set(shop.vms()) == wanted
    assert len({vm["bios_uuid"] for vm in shop.vms().values()}) == 5
    assert len(shop.folders()) == 1, shop.folders()


def test_a_run_that_is_ended_gives_its_lease_back_at_once(shop: Shop) -> None:
    shop.lab.reset_calls()
    with shop.lab.fault(method="InstantClone_Task", delay_ms=1000, times=-1):
        process = shop.begin("blue")
        ended_by(process, lambda: "InstantClone_Task" in shop.lab.calls())
    assert process.returncode not in (0, -signal.SIGKILL)
    deadline = time.monotonic() + 20
    while len(shop.folders()) > 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(shop.folders()) == 1, shop.folders()
    assert shop.run("blue")["changed"]
    assert not shop.run("blue")["changed"]


def test_two_runs_at_once_come_to_the_same_as_one_after_the_other(shop: Shop) -> None:
    runs = [shop.begin("blue"), shop.begin("blue")]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    assert len(shop.vms()) == 5 and len(shop.folders()) == 1
    assert not shop.run("blue")["changed"]


def ended_by(process: subprocess.Popen[bytes], moment: Callable[[], bool]) -> None:
    while process.poll() is None and not moment():
        time.sleep(0.005)
    assert process.poll() is None, "it ended before it could be ended"
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
