"""In which order services come and go."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet import order
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.order import BLOCKED, GO, WAIT, State, turn
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import (
    COMPLETED,
    HEALTHY,
    STARTED,
    Dependency,
    FleetService,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.stages import Stage, go_through
from hypothesis import given
from hypothesis import strategies as st

SECONDS = 20.0
NEW, BEGUN = State(), State(begun=True)
DONE, FAILED = State(begun=True, over=True, ok=True), State(over=True)


def service(name: str, *needs: str) -> FleetService:
    return FleetService(name=name, options={}, depends_on=tuple(Dependency(service=one) for one in needs))


@pytest.mark.parametrize(
    ("condition", "required", "state", "verdict"),
    [
        (STARTED, True, NEW, WAIT),
        (STARTED, True, BEGUN, GO),
        (STARTED, True, DONE, GO),
        (STARTED, True, FAILED, BLOCKED),
        (HEALTHY, True, BEGUN, WAIT),
        (HEALTHY, True, DONE, GO),
        (COMPLETED, True, BEGUN, WAIT),
        (COMPLETED, True, DONE, GO),
        (COMPLETED, True, FAILED, BLOCKED),
        (HEALTHY, False, FAILED, GO),
        (HEALTHY, False, NEW, WAIT),
        (STARTED, True, None, GO),
    ],
)
def test_a_service_starts_when_what_it_needs_is_so(
    condition: str, required: bool, state: State | None, verdict: str
) -> None:
    need = Dependency(service="db", condition=condition, required=required)
    assert turn([need], {"db": state} if state else {}).verdict == verdict


def test_what_failed_is_named() -> None:
    blocked = turn([Dependency(service="db", condition=HEALTHY)], {"db": FAILED})
    assert blocked.why == "it depends on 'db', which has to be healthy first, and failed"


@pytest.mark.parametrize(
    ("needs", "told"),
    [
        ({"a": ("b",), "b": ("a",)}, "a -> b -> a"),
        ({"a": ("a",)}, "a -> a"),
        ({"a": (), "b": ("c",), "c": ("d",), "d": ("b",)}, "b -> c -> d -> b"),
        ({"a": ("ghost",)}, "'ghost'"),
    ],
)
def test_what_can_never_be_is_refused(needs: Mapping[str, tuple[str, ...]], told: str) -> None:
    with pytest.raises(InvalidOption, match=told):
        order.check([service(name, *others) for name, others in needs.items()])


@st.composite
def fleets(draw: st.DrawFn) -> list[FleetService]:
    """Services that depend only on earlier ones, in any order."""
    count = draw(st.integers(1, 8))
    services = []
    for number in range(count):
        needs = draw(st.sets(st.integers(0, number - 1), max_size=number)) if number else set()
        conditions = {one: draw(st.sampled_from([STARTED, HEALTHY, COMPLETED])) for one in needs}
        depends = tuple(Dependency(service=f"s{one}", condition=conditions[one]) for one in sorted(needs))
        services.append(FleetService(name=f"s{number}", options={}, depends_on=depends))
    return draw(st.permutations(services))


@given(fleets())
def test_the_order_does_not_depend_on_the_input_and_keeps_to_the_dependencies(services: list[FleetService]) -> None:
    order.check(services)
    ordered = order.in_order(services)
    assert ordered == order.in_order(reversed(services))
    for one in services:
        assert all(ordered.index(need.service) < ordered.index(one.name) for need in one.depends_on)


@given(fleets())
def test_a_removal_goes_the_other_way(services: list[FleetService]) -> None:
    turned = order.reversed_dependencies(services)
    assert {(name, one.service) for name, needs in turned.items() for one in needs} == {
        (need.service, one.name) for one in services for need in one.depends_on
    }


@given(fleets(), st.data())
def test_stages_begin_when_they_may_and_a_failure_blocks_just_its_dependents(
    services: list[FleetService], data: st.DataObject
) -> None:
    bad = data.draw(st.sets(st.sampled_from([one.name for one in services])))
    log: list[str] = []
    lock = threading.Lock()

    def stage(one: FleetService) -> Stage:
        def work(begun: object) -> bool:
            with lock:
                log.append(f"+{one.name}")
            with lock:
                log.append(f"-{one.name}")
            return one.name not in bad

        return Stage(work=work, needs=one.depends_on)

    blocked: dict[str, str] = {}
    go_through({one.name: stage(one) for one in services}, blocked=blocked.__setitem__, end=lambda: None)
    known = {one.name: one for one in services}

    def fails(name: str) -> bool:
        return any(need.service in bad or fails(need.service) for need in known[name].depends_on)

    assert set(blocked) == {name for name in known if fails(name)}
    for one in services:
        if one.name not in blocked:
            assert all(log.index(f"-{need.service}") < log.index(f"+{one.name}") for need in one.depends_on)


def test_one_that_has_begun_lets_others_begin_before_it_is_over() -> None:
    other = threading.Event()

    def first(begun: object) -> bool:
        begun()  # type: ignore[operator]
        return other.wait(SECONDS)

    def second(begun: object) -> bool:
        other.set()
        return True

    stages = {"a": Stage(work=first), "b": Stage(work=second, needs=(Dependency(service="a"),))}
    go_through(stages, blocked=lambda name, why: None, end=lambda: None)
    assert other.is_set()


def test_what_ends_the_run_ends_all_of_it() -> None:
    ended = threading.Event()

    def breaks(begun: object) -> bool:
        raise ConnectionError("gone")

    def goes_on(begun: object) -> bool:
        return ended.wait(SECONDS)

    with pytest.raises(ConnectionError):
        go_through({"a": Stage(work=breaks), "b": Stage(work=goes_on)}, blocked=lambda name, why: None, end=ended.set)
    assert ended.is_set()
