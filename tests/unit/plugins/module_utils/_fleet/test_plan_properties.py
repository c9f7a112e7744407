"""What holds of every fleet's plan, whatever its files say and whatever stands."""

from __future__ import annotations

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import REMOVE
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.plan import orphans, plan_fleet
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.module_utils._container.tables import carry_out
from tests.unit.plugins.module_utils._fleet.test_fleet_plan import fleet_of, in_files, seen_of
from tests.unit.plugins.module_utils.worlds import Inventory, inventories

FLEET = "shop"
LIMITS = st.fixed_dictionaries(
    {"prune": st.booleans(), "max_prune": st.integers(0, 4), "allow_empty": st.booleans(), "absent": st.booleans()}
)


def planned(world: Inventory, limits: dict[str, object]) -> tuple[object, ...]:
    """The fleet, what is seen of it, and its plan."""
    services = () if limits["absent"] else world.services
    fleet = fleet_of(in_files(*(one.name for one in services)), **limits)
    seen = seen_of(services, world.vms)
    return fleet, seen, plan_fleet(fleet, seen, {})


@given(inventories(fleet=FLEET), LIMITS)
def test_planning_again_after_the_plan_changes_nothing(world: Inventory, limits: dict[str, object]) -> None:
    _fleet, _seen, plan = planned(world, limits)
    if plan.errors:
        return
    then = Inventory(services=world.services, vms=tuple(carry_out(plan, world.vms)), taken={})
    _fleet, _seen, again = planned(then, limits)
    assert again.work == ()
    assert again.errors == ()


@given(inventories(fleet=FLEET), LIMITS, st.lists(st.integers(0, 99), min_size=1, max_size=1))
def test_the_order_of_the_input_does_not_matter(
    world: Inventory, limits: dict[str, object], shuffle: list[int]
) -> None:
    first, second = planned(world, limits)[2], planned(world.shuffled(shuffle), limits)[2]
    assert first.actions == second.actions
    assert sorted(map(str, first.errors)) == sorted(map(str, second.errors))


@given(inventories(fleet=FLEET), LIMITS)
def test_a_plan_touches_only_the_fleets_own_vms(world: Inventory, limits: dict[str, object]) -> None:
    _fleet, _seen, plan = planned(world, limits)
    for action in plan.actions:
        assert action.vm is None or action.vm.marks.fleet == FLEET
        assert plan.errors or action.vm is None or action.vm.marks.owner == ""


@given(inventories(fleet=FLEET), LIMITS)
def test_pruning_never_exceeds_its_cap(world: Inventory, limits: dict[str, object]) -> None:
    fleet, seen, plan = planned(world, limits)
    if limits["absent"]:
        return
    named = {one.name for one in world.services}
    pruned = [action for action in plan.of(REMOVE) if action.vm.marks.service not in named]
    assert not pruned or limits["prune"]
    assert len(pruned) <= len(orphans(fleet, seen))
    assert plan.errors or len(pruned) <= limits["max_prune"]
    assert plan.errors or not pruned or named or limits["allow_empty"]
