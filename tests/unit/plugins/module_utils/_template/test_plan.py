from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import Host, TemplateVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.plan import (
    is_sound,
    plan_absent,
    plan_parked,
    plan_present,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.module_utils._template.tables import SPEC, carry_out, host, status, vm

OTHER = replace(SPEC, memory_mb=4096)
GAVE_UP = status("failed", reason=protocol.Reason(code="disk_full", message="no space left"))


def actions(plan: object) -> list[tuple[str, str]]:
    return [(step.action, step.host.label) for step in plan.steps]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("standing", "action", "words"),
    [
        (vm(1), "unchanged", "frozen"),
        (vm(1, power="poweredOff", frozen=False, status=None), "boot", "powered off"),
        (vm(1, frozen=False), "freeze", "unfrozen"),
        (vm(1, frozen=False, status=status("booting")), "freeze", "unfrozen"),
        (vm(1, frozen=False, freeze_order="b1"), "refreeze", "told to freeze"),
        (vm(1, frozen=False, freeze_order="an earlier boot"), "freeze", "unfrozen"),
        (vm(1, frozen=False, status=None), "refreeze", "says nothing"),
        (vm(1, frozen=False, status=GAVE_UP), "refreeze", "no space left"),
        (vm(1, power="suspended", frozen=False), "refreeze", "suspended"),
        (vm(1, published_key="b3RoZXI="), "refreeze", "sealing key"),
        (vm(1, marks={"key": ""}, published_key=""), "refreeze", "sealing key"),
        (vm(1, published_key=""), "unchanged", "frozen"),
        (vm(1, marks={"phase": "primed"}), "refreeze", "before its key"),
        (vm(1, marks={"phase": "primed"}, frozen=False, priming=True), "refreeze", "interrupted after"),
        (vm(1, marks={"phase": "primed"}, frozen=False, power="poweredOff"), "boot", "powered off"),
        (vm(1, marks={"phase": "importing"}, frozen=False, power="poweredOff"), "rebuild", "interrupted before"),
        (vm(1, spec=OTHER), "rebuild", "memory_mb"),
        (vm(1, marks={"speaks": (7, 9)}), "rebuild", "no protocol"),
        (vm(1, host="host-2", host_name="esx2.example.com"), "move", "esx2"),
    ],
)
def test_each_state_has_its_own_action(standing: TemplateVm, action: str, words: str) -> None:
    plan = plan_present(spec=SPEC, hosts=[host(1)], vms=[standing])
    assert [step.action for step in plan.steps] == [action]
    assert words in plan.steps[0].reason
    assert not plan.errors


def test_an_empty_site_imports_once_and_clones_the_rest() -> None:
    plan = plan_present(spec=SPEC, hosts=[host(3), host(1), host(2)], vms=[])
    assert actions(plan) == [("import", "esx1"), ("clone", "esx2"), ("clone", "esx3")]
    assert [step.donor for step in plan.steps] == [True, False, False]
    assert [step.name for step in plan.steps] == ["photon@esx1", "photon@esx2", "photon@esx3"]


def test_a_primed_vm_of_an_interrupted_build_is_the_donor() -> None:
    primed = vm(2, marks={"phase": "primed"}, power="poweredOff", frozen=False)
    plan = plan_present(spec=SPEC, hosts=[host(1), host(2)], vms=[primed])
    assert actions(plan) == [("clone", "esx1"), ("boot", "esx2")]
    assert [step.donor for step in plan.steps] == [False, True]


def test_a_missing_vm_is_built_anew_while_the_others_serve() -> None:
    plan = plan_present(spec=SPEC, hosts=[host(1), host(2)], vms=[vm(1)])
    assert actions(plan) == [("unchanged", "esx1"), ("import", "esx2")]


def test_a_changed_spec_rebuilds_from_one_import() -> None:
    plan = plan_present(spec=OTHER, hosts=[host(1), host(2)], vms=[vm(1), vm(2)])
    assert [(step.action, step.makes, step.donor) for step in plan.steps] == [
        ("rebuild", "import", True),
        ("rebuild", "clone", False),
    ]


def test_a_second_template_vm_of_a_host_goes_and_the_sound_one_stays() -> None:
    plan = plan_present(spec=SPEC, hosts=[host(1)], vms=[vm(1, moid="vm-0", frozen=False), vm(1)])
    assert [(step.action, step.vm.moid) for step in plan.steps if step.vm] == [
        ("unchanged", "vm-1"),
        ("remove", "vm-0"),
    ]


def test_a_host_out_of_service_is_skipped() -> None:
    plan = plan_present(spec=SPEC, hosts=[host(1, trouble="it is in maintenance mode")], vms=[vm(1, frozen=False)])
    assert actions(plan) == [("skip", "esx1")]
    assert not plan.work


def test_what_depends_on_a_template_vm_forbids_its_rebuild() -> None:
    plan = plan_present(spec=OTHER, hosts=[host(1)], vms=[vm(1)], dependents={"vm-1": ["web-0", "backup"]})
    assert [error.code for error in plan.errors] == ["in_use"]
    assert "backup, web-0" in plan.errors[0].message


def test_a_foreign_vm_of_a_wanted_name_is_an_error() -> None:
    plan = plan_present(spec=SPEC, hosts=[host(1)], vms=[], foreign=["photon@esx1"])
    assert [error.code for error in plan.errors] == ["foreign_vm"]
    assert "photon@esx1" in plan.errors[0].message


