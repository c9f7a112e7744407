"""Runs that are ended in the middle, and two that are at it at once: one more run sets all right."""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests.chaos import judge
from tests.chaos.faults import CHANGES, OPERATIONS, Fault
from tests.chaos.world import SESSION, World

SIGNALS = (signal.SIGTERM, signal.SIGKILL)
CASES = [
    pytest.param(
        operation, moment, sent, id=f"{operation}-{sent.name}-at-{moment}",
        marks=[pytest.mark.quick] if (operation, moment) == ("deploy", "InstantClone_Task") else [],
    )
    for operation in OPERATIONS
    for moment in dict.fromkeys(("Login", *CHANGES[operation], "Logout"))
    for sent in SIGNALS
]  # fmt: skip


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("operation", "moment", "sent"), CASES)
def test_a_run_that_is_ended(world: World, operation: str, moment: str, sent: signal.Signals) -> None:
    before = world.look()
    # What it is at lasts long enough for it to be ended in its midst.
    slow = {"method": moment, "task": moment.endswith("_Task"), "delay_ms": 1000, "times": -1}
    killed = sent == signal.SIGKILL
    fault = Fault(name=f"{sent.name}-at-{moment}", rules=(slow,), leaves=SESSION if killed or moment == "Login" else ())
    with world.struck(fault):
        run = world.begin()
        while run.poll() is None and not world.has_come(moment):
            time.sleep(0.005)
        assert run.poll() is None, "it ended before it could be ended"
        run.send_signal(sent)
        run.communicate(timeout=60)
    assert run.returncode not in (0, None)
    if not killed and moment not in ("Login", "Logout"):
        left = world.look().left
        assert [left[kind] for kind in SESSION] == [before.left[kind] for kind in SESSION], "it did not log out"
    judge.all_well(world, fault, before)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "operation", [pytest.param(one, marks=[pytest.mark.quick] if one == "update" else []) for one in OPERATIONS]
)
def test_two_controllers_at_once(world: World, operation: str) -> None:
    before = world.look()
    runs = [world.begin(), world.begin()]
    results = [json.loads(run.communicate(timeout=120)[0].splitlines()[-1]) for run in runs]
    for result in results:
        # Who comes second may find a name taken, or a VM that is not what it was: that is said of the VM.
        assert not result.get("failed") or world.name in result["msg"], result["msg"]
        assert result.get("error_code") != "internal", result["msg"]
    judge.all_well(world, Fault(name="two-at-once"), before)
