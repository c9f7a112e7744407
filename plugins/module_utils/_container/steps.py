# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The values that a plan is made of: services that are wanted, and actions. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import Identity
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.spec import ContainerSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError, Several

CREATE = "create"  # clone it
RECREATE = "recreate"  # clone its replacement, then remove it
START = "start"
STOP = "stop"
REMOVE = "remove"
RENAME = "rename"  # end a switch that was interrupted, or undo a rename by hand
MOVE = "move"  # back into the folder that it was moved out of
ADOPT = "adopt"  # end a creation that was interrupted after its container came up
UNCHANGED = "unchanged"

PRESENT, STARTED, HEALTHY, STOPPED, ABSENT = STATES = ("present", "started", "healthy", "stopped", "absent")


@dataclass(frozen=True, kw_only=True)
class Service:
    """One container spec times its replicas. ``replicas`` of None is one container that bears the service's name.

    What follows is a fleet's alone. ``exact``: an option that it does not set is to be
    as if it had never been set. ``checked``: where there is a health check,
    it has to pass. ``ends``: its containers are to end by themselves, which is
    no reason to start them again; with ``must_succeed`` their end is awaited,
    and one that ended in a failure is started again. ``settled`` are ordinals
    that have done their work and need no VM any more. ``because`` is a reason
    to replace all of its containers.
    """

    name: str
    folder: str
    spec: ContainerSpec | None
    fleet: str = ""
    owner: str = ""
    replicas: int | None = None
    state: str = STARTED
    recreate: bool = False
    rules: Mapping[str, str] = field(default_factory=dict)
    digest_key: str = field(default="", repr=False)
    exact: bool = False
    checked: bool = False
    ends: bool = False
    must_succeed: bool = False
    settled: frozenset[str] = frozenset()
    because: str = ""

    @property
    def identities(self) -> tuple[Identity, ...]:
        """The containers that are to be, by their ordinals."""
        if self.state == ABSENT or self.spec is None:
            return ()
        return tuple(self.identity(ordinal) for ordinal in self._ordinals if ordinal not in self.settled)

    def identity(self, ordinal: str) -> Identity:
        return Identity(fleet=self.fleet, folder=self.folder, service=self.name, ordinal=ordinal)

    @property
    def _ordinals(self) -> tuple[str, ...]:
        return ("",) if self.replicas is None else tuple(str(number) for number in range(self.replicas))


@dataclass(frozen=True, kw_only=True)
class Action:
    """What is done for one container.

    ``vm`` is the VM that stands, if any. ``slot`` is that of the VM to make.
    ``stop_first`` means that the old one has to be off while the new one starts.
    ``waits`` tells that the service's state has to be awaited even though nothing
    is done. ``before`` and ``after`` are the diff, by option.
    """

    kind: str
    identity: Identity
    service: Service = field(repr=False)
    reason: str
    vm: ContainerVm | None = None
    slot: str = ""
    stop_first: bool = False
    waits: bool = False
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The VM's name where it is being removed, else the container's."""
        return self.vm.name if self.vm and self.kind == REMOVE else self.identity.name

    def document(self) -> dict[str, Any]:
        """For a module's ``actions``."""
        found: dict[str, Any] = {"action": self.kind, "name": self.name, "reason": self.reason}
        if self.vm:
            found["moid"] = self.vm.moid
        if self.before or self.after:
            found["before"], found["after"] = dict(self.before), dict(self.after)
        return found


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Actions in a stable order, and what forbids carrying them out."""

    actions: tuple[Action, ...]
    errors: tuple[BonnevilleError, ...] = ()

    @property
    def work(self) -> tuple[Action, ...]:
        """The actions that change something."""
        return tuple(action for action in self.actions if action.kind != UNCHANGED)

    def of(self, *kinds: str) -> tuple[Action, ...]:
        return tuple(action for action in self.actions if action.kind in kinds)

    def check(self) -> None:
        """Raise what forbids the plan, one error or all of them together."""
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise Several("Nothing was changed, as parts of this cannot be done", self.errors)
