# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A role of vCenter, and who has it on a datacenter: what stands, the steps to what is wanted, and doing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InUse, InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explaining
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Datacenter
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

CREATE, UPDATE, GRANT, REMOVE = "create", "update", "grant", "remove"
# vCenter gives these to every role by itself.
_OF_ALL = "System."


@dataclass(frozen=True, kw_only=True)
class WantedRole:
    """A role as it is to be.

    ``privileges`` are those that it has, none where it is to be absent; ``known`` those that a role of ours may have
    at all: one with others is somebody else's. ``principal`` (``DOMAIN\\name``, of a ``group`` or user) has it on the
    datacenter and all below; without one nobody is given it.
    """

    name: str
    privileges: frozenset[str]
    known: frozenset[str]
    principal: str = ""
    group: bool = False


@dataclass(frozen=True, kw_only=True)
class StandingRole:
    """What there is: the role's id, None without one, its privileges, and the role that the principal has now.

    ``used`` are the principals that have the role, wherever.
    """

    id: int | None = None
    privileges: frozenset[str] = frozenset()
    held: str = ""
    used: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RoleStep:
    """One step, and why."""

    action: str
    reason: str


def plan_role(wanted: WantedRole, standing: StandingRole) -> tuple[RoleStep, ...]:
    """The steps from what stands to what is wanted. Pure.

    Raises: InvalidOption where the role is somebody else's or the principal is not one; InUse where the principal has
    another role there, or a role that is to go is still had.
    """
    _refuse_strange(wanted, standing)
    if not wanted.privileges:
        return _removal(wanted, standing)
    more, less = sorted(wanted.privileges - standing.privileges), sorted(standing.privileges - wanted.privileges)
    steps = []
    if standing.id is None:
        steps.append(RoleStep(action=CREATE, reason="there is none of this name"))
    elif more or less:
        words = [f"{sign} {name}" for sign, names in (("+", more), ("-", less)) for name in names]
        steps.append(RoleStep(action=UPDATE, reason=", ".join(words)))
    if wanted.principal and standing.held != wanted.name:
        if standing.held:
            raise InUse(
                "Cannot give the role to",
                obj=wanted.principal,
                why=f"it has the role {standing.held} on the datacenter, and can have one only",
                next_step="Take that one away, or name another principal",
            )
        steps.append(RoleStep(action=GRANT, reason=f"{wanted.principal} does not have it on the datacenter"))
    return tuple(steps)


def _refuse_strange(wanted: WantedRole, standing: StandingRole) -> None:
    strange = sorted(standing.privileges - wanted.known)
    if strange:
        raise InvalidOption(
            "Cannot manage the role",
            obj=wanted.name,
            why=f"it has privileges that none of this collection's has, as {', '.join(strange[:3])}",
            next_step="It is somebody else's: choose another name",
        )
    if wanted.principal and "\\" not in wanted.principal:
        raise InvalidOption(
            "Cannot give the role to",
            obj=wanted.principal,
            why="vCenter knows users and groups by domain and name",
            next_step="Write it as DOMAIN\\name",
        )


def _removal(wanted: WantedRole, standing: StandingRole) -> tuple[RoleStep, ...]:
    if standing.id is None:
        return ()
    if standing.used:
        raise InUse(
            "Cannot remove the role",
            obj=wanted.name,
            why=f"it is had by {', '.join(standing.used)}",
            next_step="Take it away from them first",
        )
    return (RoleStep(action=REMOVE, reason="it is to be absent"),)


def read_role(session: Session, wanted: WantedRole, datacenter: Datacenter | None) -> StandingRole:
    """What stands. Raises: PermissionMissing, VsphereFault."""
    manager = session.content.authorizationManager
    with explaining("Cannot read the role", obj=wanted.name):
        roles = list(manager.roleList)
        found = next((one for one in roles if one.name == wanted.name), None)
        held = ""
        if datacenter and wanted.principal:
            names = {one.roleId: str(one.name) for one in roles}
            given = manager.RetrieveEntityPermissions(session.managed("Datacenter", datacenter.moid), False)
            mine = [one for one in given if _key(one) == (wanted.principal.lower(), wanted.group)]
            held = names.get(mine[0].roleId, "") if mine else ""
        if found is None:
            return StandingRole(held=held)
        used = manager.RetrieveRolePermissions(found.roleId)
    return StandingRole(
        id=int(found.roleId),
        privileges=frozenset(one for one in found.privilege if not one.startswith(_OF_ALL)),
        held=held,
        used=tuple(sorted({str(one.principal) for one in used})),
    )


def apply_role(
    session: Session,
    steps: Sequence[RoleStep],
    *,
    wanted: WantedRole,
    standing: StandingRole,
    datacenter: Datacenter | None,
) -> None:
    """Do the steps. Raises: PermissionMissing, VsphereFault."""
    manager = session.content.authorizationManager
    role, privileges = standing.id, sorted(wanted.privileges)
    for step in steps:
        with explaining(f"Cannot {step.action} the role", obj=wanted.name):
            if step.action == CREATE:
                role = int(manager.AddAuthorizationRole(wanted.name, privileges))
            elif step.action == UPDATE:
                manager.UpdateAuthorizationRole(role, wanted.name, privileges)
            elif step.action == REMOVE:
                manager.RemoveAuthorizationRole(role, True)
            elif datacenter:
                place = session.managed("Datacenter", datacenter.moid)
                permission = vim.AuthorizationManager.Permission(
                    entity=place, principal=wanted.principal, group=wanted.group, roleId=role, propagate=True
                )
                manager.SetEntityPermissions(place, [permission])


def _key(permission: Any) -> tuple[str, bool]:
    return str(permission.principal).lower(), bool(permission.group)
