"""Which containers are looked for where they should not be."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import SLOTS
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.strays import whom_to_look_for

from tests.unit.plugins.module_utils._container.tables import VCENTER, service, vm


def looked_for(wanted: dict[str, Any], there: list[str], *, rounds: int = 1) -> list[set[str]]:
    """The ordinals that are looked for, round by round."""
    of = service(**wanted)
    standing = [vm(of.identity(ordinal), of) for ordinal in there]
    names = {
        of.identity(ordinal).bios_uuid(vcenter=VCENTER, slot=slot): ordinal
        for ordinal in ("", *map(str, range(40)))
        for slot in SLOTS
    }
    found = itertools.islice(whom_to_look_for([of], standing, vcenter=VCENTER), rounds)
    return [{names[uuid] for uuid in uuids} for uuids in found]


@pytest.mark.parametrize(
    ("wanted", "there", "expected"),
    [
        ({}, [""], []),
        ({}, [], [{""}]),
        ({"replicas": 3}, ["0", "1", "2"], []),
        ({"replicas": 3}, ["0", "2"], [{"1"}]),
        ({"replicas": 5}, ["0"], [{"1", "4"}, {"2", "3"}]),
        ({"replicas": 3}, [], [{"0"}, {"1", "2"}]),
        # One that is to be smaller: a number that is missing among those that go.
        ({"replicas": 1}, ["0", "1", "3"], [{"2"}]),
        # One that is to go: a missing number, and whether there are more than are seen.
        ({"state": "absent"}, ["0", "2"], [{"1", "3"}]),
        ({"state": "absent"}, ["0", "1"], [{"2"}]),
        ({"state": "absent"}, [""], []),
        ({"state": "absent"}, [], [{"", "0"}]),
    ],
)
def test_who_is_looked_for_first(wanted: dict[str, Any], there: list[str], expected: list[set[str]]) -> None:
    assert looked_for(wanted, there, rounds=max(1, len(expected))) == expected


def test_of_a_service_that_goes_more_are_looked_for_as_long_as_there_are_any() -> None:
    assert looked_for({"state": "absent"}, ["0"], rounds=3) == [
        {"1"}, {str(number) for number in range(2, 10)}, {str(number) for number in range(10, 18)},
    ]  # fmt: skip
