from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import Host, TemplateVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.fit import is_sound
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.plan import (
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
        (vm(1, host="host-2", host_name="esx2.example.com"), "move", "esx2"),
    ],
)
def test_each_state_has_its_own_action(standing: TemplateVm, action: str, words: str) -> None:
    plan = plan_present(spec=SPEC, hosts=[host(1)], vms=[standing])
    assert [step.action for step in plan.steps] == [action]
    assert words in plan.steps[0].reason
    assert not plan.errors


@pytest.mark.parametrize(
    ("standing", "action", "words"),
    [
        (vm(1), "fetch", "another folder"),
        (vm(1, power="poweredOff", frozen=False, status=None), "boot", "powered off; someone moved it"),
        (vm(1, frozen=False), "freeze", "unfrozen; someone moved it"),
        (vm(1, host="host-2", host_name="esx2.example.com"), "move", "esx2.example.com; someone moved it"),
        (vm(1, marks={"phase": "importing"}), "rebuild", "before the images were in; someone moved it"),
    ],
)
def test_one_in_another_folder_comes_back_first(standing: TemplateVm, action: str, words: str) -> None:
    astray = replace(standing, astray=True)
    (step,) = plan_present(spec=SPEC, hosts=[host(1)], vms=[astray]).steps
    assert (step.action, step.name) == (action, standing.name)
    assert words in step.reason
    assert step.brings_back != (action == "rebuild")
    (error,) = plan_present(spec=SPEC, hosts=[host(1)], vms=[astray], foreign=[standing.name]).errors
    assert standing.name in error.message


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


def test_a_host_that_the_template_did_not_know_joins() -> None:
    plan = plan_present(spec=SPEC, hosts=[host(1), host(8), host(9)], vms=[vm(1)])
    assert [(step.action, step.makes) for step in plan.steps] == [
        ("unchanged", ""),
        ("join", "import"),
        ("join", "clone"),
    ]


def test_a_host_that_left_the_cluster_is_told_by_its_vm() -> None:
    left = vm(3, marks={"cluster": "c1"}, host="host-1")
    elsewhere = [vm(4, marks={"cluster": "c2"}), vm(5, marks={"cluster": ""})]
    plan = plan_present(spec=SPEC, hosts=[host(1)], vms=[vm(1), left, *elsewhere], cluster="c1")
    assert [(step.action, step.name) for step in plan.work] == [("leave", "photon@esx3")]
    assert plan.doomed == (left,)
    kept = plan_present(spec=SPEC, hosts=[host(1)], vms=[vm(1), left], cluster="c1", dependents={left.moid: ["web-0"]})
    assert [(step.action, step.clones) for step in kept.work] == [("retire", ("web-0",))]
    assert not kept.errors
    away = replace(left, host_trouble="it is disconnected from vCenter")
    assert not plan_present(spec=SPEC, hosts=[host(1)], vms=[vm(1), away], cluster="c1").work


# Generations ------------------------------------------------------------------


def test_a_changed_spec_is_built_beside_and_takes_over_in_the_end() -> None:
    plan = plan_present(spec=OTHER, hosts=[host(1), host(2)], vms=[vm(1), vm(2)])
    assert [(step.action, step.name, step.makes, step.donor, step.trial) for step in plan.steps] == [
        ("renew", "photon@esx1~2", "import", True, True),
        ("remove", "photon@esx1", "", False, False),
        ("renew", "photon@esx2~2", "clone", False, True),
        ("remove", "photon@esx2", "", False, False),
    ]
    assert [step.after_switch for step in plan.steps] == [False, True, False, True]
    assert "memory_mb" in plan.steps[0].reason
    assert plan.sequence == 2