def test_absent_takes_all_or_the_hosts_named() -> None:
    both = [vm(1), vm(2), vm(3, spec=replace(SPEC, name="other"))]
    everywhere = plan_absent(name="photon", hosts=[], vms=both, everywhere=True)
    assert [step.vm.moid for step in everywhere.steps if step.vm] == ["vm-1", "vm-2"]
    one = plan_absent(name="photon", hosts=[host(2)], vms=both, everywhere=False)
    assert [step.vm.moid for step in one.steps if step.vm] == ["vm-2"]


def test_parking_powers_off_what_stands_on_the_host_wherever_it_belongs() -> None:
    off = vm(3, power="poweredOff", frozen=False, host="host-1")
    moved = vm(2, host="host-1", power="suspended", frozen=False)
    others = [vm(4), vm(5, spec=replace(SPEC, name="other"), host="host-1")]
    plan = plan_parked(name="photon", hosts=[host(1)], vms=[vm(1), moved, off, *others])
    assert [(step.action, step.vm.moid) for step in plan.steps if step.vm] == [
        ("park", "vm-1"),
        ("park", "vm-2"),
        ("unchanged", "vm-3"),
    ]
    assert not plan.destroyed


# Properties -------------------------------------------------------------------


@st.composite
def sites(draw: st.DrawFn) -> tuple[list[Host], list[TemplateVm]]:
    """Hosts and template VMs in any state, ours and another template's."""
    hosts = [
        host(n, trouble=draw(st.sampled_from(["", "", "it is disconnected"])))
        for n in range(1, draw(st.integers(1, 5)) + 1)
    ]
    vms = []
    for index in range(draw(st.integers(0, 8))):
        spec = draw(st.sampled_from([SPEC, SPEC, OTHER, replace(SPEC, name="other")]))
        number = draw(st.integers(1, 6))
        now = draw(st.sampled_from([number, number, number, 1]))
        vms.append(
            vm(
                number,
                spec=spec,
                moid=f"vm-{index}",
                host=f"host-{now}",
                power=draw(st.sampled_from(["poweredOn", "poweredOff", "suspended"])),
                frozen=draw(st.booleans()),
                priming=draw(st.booleans()),
                published_key=draw(st.sampled_from(["a2V5", "", "eHh4"])),
                freeze_order=draw(st.sampled_from(["", "b1"])),
                status=draw(st.sampled_from([None, status("ready"), status("booting"), GAVE_UP])),
                marks={
                    "phase": draw(st.sampled_from(["importing", "primed", "frozen", "frozen", ""])),
                    "speaks": draw(st.sampled_from([(1, 1), (1, 1), (8, 9), (0, 0)])),
                },
            )
        )
    return hosts, vms


@given(sites())
def test_planning_again_after_the_work_finds_nothing_to_do(site: tuple[list[Host], list[TemplateVm]]) -> None:
    hosts, vms = site
    after = carry_out(plan_present(spec=SPEC, hosts=hosts, vms=vms), vms, SPEC)
    again = plan_present(spec=SPEC, hosts=hosts, vms=after)
    assert again.work == ()


@given(sites())
def test_every_host_in_service_ends_with_one_sound_vm(site: tuple[list[Host], list[TemplateVm]]) -> None:
    hosts, vms = site
    after = carry_out(plan_present(spec=SPEC, hosts=hosts, vms=vms), vms, SPEC)
    for one in hosts:
        if not one.trouble:
            assert [v for v in after if v.marks.template == "photon" and v.marks.host == one.moid and is_sound(v, SPEC)]


@given(sites(), st.randoms())
def test_the_order_of_what_is_read_does_not_matter(site: tuple[list[Host], list[TemplateVm]], random: object) -> None:
    hosts, vms = site
    shuffled_hosts, shuffled_vms = list(hosts), list(vms)
    random.shuffle(shuffled_hosts)  # type: ignore[attr-defined]
    random.shuffle(shuffled_vms)  # type: ignore[attr-defined]
    assert plan_present(spec=SPEC, hosts=hosts, vms=vms) == plan_present(
        spec=SPEC, hosts=shuffled_hosts, vms=shuffled_vms
    )


@given(sites())
def test_only_vms_of_this_template_and_these_hosts_are_named(site: tuple[list[Host], list[TemplateVm]]) -> None:
    hosts, vms = site
    plan = plan_present(spec=SPEC, hosts=hosts, vms=vms)
    homes = {one.moid for one in hosts}
    for step in plan.steps:
        assert step.host.moid in homes
        if step.vm:
            assert step.vm.marks.template == SPEC.name
            assert step.vm.marks.host == step.host.moid or step.vm.name == step.name


@given(sites())
def test_at_most_one_vm_is_the_donor_and_clones_have_one(site: tuple[list[Host], list[TemplateVm]]) -> None:
    hosts, vms = site
    steps = plan_present(spec=SPEC, hosts=hosts, vms=vms).steps
    donors = [step for step in steps if step.donor]
    assert len(donors) == (1 if any(step.makes for step in steps) else 0)
    assert all(step.makes != "clone" for step in donors)
    assert sum(step.makes == "import" for step in steps) <= 1
