"""Runs of container_fleet in processes of their own, which are ended in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.lab import Lab

# With further arguments the run is one of another machine, and its lease is short, since it has to run out.
_ALONE = """
import json, sys
from tests.support.modules import run_module
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere import lease, process
if sys.argv[2:]:
    lease.SECONDS, process._here = float(sys.argv[2]), lambda: "0123456789abcdef"
print(json.dumps(run_module("container_fleet", json.loads(sys.argv[1]))))
"""


def begin(lab: Lab, options: Mapping[str, Any], *, elsewhere: float = 0.0) -> subprocess.Popen[bytes]:
    """Begin a run.

    Args:
        elsewhere: as of another machine, with a lease of so many seconds.
    """
    environment = {**os.environ, **lab.environment, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _ALONE, json.dumps({**lab.connection, **options})]
    command += [str(elsewhere)] if elsewhere else []
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_after(lab: Lab, process: subprocess.Popen[bytes], calls: int) -> bool:
    """Kill a run once the lab was called so often since the last reset; whether it was still running then."""
    while process.poll() is None and sum(lab.calls().values()) < calls:
        time.sleep(0.002)
    running = process.poll() is None
    process.kill()
    process.wait(timeout=30)
    return running


def end_at(process: subprocess.Popen[bytes], moment: Callable[[], bool]) -> int:
    """End a run as a user does, by SIGTERM, as soon as it is so far; its return code."""
    while process.poll() is None and not moment():
        time.sleep(0.005)
    assert process.poll() is None, "it ended before it could be ended"
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=60)
