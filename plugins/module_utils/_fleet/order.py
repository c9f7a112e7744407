# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which order services come and go: whose turn it is, and who can no longer have one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import (
    COMPLETED,
    HEALTHY,
    STARTED,
    Dependency,
    FleetService,
)

WAIT, GO, BLOCKED = "wait", "go", "blocked"
_WORDS = {STARTED: "has to run", HEALTHY: "has to be healthy", COMPLETED: "has to end with exit code 0"}


@dataclass(frozen=True, kw_only=True)
class State:
    """Where a service is: ``begun`` once all its containers run or have ended, ``over`` once nothing is left to do."""

    begun: bool = False
    over: bool = False
    ok: bool = False


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Whether a service may start: one of this module's words. A blocked one has the dependency that failed."""

    verdict: str
    failed: Dependency | None = None

    @property
    def why(self) -> str:
        """Why a blocked service is not started, in words."""
        if self.failed is None:
            return ""
        return f"it depends on '{self.failed.service}', which {_WORDS[self.failed.condition]} first, and failed"


def turn(dependencies: Iterable[Dependency], states: Mapping[str, State]) -> Turn:
    """Whether all that a service waits for is as it has to be. What has no state is not part of the run: it is met."""
    waits = False
    for one in dependencies:
        state = states.get(one.service)
        if state is None or (state.over and (state.ok or not one.required)):
            continue
        if state.over:
            return Turn(verdict=BLOCKED, failed=one)
        waits = waits or not (one.condition == STARTED and state.begun)
    return Turn(verdict=WAIT if waits else GO)


def check(services: Iterable[FleetService]) -> None:
    """Refuse dependencies that nothing can meet. Raises InvalidOption for an unknown service and for a circle."""
    known = {service.name: service for service in services}
    for name, service in sorted(known.items()):
        for one in service.depends_on:
            if one.service not in known and one.required:
                raise InvalidOption(
                    "Cannot order the services", obj=name, why=f"it depends on '{one.service}', which there is not",
                    next_step="Name a service of the fleet in depends_on",
                )  # fmt: skip
    circle = _circle(known)
    if circle:
        raise InvalidOption(
            "Cannot order the services",
            obj=circle[0],
            why=f"they depend on each other in a circle: {' -> '.join(circle)}",
            next_step="Take one of these out of depends_on",
            details={"services": circle},
        )


def in_order(services: Iterable[FleetService]) -> tuple[str, ...]:
    """The services' names, each after all that it depends on, else by name. They have to be checked."""
    known = {service.name: service for service in services}
    ordered: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in ordered:
            return
        for one in sorted(dependency.service for dependency in known[name].depends_on):
            if one in known:
                visit(one)
        ordered[name] = None

    for name in sorted(known):
        visit(name)
    return tuple(ordered)


def reversed_dependencies(services: Iterable[FleetService]) -> dict[str, tuple[Dependency, ...]]:
    """For a removal: each service waits for those that depend on it, whatever becomes of them."""
    known = {service.name: service for service in services}
    return {
        name: tuple(
            Dependency(service=other, condition=COMPLETED, required=False)
            for other in sorted(known)
            if any(one.service == name for one in known[other].depends_on)
        )
        for name in sorted(known)
    }


def _circle(known: Mapping[str, FleetService]) -> list[str]:
    """A circle, with its first service again at the end; empty where there is none."""
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done or name not in known:
            return []
        for one in sorted(dependency.service for dependency in known[name].depends_on):
            found = walk(one, [*way, name])
            if found:
                return found
        done.add(name)
        return []

    for name in sorted(known):
        found = walk(name, [])
        if found:
            return found
    return []
