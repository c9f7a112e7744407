# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the planned containers are to be made, and whether there is room: all that is checked before a change.

What is found here is found in check mode, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.build import (
    Build,
    Ground,
    build,
    salts,
    wanted_spec,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import (
    CREATE,
    RECREATE,
    REMOVE,
    Action,
    Plan,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.survey import Survey
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.templates import (
    Seat,
    Seats,
    check_image,
    check_size,
    check_swap_space,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere import placement


def prepare(plan: Plan, seen: Survey, places: Mapping[str, Seats]) -> tuple[Build, ...]:
    """A sealed request for every container that the plan makes, in the plan's order.

    Raises: TemplateUnusable, CapacityShort, InvalidOption, SpecTooLarge, SealBroken, AgentUnsupported.
    """
    actions = plan.of(CREATE, RECREATE)
    if not actions:
        return ()
    _check(actions, places)
    chosen = _choose(actions, plan, seen, places)
    ground = _ground(seen)
    check_swap_space(((seat, ground.datastore or seat.datastores[0]) for seat in chosen.values()), seen.scope)
    scopes = {action.identity.scope: action.service for action in actions}
    standing: dict[str, list[ContainerVm]] = {}
    for action in plan.actions:
        if action.vm:
            standing.setdefault(action.identity.scope, []).append(action.vm)
    salt = salts(scopes, {scope: tuple(vms) for scope, vms in standing.items()})
    return tuple(
        build(action, chosen[action.identity.name], ground, salt=salt[action.identity.scope]) for action in actions
    )


def _check(actions: Iterable[Action], places: Mapping[str, Seats]) -> None:
    """Once per service: replicas differ in nothing that is checked here."""
    for service in {id(action.service): action.service for action in actions}.values():
        if service.spec is None:
            raise AssertionError("a service without a spec makes no container")
        there = places[service.spec.template]
        there.check()
        check_size(service.name, service.spec, there)
        check_image(service.name, service.spec, there)


def _choose(actions: Iterable[Action], plan: Plan, seen: Survey, places: Mapping[str, Seats]) -> dict[str, Seat]:
    """A seat for each container, by its name: spread a service over hosts, then the host with the most memory."""
    staying: dict[str, Counter[str]] = {}
    for action in plan.actions:
        if action.vm and action.kind not in (RECREATE, REMOVE):
            staying.setdefault(action.identity.scope, Counter())[action.vm.host] += 1
    chosen: dict[str, Seat] = {}
    groups: dict[tuple[str, str], list[Action]] = {}
    for action in actions:
        spec = wanted_spec(action)
        groups.setdefault((spec.template, str(spec.options.get("network", ""))), []).append(action)
    for (template, network), members in groups.items():
        usable = {seat.moid: seat for seat in _reaching(places[template], network, seen)}
        placed = placement.place(
            [placement.Wish(key=one.identity.name, group=one.identity.scope) for one in members],
            seats=[
                placement.Seat(
                    vm=seat.moid, host=seat.host_name, memory_free_mb=seat.host_free_mb, clone_mb=seat.memory_mb
                )
                for seat in usable.values()
            ],
            taken=staying,
        )
        chosen |= {key: usable[seat.vm] for key, seat in placed.items()}
    return chosen


def _reaching(places: Seats, network: str, seen: Survey) -> list[Seat]:
    """The seats whose hosts have the network and the datastore that were named."""
    wanted = [(kind, place.name, place.moid) for kind, place in _named(network, seen)]
    found = []
    for seat in places.usable:
        host = seen.scope.hosts[seat.host]
        if all(moid in (host.networks if kind == "network" else host.datastores) for kind, _unused, moid in wanted):
            found.append(seat)
    if not found and wanted:
        kind, name, _unused = (
            wanted[0] if len(wanted) == 1 else ("network and datastore", " and ".join(w[1] for w in wanted), "")
        )
        raise InvalidOption(
            f"Cannot use the {kind}",
            obj=name,
            why=f"no host with a usable VM of template '{places.template}' has it: "
            + ", ".join(sorted(seat.host_name for seat in places.usable)),
            next_step=f"Choose a {kind} that these hosts have, or make the template on hosts that have it",
            details={"hosts": sorted(seat.host_name for seat in places.usable)},
        )
    return found


def _named(network: str, seen: Survey) -> Iterable[tuple[str, Any]]:
    if network:
        yield "network", seen.networks[network]
    if seen.datastore:
        yield "datastore", seen.datastore


def _ground(seen: Survey) -> Ground:
    return Ground(
        vcenter=seen.vcenter,
        folder=seen.folder.moid if seen.folder else "",
        pool=seen.pool.moid if seen.pool else "",
        datastore=seen.datastore.moid if seen.datastore else "",
        datastore_names={moid: facts.name for moid, facts in seen.scope.datastores.items()},
        networks=seen.networks,
    )
