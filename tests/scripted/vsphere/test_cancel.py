"""AWX cancels a job by SIGTERM: whatever a module is doing then, it logs out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.lab import BUILD, Lab

MODULE = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.bonneville.vsphere.plugins.module_utils._argspec import CONNECTION
from ansible_collections.bonneville.vsphere.plugins.module_utils._run import Result, run
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import find_by_uuid, find_datacenter
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

def ready():
    print("ready", file=sys.stderr, flush=True)

def wait(session):
    with Watch(session) as watch:
        watch.add(vms=["{vm}"])
        watch.wait(Deadline(60))
        ready()
        watch.wait(Deadline(60))

def hang(session):
    ready()
    find_datacenter(session, "DC0")

def hang_side_by_side(session):
    ready()
    session.in_parallel(lambda name: find_datacenter(session, name), ["DC0"] * 3)

def compute(session):
    ready()
    while True:
        pass

def main(context):
    with context.session() as session:
        {doing}(session)
    return Result(changed=False)

with patch_module_args(json.loads(sys.stdin.read())):
    run(CONNECTION, main)
"""


@pytest.fixture
def running(scripted_lab: Lab) -> Iterator[Any]:
    """Start a module that does one thing, and be there when it is at it."""
    started: list[subprocess.Popen[str]] = []

    def start(doing: str) -> subprocess.Popen[str]:
        vm = scripted_lab.state()["vms"][0]["moid"]
        script = MODULE.replace("{vm}", vm).replace("{doing}", doing)
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, **scripted_lab.environment, "PYTHONPATH": str(BUILD / "collections")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(json.dumps(scripted_lab.connection))
        process.stdin.close()
        assert process.stderr.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def no_faults_after(scripted_lab: Lab) -> Iterator[None]:
    yield
    scripted_lab.control("DELETE", "/faults")


@pytest.mark.timeout(30)  # what it does lasts a minute, or for ever
@pytest.mark.parametrize("doing", ["wait", "hang", "hang_side_by_side", "compute"])
@pytest.mark.usefixtures("no_faults_after")
def test_logged_out(scripted_lab: Lab, running: Any, doing: str) -> None:
    before = scripted_lab.state()
    if doing.startswith("hang"):
        scripted_lab.control("POST", "/faults", {"method": "FindByInventoryPath", "fault": "hang", "times": -1})
    process = running(doing)
    assert scripted_lab.state()["sessions"] == before["sessions"] + 1
    process.send_signal(signal.SIGTERM)
    assert process.wait() != 0
    after = scripted_lab.state()
    assert [after[left] for left in ("sessions", "collectors")] == [before[left] for left in ("sessions", "collectors")]
    assert f"ended by signal {signal.SIGTERM.value}" in process.stderr.read()
