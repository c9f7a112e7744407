# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who belongs to a fleet, and what every one of its VMs has to be told of the others. Pure.

There is no server that knows: each VM carries the list in its own
configuration, and whoever changes the fleet keeps the lists true.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import (
    ON,
    SILENT,
    STOPPED,
    SUSPENDED,
    ContainerVm,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import Identity
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import SpecTooLarge
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.peers import Peers
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import ProtocolError, Status

# Nothing answers there, and as in Compose its name then does not lead there.
_NOT_RUNNING = frozenset({"created", "exited", "failed", "stopping", STOPPED, SILENT, SUSPENDED})


@dataclass(frozen=True, kw_only=True)
class Member:
    """One container VM of a fleet, as far as the others are concerned.

    ``named`` tells that names lead to it; without it, it still reaches the
    others. ``told`` is the list in its configuration, ``heard`` the version that
    its guest goes by, empty from one that does not say.
    """

    moid: str
    name: str
    service: str
    address: str = ""
    named: bool = True
    told: str = field(default="", repr=False)
    heard: str = ""
    on: bool = True


def member(vm: ContainerVm) -> Member:
    """A VM that stands."""
    identity = Identity(
        fleet=vm.marks.fleet, folder=vm.folder, service=vm.marks.service, ordinal=vm.marks.ordinal
    )  # fmt: skip
    on = vm.power == ON
    return Member(
        moid=vm.moid,
        name=identity.name,
        service=vm.marks.service,
        address=address_of(vm.status),
        named=vm.phase not in _NOT_RUNNING,
        told=vm.peers,
        heard=vm.status.peers if on and vm.status else "",
        on=on,
    )


def address_of(status: Status | None) -> str:
    """The address that a guest says it has; empty before it has one."""
    return status.network.ip if status and status.network else ""


def is_up(status: Status | None) -> bool:
    """Whether a name may lead to a guest that says this."""
    return status is not None and status.phase not in _NOT_RUNNING


class Roster:
    """A fleet's members in the course of a run.

    Args:
        services: the names of all services that the fleet has; one without a
            member is known, and leads nowhere.
        vms: the fleet's container VMs, all of them.
        aliases: further names of services.
    """

    def __init__(
        self,
        *,
        services: Iterable[str] = (),
        vms: Iterable[ContainerVm] = (),
        aliases: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self._services = frozenset(services)
        self._aliases = {service: tuple(names) for service, names in (aliases or {}).items()}
        self.members: dict[str, Member] = {vm.moid: member(vm) for vm in vms}
        self.lock = threading.RLock()  # parts of a run may go side by side

    def join(self, one: Member) -> None:
        """Take a member in, or what is new of it."""
        self.members[one.moid] = one

    def leave(self, moid: str) -> None:
        """Forget a member that is gone."""
        self.members.pop(moid, None)

    def change(
        self, moid: str, *, address: str | None = None, named: bool | None = None, on: bool | None = None
    ) -> None:
        """What is new of a member; nothing where it is none."""
        known = self.members.get(moid)
        if known is not None:
            self.members[moid] = replace(
                known,
                address=known.address if address is None else address,
                named=known.named if named is None else named,
                on=known.on if on is None else on,
            )

    def tell(self, moid: str, text: str) -> None:
        """A member's VM has this list now."""
        if moid in self.members:
            self.members[moid] = replace(self.members[moid], told=text)

    def serves(self, service: str) -> bool:
        """Whether names lead to some member of a service."""
        return any(one.service == service and one.named for one in self._present)

    @property
    def _present(self) -> tuple[Member, ...]:
        return tuple(one for one in self.members.values() if one.on and one.address)

    @property
    def peers(self) -> Peers:
        """What every member is to know."""
        names: dict[str, set[str]] = {}
        for service in self._services | {one.service for one in self.members.values()}:
            for name in (service, *self._aliases.get(service, ())):
                names.setdefault(name.lower(), set())
        for one in self._present:
            for name in (one.service, *self._aliases.get(one.service, ()), one.name) if one.named else ():
                names.setdefault(name.lower(), set()).add(one.address)
        listed = {address for addresses in names.values() for address in addresses}
        others = {one.address for one in self._present} - listed
        return Peers(
            names={name: tuple(sorted(names[name])) for name in sorted(names)}, others=tuple(sorted(others))
        )  # fmt: skip

    @property
    def text(self) -> str:
        """The list as it stands in a VM's configuration. Raises: SpecTooLarge."""
        try:
            return self.peers.encode()
        except ProtocolError as error:
            raise SpecTooLarge(
                "Cannot tell the fleet's containers of each other",
                why=str(error),
                next_step="Divide the fleet into several, or use shorter names",
            ) from error

    def outdated(self) -> dict[str, str]:
        """The members whose VM has another list than it should, by moid, with the one that it should have."""
        text = self.text
        return {moid: text for moid in sorted(self.members) if self.members[moid].told != text}
