"""Random inventories for the properties of plans: what is wanted, and what stands, half-made, moved or another's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import steps
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.compare import Applied
from hypothesis import strategies as st

from tests.unit.plugins.module_utils._container.tables import applied, service, vm

T = TypeVar("T")

FOLDER = "bonneville"
NAMES = ("web", "api", "db")
OPTIONS = ({"user": "a"}, {"user": "b"}, {"env": {"KEY": "1"}}, {"user": "a", "ip_address": "192.0.2.7/24"})
# Made once: to read a specification takes longer than to plan. Without a key a digest takes long on purpose.
BASES = tuple(service(options=one, digest_key="a key") for one in OPTIONS)
BASES_BY_SPEC = {id(one.spec): number for number, one in enumerate(BASES)}
PHASES = ("running", "running", "stopped", "exited", "created", "silent", "failed", "starting")


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Services that are wanted, VMs that stand, and for each folder and name of a VM of nobody here what it is."""

    services: tuple[steps.Service, ...]
    vms: tuple[ContainerVm, ...]
    taken: Mapping[tuple[str, str], str]

    def shuffled(self, shuffle: Sequence[int]) -> Inventory:
        """The same in another order."""

        def turned(items: Sequence[object]) -> tuple[object, ...]:
            at = shuffle[0] % (len(items) or 1)
            return (*items[at:], *items[:at])[:: -1 if shuffle[0] % 2 else 1]

        return Inventory(
            services=turned(self.services),  # type: ignore[arg-type]
            vms=turned(self.vms),  # type: ignore[arg-type]
            taken=dict(turned(tuple(self.taken.items()))),  # type: ignore[arg-type]
        )


@cache
def _applied(base: int, scope: str) -> Applied:
    spec = BASES[base].spec
    assert spec is not None
    return applied(spec, scope=scope, key="a key")


class Choices:
    """Choices out of one number, the first of each for zero: hypothesis draws one number faster than many."""

    def __init__(self, number: int) -> None:
        self._left = number

    def of(self, items: Sequence[T]) -> T:
        self._left, at = divmod(self._left, len(items))
        return items[at]


NUMBERS = st.integers(0, 1 << 40)


@st.composite
def inventories(draw: st.DrawFn, *, fleet: str = "") -> Inventory:
    """VMs of the wanted services, of others, of other owners and fleets, finished or not, where they belong or not."""
    wanted = [
        _wanted(Choices(number), name, fleet)
        for name, number in zip(NAMES, draw(st.tuples(NUMBERS, NUMBERS, NUMBERS)), strict=True)
    ]
    standing = _standing(draw(st.lists(NUMBERS, max_size=8)), fleet)
    used = {(one.folder, one.name) for one in standing}
    blocked = (FOLDER, draw(st.sampled_from(["", "web", "web-0", "web~2", "db-1", "api"])))
    return Inventory(
        services=tuple(one for one in wanted if one),
        vms=standing,
        taken={} if not blocked[1] or blocked in used else {blocked: "a VM of somebody's"},
    )


def _wanted(choices: Choices, name: str, fleet: str) -> steps.Service | None:
    if choices.of((False, True)):
        return None
    return replace(
        choices.of(BASES),
        name=name,
        fleet=fleet,
        state=choices.of(steps.STATES),
        replicas=choices.of((None, 0, 1, 3)),
        recreate=choices.of((False, False, False, True)) and not fleet,
        ends=choices.of((False, True)) and bool(fleet),
    )


def _standing(numbers: Iterable[int], fleet: str) -> tuple[ContainerVm, ...]:
    found: dict[tuple[str, str, str, str], ContainerVm] = {}
    used: set[tuple[str, str]] = set()
    for number in numbers:
        choices = Choices(number)
        name, ordinal, slot = choices.of(NAMES), choices.of(("", "0", "1", "2", "3")), choices.of("12")
        of = replace(
            choices.of(BASES),
            name=name,
            fleet=choices.of((fleet, fleet, fleet, "other")),
            owner=choices.of(("", "", "", "", "", "", "", "blue")),
        )
        identity, folder = of.identity(ordinal), choices.of((FOLDER, FOLDER, FOLDER, "elsewhere"))
        titles = (identity.name, identity.name, identity.replacement(slot), f"renamed-{len(found)}")
        title = choices.of([one for one in titles if (folder, one) not in used])
        place = (of.fleet, name, ordinal, slot)
        if place in found:
            continue  # two of one identity forbid every plan, which has a test of its own
        used.add((folder, title))
        found[place] = vm(
            identity, of, slot=slot, name=title, moid=f"vm-{len(found)}", phase=choices.of(PHASES),
            sealed=choices.of((False, True)), folder=folder,
            applied=_applied(BASES_BY_SPEC[id(of.spec)], identity.scope),
        )  # fmt: skip
    return tuple(found.values())


def without_recreate(services: Sequence[steps.Service]) -> list[steps.Service]:
    """What is wanted once what was asked for anew is new."""
    return [replace(one, recreate=False) for one in services]
