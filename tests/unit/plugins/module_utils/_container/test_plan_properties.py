"""What holds of every plan, whatever is wanted and whatever stands."""

from __future__ import annotations

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import steps
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.module_utils._container.tables import VCENTER, carry_out, make_plan
from tests.unit.plugins.module_utils.worlds import FOLDER, Inventory, inventories, without_recreate


@given(inventories())
def test_planning_again_after_the_plan_changes_nothing(world: Inventory) -> None:
    first = make_plan(world.services, world.vms, taken=world.taken)
    if first.errors:
        return
    then = carry_out(first, world.vms)
    second = make_plan(without_recreate(world.services), then, taken=world.taken)
    assert second.work == ()
    assert second.errors == ()
    for of in world.services:
        here = [one for one in then if one.is_of(of.identity(one.marks.ordinal), vcenter=VCENTER)]
        assert sorted(one.name for one in here) == sorted(identity.name for identity in of.identities)


@given(inventories(), st.lists(st.integers(0, 99), min_size=1, max_size=1))
def test_the_order_of_the_input_does_not_matter(world: Inventory, shuffle: list[int]) -> None:
    other = world.shuffled(shuffle)
    first = make_plan(world.services, world.vms, taken=world.taken)
    second = make_plan(other.services, other.vms, taken=other.taken)
    assert first.actions == second.actions
    assert [str(error) for error in first.errors] == [str(error) for error in second.errors]


@given(inventories())
def test_a_plan_touches_only_its_own_services_vms(world: Inventory) -> None:
    found = make_plan(world.services, world.vms, taken=world.taken)
    wanted = {of.name for of in world.services}
    for action in found.actions:
        assert action.vm is None or (action.vm.marks.service in wanted and action.vm.marks.fleet == "")
        # Another owner's VM forbids the whole plan.
        assert found.errors or action.vm is None or action.vm.marks.owner == ""
    untouched = {one.moid: one for one in world.vms} if found.errors else {}
    if not found.errors:
        then = {one.moid: one for one in carry_out(found, world.vms)}
        untouched = {one.moid: one for one in world.vms if one.marks.service not in wanted or one.marks.fleet}
        assert untouched.items() <= then.items()


@given(inventories())
def test_no_name_is_given_that_somebody_else_has(world: Inventory) -> None:
    found = make_plan(world.services, world.vms, taken=world.taken)
    if found.errors:
        return
    mine = {action.vm.moid for action in found.actions if action.vm}
    blocked = {(one.folder, one.name) for one in world.vms if one.moid not in mine} | world.taken.keys()
    for action in found.of(steps.CREATE, steps.RECREATE, steps.RENAME):
        names = [action.identity.name]
        if action.kind == steps.RECREATE:
            names.append(action.identity.replacement(action.slot))
        assert not {(FOLDER, name) for name in names} & blocked
