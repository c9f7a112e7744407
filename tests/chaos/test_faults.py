"""Fault × moment × operation: a run says what happened, harms nothing, and one more run sets all right."""

from __future__ import annotations

import time

import pytest

from tests.chaos.faults import KINDS, OPERATIONS, Fault
from tests.chaos.world import World
from tests.scripted.template_support import Template, make_folder
from tests.support.lab import Lab

# What a run may take beyond its own timeout to bring what it began to an end.
GRACE = 60.0
CASES = [
    pytest.param(
        operation, fault, id=f"{operation}-{fault.name}", marks=[pytest.mark.quick] if fault.quick else []
    )
    for operation in OPERATIONS
    for kind in KINDS.values()
    for fault in kind(operation)
]  # fmt: skip


@pytest.fixture
def world(chaos_lab: Lab, source: Template, request: pytest.FixtureRequest) -> World:
    """The operation's world, prepared."""
    world = World(lab=chaos_lab, source=source, operation=request.getfixturevalue("operation"))
    make_folder(chaos_lab, world.folder)
    world.prepare()
    return world


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("operation", "fault"), CASES)
def test_a_fault(world: World, operation: str, fault: Fault) -> None:
    before = world.look()
    began = time.monotonic()
    with world.struck(fault):
        hit = world.run(**fault.options)
    assert time.monotonic() - began < fault.options.get("timeout", 60) + GRACE
    if hit.get("failed"):
        assert fault.says, f"it passes by itself, and was shown: {hit['msg']}"
        assert hit["error_code"] != "internal", hit
        assert any(word in hit["msg"] for word in fault.says), hit["msg"]
    else:
        assert not fault.says or fault.may_pass, "it was not told"
    assert world.look().others == before.others

    world.source.built()  # the playbook that is run again begins with the template
    again = world.run()
    assert not again.get("failed"), again["msg"]
    quiet = world.run()
    assert not quiet.get("failed"), quiet["msg"]
    assert not quiet["changed"], quiet["actions"]
    after = world.look()
    assert set(after.ours) == world.wanted - {f"neighbour-{world.name}"}
    assert after.count == len(after.ours)
    assert {vm["folder"] for vm in after.ours.values()} <= {world.folder}
    assert after.others == before.others
    assert after.left == before.left
    assert after.orphans == before.orphans
    assert set(after.folders) - {world.folder} == set(before.folders) - {world.folder}
    assert after.guests - before.guests == after.count - before.count

    world.end()
    ended = world.look()
    assert ended.count == 0
    assert ended.orphans == before.orphans
