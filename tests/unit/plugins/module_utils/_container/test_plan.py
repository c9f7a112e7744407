from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import steps
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.plan import plan_removal
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    Ambiguous,
    ForeignVm,
    InvalidOption,
    Several,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol

from tests.unit.plugins.module_utils._container.tables import carry_out, make_plan, service, status, vm

WEB = service()
ONE = WEB.identity("")
GAVE_UP = protocol.Reason(code="image_pull_failed", message="no such image")


def kinds(plan: steps.Plan) -> list[tuple[str, str]]:
    return [(action.kind, action.name) for action in plan.actions]


def one(state: str = "started", **fields: Any) -> ContainerVm:
    return vm(ONE, WEB, **fields)


@pytest.mark.parametrize(
    ("state", "standing", "expected", "words"),
    [
        ("started", None, "create", "does not exist"),
        ("started", one(), "unchanged", "running"),
        ("started", one(phase="stopped"), "start", "stopped"),
        ("started", one(phase="exited", status_fields={"exit_code": 3}), "start", "exit code 3"),
        ("started", one(phase="created"), "start", "created"),
        ("started", one(phase="pulling"), "unchanged", "still pulling"),
        ("started", one(phase="silent"), "recreate", "says nothing"),
        ("started", one(phase="failed", status_fields={"reason": GAVE_UP}), "recreate", "no such image"),
        ("started", one(power="suspended"), "start", "suspended"),
        ("healthy", one(), "unchanged", "running"),
        ("present", one(phase="exited"), "unchanged", "exited"),
        ("present", one(phase="stopped"), "unchanged", "stopped"),
        ("present", one(phase="silent"), "recreate", "says nothing"),
        ("stopped", one(phase="stopped"), "unchanged", "stopped"),
        ("stopped", one(), "stop", "running"),
        ("stopped", one(phase="silent"), "stop", "silent"),
        ("stopped", None, "create", "does not exist"),
        ("absent", one(), "remove", "absent"),
        ("absent", None, "", ""),
        ("started", one(slot="2"), "unchanged", "running"),
    ],
)
def test_one_container(state: str, standing: ContainerVm | None, expected: str, words: str) -> None:
    found = make_plan([service(state=state)], [standing] if standing else [])
    assert kinds(found) == ([(expected, "web")] if expected else [])
    assert not expected or words in found.actions[0].reason
    assert found.errors == ()


def test_a_changed_option_replaces_and_is_named() -> None:
    found = make_plan([service(options={"user": "www", "env": {"A": "secret"}})], [one()])
    (action,) = found.actions
    assert (action.kind, action.slot, action.stop_first) == ("recreate", "2", False)
    assert action.reason == "changed: env, user"
    assert action.after == {"user": "www", "env": {"A": "(secret, added)"}}
    assert "secret'" not in str(action.document())


@pytest.mark.parametrize("options", [{"ip_address": "10.0.0.5/24"}, {"mac_address": "deterministic"}])
def test_an_address_that_two_vms_cannot_share_stops_the_old_one_first(options: dict[str, Any]) -> None:
    holder = service(options=options)
    for wanted, standing in ((holder, WEB), (service(options={"user": "x"}), holder)):
        (action,) = make_plan([wanted], [vm(ONE, standing)]).actions
        assert (action.kind, action.stop_first) == ("recreate", True)


def test_recreate_asks_for_a_new_one_whatever_was_recorded() -> None:
    keyed = service(options={"env": {"A": "1"}}, digest_key="old")
    (action,) = make_plan([replace(keyed, digest_key="new", recreate=True)], [vm(ONE, keyed)]).actions
    assert (action.kind, action.reason) == ("recreate", "recreate was asked for")


def test_scaling_down_removes_the_highest_ordinals() -> None:
    wide = service(replicas=5)
    standing = [vm(identity, wide) for identity in wide.identities]
    assert kinds(make_plan([service(replicas=2)], standing)) == [
        ("unchanged", "web-0"),
        ("unchanged", "web-1"),
        ("remove", "web-4"),
        ("remove", "web-3"),
        ("remove", "web-2"),
    ]


def test_more_than_ten_replicas_are_ordered_by_number() -> None:
    names = [action.name for action in make_plan([service(replicas=12)], []).actions]
    assert names == [f"web-{number}" for number in range(12)]


def test_from_one_container_to_replicas() -> None:
    assert kinds(make_plan([service(replicas=1)], [one()])) == [("create", "web-0"), ("remove", "web")]


BEFORE, AFTER = service(options={"user": "a"}), service(options={"user": "b"})


def test_an_interrupted_replacement_is_finished() -> None:
    standing = [vm(ONE, BEFORE), vm(ONE, AFTER, slot="2", name="web~2")]
    assert kinds(make_plan([AFTER], standing)) == [("remove", "web"), ("rename", "web"), ("unchanged", "web")]


