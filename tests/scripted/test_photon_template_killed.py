"""A build that is killed at any moment: the next run goes on from there, and nothing is left behind.

On eight hosts, at fifteen moments that a seed chooses, while a newer generation
is built beside the one that a container runs on.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks as marks_of

from tests.scripted.template_support import WIDE, Template, good, wide_template
from tests.support.containers import clone_containers
from tests.support.killing import kill_after
from tests.support.vsphere import connected


@pytest.fixture
def template() -> Iterator[Template]:
    with wide_template() as one:
        yield one
        state = one.lab.state()
        assert (state["sessions"], state["leases"], state["violations"]) == (0, 0, [])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("many", [3, pytest.param(15, marks=pytest.mark.long)])
def test_a_newer_generation_survives_being_killed_at_any_moment(template: Template, many: int) -> None:
    with connected(template.lab) as session:
        frozen = template.as_frozen(template.built(memory_mb=1024))
        (container,) = clone_containers(session, template.lab, frozen, "web", folder="clones")
    before = template.lab.vms()[container]
    template.lab.reset_calls()
    template.built(memory_mb=1028)
    calls = sum(template.lab.calls().values())
    moments = sorted(random.Random(WIDE * many).sample(range(5, calls), many))
    killed = 0
    for number, moment in enumerate(moments):
        wanted = {"memory_mb": 1032 + 4 * number}
        template.lab.reset_calls()
        killed += kill_after(template.lab, template.begin(**wanted), moment)
        template.lab.control("POST", "/sessions/expire")
        template.lab.control("POST", "/leases/expire")
        done = template.built(**wanted)
        vms = template.vms()
        retired = {name for name, vm in vms.items() if vm["extra_config"]["bonneville.phase"] == marks_of.RETIRED}
        assert retired == {template.vm(0)}, f"after {moment} of {calls} calls"
        serving = {name: vm for name, vm in vms.items() if name not in retired}
        assert sorted(vm["host"] for vm in serving.values()) == template.hosts
        assert all(vm["frozen"] for vm in serving.values())
        assert {vm["extra_config"]["bonneville.generation"] for vm in serving.values()} == {
            done["template"]["generation"]
        }
        assert not template.built(**wanted)["changed"]
        now = template.lab.vms()[container]
        assert (now["moid"], now["power"], now["host"]) == (before["moid"], "poweredOn", before["host"])
    assert killed >= many - 1
    template.control(container, "destroy")
    good(template.absent())
    assert template.lab.state()["orphan_files"] == []
