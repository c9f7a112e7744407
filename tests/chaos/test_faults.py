"""Fault × moment × operation: a run says what happened, harms nothing, and one more run sets all right."""

from __future__ import annotations

import time

import pytest

from tests.chaos import judge
from tests.chaos.faults import KINDS, OPERATIONS, QUICK, Fault
from tests.chaos.world import World

# What a run may take beyond its own timeout to bring what it began to an end.
GRACE = 45.0
CASES = [
    pytest.param(operation, fault, id=name, marks=[pytest.mark.quick] if name in QUICK else [])
    for operation in OPERATIONS
    for kind in KINDS
    for fault in kind(operation)
    if (name := f"{operation}-{fault.name}")
]

assert {case.id for case in CASES} >= QUICK


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("operation", "fault"), CASES)
def test_a_fault(world: World, operation: str, fault: Fault) -> None:
    before = world.look()
    with world.struck(fault):
        began = time.monotonic()
        hit = world.run(**fault.options)
        took = time.monotonic() - began
    judge.told(fault, hit)
    assert took < fault.options.get("timeout", 60) + GRACE
    judge.all_well(world, fault, before)
