# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which containers to look for outside of their folder, because someone may have moved their VMs. Pure.

A VM's BIOS UUID is known before the VM exists, so it is found wherever it is;
but each UUID is a call of its own. Where a container is missing among its
siblings, all its UUIDs are looked for. Where the last ones are missing, as when
a service grows, the two ends of that row tell, and where all are, as when it is
made, the first does: only if one of these stands elsewhere are the others looked
for as well. Of a service that is to go, the next number after the last one tells
whether there are more of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import SLOTS, Identity
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import Service

_STRIDE = 8


def whom_to_look_for(
    services: Iterable[Service], standing: Iterable[ContainerVm], *, vcenter: str
) -> Iterator[tuple[str, ...]]:
    """The BIOS UUIDs to look for first, those to look for if any of the first was found, and so on."""
    first: list[Identity] = []
    then: list[Identity] = []
    going: list[tuple[Service, int]] = []  # and from which number on there may be more
    vms = tuple(standing)
    for service in services:
        there = {vm.marks.ordinal for vm in vms if vm.is_of(service.identity(vm.marks.ordinal), vcenter=vcenter)}
        wanted = service.identities
        first += [service.identity(str(number)) for number in _gaps(there, since=len(wanted))]
        if not wanted and not service.settled:
            first += [] if there else [service.identity("")]
            if "" not in there:
                after = max(_numbers(there), default=-1) + 1
                first.append(service.identity(str(after)))
                going.append((service, after + 1))
        row = _last_missing(wanted, there)
        first += [one for one in wanted if one.ordinal not in there and one not in row]
        ends = tuple(dict.fromkeys((*row[:1], *row[-1:]))) if there else row[:1]
        first += ends
        then += [one for one in row if one not in ends]
    for identities in (first, then):
        if identities:
            yield _uuids(identities, vcenter)
    for start in itertools.count(0, _STRIDE) if going else ():
        numbers = range(start, start + _STRIDE)
        yield _uuids([service.identity(str(after + number)) for service, after in going for number in numbers], vcenter)


def _uuids(identities: Iterable[Identity], vcenter: str) -> tuple[str, ...]:
    return tuple(one.bios_uuid(vcenter=vcenter, slot=slot) for one in identities for slot in SLOTS)


def _numbers(ordinals: Collection[str]) -> list[int]:
    return sorted(int(ordinal) for ordinal in ordinals if ordinal.isdecimal())


def _gaps(there: Collection[str], *, since: int) -> list[int]:
    """The numbers that are missing among those that are there although they are wanted no more."""
    numbers = _numbers(there)
    return [number for number in range(since, numbers[-1]) if str(number) not in there] if numbers else []


def _last_missing(wanted: tuple[Identity, ...], there: set[str]) -> tuple[Identity, ...]:
    """The unbroken row of missing containers at the end."""
    row: list[Identity] = []
    for identity in reversed(wanted):
        if identity.ordinal in there:
            break
        row.append(identity)
    return tuple(reversed(row))