def test_a_failed_replacement_goes_and_the_old_one_stays_until_the_next_is_there() -> None:
    failed = vm(ONE, AFTER, slot="2", name="web~2", phase="failed", status_fields={"reason": GAVE_UP})
    found = make_plan([AFTER], [vm(ONE, BEFORE), failed])
    assert kinds(found) == [("remove", "web~2"), ("recreate", "web")]
    assert found.actions[1].vm == vm(ONE, BEFORE)


@pytest.mark.parametrize("standing", ["running", "stopped"])
def test_a_failed_replacement_that_was_powered_off_is_not_taken_for_one_that_works(standing: str) -> None:
    """It keeps no status that would tell."""
    failed = vm(ONE, AFTER, slot="2", name="web~2", phase="stopped")
    found = make_plan([AFTER], [vm(ONE, BEFORE, phase=standing), failed])
    assert kinds(found) == [("remove", "web~2"), ("recreate", "web")]


def test_a_renamed_vm_gets_its_name_back() -> None:
    assert kinds(make_plan([WEB], [one(name="renamed by hand")])) == [("rename", "web"), ("unchanged", "web")]


def test_a_moved_vm_is_ours_and_not_made_twice() -> None:
    assert kinds(make_plan([WEB], [one(folder="elsewhere")])) == [("unchanged", "web")]


def test_an_unfinished_creation_is_finished() -> None:
    assert kinds(make_plan([WEB], [one(sealed=True)])) == [("adopt", "web"), ("unchanged", "web")]


@pytest.mark.parametrize(
    ("state", "standing", "waits"),
    [
        ("started", one(), False),
        ("healthy", one(), True),
        ("healthy", one(status=status(health="healthy")), False),
        ("started", one(phase="starting"), True),
        ("present", one(phase="starting"), True),
        ("stopped", one(phase="stopped"), False),
    ],
)
def test_what_is_awaited_though_nothing_is_done(state: str, standing: ContainerVm, waits: bool) -> None:
    assert make_plan([service(state=state)], [standing]).actions[-1].waits is waits


def test_a_foreign_vm_of_the_name_is_an_error_that_names_it() -> None:
    found = make_plan([service(replicas=2)], [], taken={("bonneville", "web-1"): "vm-77 without marks"})
    with pytest.raises(ForeignVm, match=r"web-1.*vm-77 without marks"):
        found.check()


def test_a_foreign_vm_in_the_way_of_a_replacement() -> None:
    found = make_plan([service(options={"user": "x"})], [one()], taken={("bonneville", "web~2"): "it is vm-77"})
    with pytest.raises(ForeignVm, match="web~2"):
        found.check()


def test_a_foreign_vm_elsewhere_is_no_matter() -> None:
    assert make_plan([WEB], [], taken={("elsewhere", "web"): "vm-77"}).errors == ()


def test_a_vm_of_another_service_in_the_way() -> None:
    other = service(name="web-0")
    found = make_plan([service(replicas=1)], [vm(other.identity(""), other)])
    with pytest.raises(ForeignVm, match="service 'web-0'"):
        found.check()


def test_a_container_made_in_another_folder_and_moved_here_is_not_this_one() -> None:
    elsewhere = service(folder="elsewhere")
    found = make_plan([WEB], [vm(elsewhere.identity(""), elsewhere, folder="bonneville")])
    with pytest.raises(ForeignVm):
        found.check()


def test_another_owner() -> None:
    owned = service(owner="repo-a")
    with pytest.raises(ForeignVm, match="repo-a"):
        make_plan([service(owner="repo-b")], [vm(ONE, owned)]).check()


def test_names_that_collide() -> None:
    with pytest.raises(InvalidOption, match="web-0"):
        make_plan([service(replicas=1), service(name="web-0")], []).check()


def test_two_vms_of_one_identity() -> None:
    with pytest.raises(Ambiguous, match=r"vm-1.*vm-2"):
        make_plan([WEB], [one(moid="vm-1"), one(moid="vm-2", name="web restored")]).check()


def test_all_errors_are_told_at_once() -> None:
    taken = {("bonneville", f"web-{number}"): "vm" for number in range(2)}
    with pytest.raises(Several) as error:
        make_plan([service(replicas=2)], [], taken=taken).check()
    assert error.value.code == "foreign_vm"
    assert len(error.value.errors) == 2


def test_removal_of_chosen_vms() -> None:
    wide = service(replicas=3)
    found = plan_removal(vms=[vm(identity, wide) for identity in wide.identities], reason="asked")
    assert [action.name for action in found.actions] == ["web-2", "web-1", "web-0"]


def test_every_state_from_every_phase_is_reached_at_once() -> None:
    for state, phase in itertools.product(
        steps.STATES, ["running", "stopped", "exited", "created", "silent", "failed"]
    ):
        wanted, standing = service(state=state), [one(phase=phase)]
        then = carry_out(make_plan([wanted], standing), standing)
        assert make_plan([wanted], then).work == (), (state, phase)
