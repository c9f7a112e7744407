# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes into carrying a plan out beside the plan, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import follow
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.roster import Roster
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.shelf import Shelf
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import (
    HEALTHY,
    PRESENT,
    STOPPED,
    Service,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.tally import Tally
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.clone import Turns
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch


@dataclass
class Done:
    """What a run did, by the containers' names. ``vms`` are the moids of those that it made."""

    vms: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    statuses: dict[str, protocol.Status] = field(default_factory=dict)
    errors: dict[str, BonnevilleError] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Part:
    """How a plan that is part of a larger one is carried out.

    ``watch`` and ``turns`` are shared with the other parts. With ``hold`` what
    is replaced stays until the caller ends the switch (``switch.commit``) or
    undoes it. ``steady_seconds`` is how long a new container has to stay well;
    ``on_begun`` is told each container that runs or has ended. ``roster`` has
    all members of the fleet, and is kept up to date; so are its VMs' lists.
    ``tally`` adds up how far all parts are.
    """

    watch: Watch
    turns: Turns | None = None
    hold: bool = False
    steady_seconds: float = 0.0
    on_begun: Callable[[str], None] = lambda name: None
    roster: Roster | None = None
    shelf: Shelf | None = None
    tally: Tally | None = None


def goal_of(service: Service, *, detach: bool) -> str:
    """How far a container of this service has to come."""
    if service.state in (PRESENT, STOPPED):
        return follow.CREATED
    if not detach or service.must_succeed:
        return follow.ENDED
    if service.ends:
        return follow.BEGUN
    if service.state == HEALTHY:
        return follow.HEALTHY
    return follow.WELL if service.checked else follow.RUNNING