def test_one_that_clones_depend_on_is_retired_kept_and_collected() -> None:
    before = [vm(1)]
    clones = {"vm-1": ["web-0", "backup"]}
    plan = plan_present(spec=OTHER, hosts=[host(1)], vms=before, dependents=clones)
    assert [(step.action, step.name) for step in plan.work] == [("renew", "photon@esx1~2"), ("retire", "photon@esx1")]
    assert "backup, web-0" in plan.steps[1].reason
    assert not plan.errors
    after = carry_out(plan, before, OTHER)
    again = plan_present(spec=OTHER, hosts=[host(1)], vms=after, dependents=clones)
    assert [step.action for step in again.steps] == ["unchanged", "keep"]
    assert not again.work
    collected = plan_present(spec=OTHER, hosts=[host(1)], vms=after)
    assert [(step.action, step.name, step.after_switch) for step in collected.work] == [
        ("remove", "photon@esx1", False)
    ]


def test_a_generation_that_stands_beside_the_older_one_is_tried_out_before_it_takes_over() -> None:
    newer = vm(1, spec=OTHER, moid="vm-9", name="photon@esx1~2", marks={"sequence": 2})
    plan = plan_present(spec=OTHER, hosts=[host(1)], vms=[vm(1), newer])
    assert [(step.action, step.name, step.trial) for step in plan.work] == [
        ("verify", "photon@esx1~2", True),
        ("remove", "photon@esx1", False),
    ]
    unfrozen = replace(newer, frozen=False, power="poweredOff")
    mended = plan_present(spec=OTHER, hosts=[host(1)], vms=[vm(1), unfrozen])
    assert [(step.action, step.trial) for step in mended.work] == [("boot", True), ("remove", False)]


def test_back_to_the_older_spec_before_the_newer_took_over_needs_no_trial() -> None:
    newer = vm(1, spec=OTHER, moid="vm-9", name="photon@esx1~2", marks={"sequence": 2})
    plan = plan_present(spec=SPEC, hosts=[host(1)], vms=[vm(1), newer])
    assert [(step.action, step.name) for step in plan.work] == [("remove", "photon@esx1~2")]
    assert plan.steps[0].action == "unchanged"


def test_back_to_a_retired_spec_is_a_generation_of_its_own() -> None:
    retired = vm(1, marks={"phase": "retired"}, power="poweredOff", frozen=False)
    newer = vm(1, spec=OTHER, moid="vm-9", name="photon@esx1~2", marks={"sequence": 2})
    plan = plan_present(spec=SPEC, hosts=[host(1)], vms=[retired, newer], dependents={"vm-1": ["web"]})
    assert [(step.action, step.name) for step in plan.steps] == [
        ("renew", "photon@esx1~3"),
        ("keep", "photon@esx1"),
        ("remove", "photon@esx1~2"),
    ]


def test_what_an_interrupted_run_left_goes_without_waiting_for_the_switch() -> None:
    half = vm(1, spec=OTHER, moid="vm-8", name="photon@esx1~2", marks={"phase": "importing", "sequence": 2})
    trial = vm(1, moid="vm-9", name="photon@esx1~trial-1", marks={"phase": "trial"})
    plan = plan_present(spec=SPEC, hosts=[host(1)], vms=[vm(1), half, trial])
    assert [(step.action, step.name, step.after_switch) for step in plan.work] == [
        ("remove", "photon@esx1~2", False),
        ("remove", "photon@esx1~trial-1", False),
    ]


def test_an_agent_that_speaks_no_protocol_of_ours_is_replaced() -> None:
    plan = plan_present(spec=SPEC, hosts=[host(1)], vms=[vm(1, marks={"speaks": (7, 9)})])
    assert [step.action for step in plan.steps] == ["renew", "remove"]
    assert "no protocol" in plan.steps[0].reason


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


def test_what_depends_on_a_template_vm_forbids_its_removal() -> None:
    plan = plan_absent(name="photon", hosts=[], vms=[vm(1)], everywhere=True, dependents={"vm-1": ["web-0", "backup"]})
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
    assert not plan.doomed


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
                    "phase": draw(st.sampled_from(["importing", "primed", "frozen", "frozen", "retired", "trial", ""])),
                    "sequence": draw(st.integers(0, 3)),
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
