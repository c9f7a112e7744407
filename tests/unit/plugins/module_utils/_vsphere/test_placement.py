from __future__ import annotations

from collections import Counter

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import TemplateUnusable
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.placement import Seat, Wish, place
from hypothesis import given
from hypothesis import strategies as st


def seat(number: int, free: int = 1000, clone: int = 100) -> Seat:
    return Seat(vm=f"vm-{number}", host=f"host-{number}", memory_free_mb=free, clone_mb=clone)


def wishes(*groups: str) -> list[Wish]:
    return [Wish(key=str(number), group=group) for number, group in enumerate(groups)]


def hosts(placed: dict[str, Seat]) -> list[str]:
    return [placed[str(number)].host.removeprefix("host-") for number in range(len(placed))]


@pytest.mark.parametrize(
    ("groups", "seats", "taken", "expected"),
    [
        # a service is spread first
        ("aaa", [seat(1), seat(2), seat(3)], {}, "123"),
        ("aaaa", [seat(1, free=500), seat(2)], {}, "2121"),
        # then memory counts, and equal hosts come in the order of their ids
        ("abc", [seat(1), seat(2), seat(3)], {}, "123"),
        ("abc", [seat(1), seat(2, free=5000), seat(3)], {}, "222"),
        # what a clone takes is counted at once
        ("ab", [seat(1, free=1000, clone=600), seat(2, free=900)], {}, "12"),
        # those that stay count
        ("a", [seat(1, free=9000), seat(2)], {"a": {"host-1": 1}}, "2"),
        ("b", [seat(1, free=9000), seat(2)], {"a": {"host-1": 1}}, "1"),
        # a full house is no reason to refuse: vSphere overcommits
        ("aa", [seat(1, free=0)], {}, "11"),
        ("", [], {}, ""),
    ],
)
def test_where_clones_go(groups: str, seats: list[Seat], taken: dict[str, dict[str, int]], expected: str) -> None:
    assert hosts(place(wishes(*groups), seats=seats, taken=taken)) == list(expected)


def test_without_a_seat_nothing_is_placed() -> None:
    with pytest.raises(TemplateUnusable, match="no frozen template VM is on a host in service"):
        place(wishes("a"), seats=[])


@given(
    groups=st.lists(st.sampled_from("abc"), max_size=30),
    free=st.lists(st.integers(0, 10_000), min_size=1, max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_a_service_is_spread_evenly_whatever_the_order_of_seats(
    groups: list[str], free: list[int], order: object
) -> None:
    seats = [seat(number, free=amount) for number, amount in enumerate(free)]
    placed = place(wishes(*groups), seats=seats)
    for group in set(groups):
        used = Counter(placed[str(number)].host for number, one in enumerate(groups) if one == group)
        counts = [used[one.host] for one in seats]
        assert max(counts) - min(counts) <= 1
    order.shuffle(seats)  # type: ignore[attr-defined]
    assert place(wishes(*groups), seats=seats) == placed
