# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which template VM each clone is made from. Pure.

A clone lands on its source's host, so to choose the source is to choose the host.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import TemplateUnusable


@dataclass(frozen=True, kw_only=True)
class Seat:
    """A frozen template VM on a host in service. Sizes in MiB; ``clone_mb`` is what one clone may come to use."""

    vm: str
    host: str
    memory_free_mb: int
    clone_mb: int


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A clone to be: its key, and the group (a service) whose members are to be kept apart."""

    key: str
    group: str


def place(
    wishes: Sequence[Wish], *, seats: Iterable[Seat], taken: Mapping[str, Mapping[str, int]] | None = None
) -> dict[str, Seat]:
    """A seat for every wish: first the host with the fewest of its group, then the one with the most free memory.

    Args:
        taken: per group, how many of its members that stay are on each host already.

    The outcome depends on nothing but the arguments: equal hosts are taken in
    the order of their ids. Raises: TemplateUnusable without any seat.
    """
    known = sorted(seats, key=lambda seat: (seat.host, seat.vm))
    if wishes and not known:
        raise TemplateUnusable(
            "Cannot place any clone",
            why="no frozen template VM is on a host in service",
            next_step="Run photon_template for this template, or see which hosts are out of service",
        )
    members = {group: Counter(hosts) for group, hosts in (taken or {}).items()}
    used: Counter[str] = Counter()
    placed: dict[str, Seat] = {}
    for wish in wishes:
        mine = members.setdefault(wish.group, Counter())
        best = min(known, key=lambda seat: (mine[seat.host], used[seat.host] - seat.memory_free_mb))
        placed[wish.key] = best
        mine[best.host] += 1
        used[best.host] += best.clone_mb
    return placed
