# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the user may do, asked of vCenter before anything is begun that could only be half done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import NotFound, PermissionMissing
from ansible_collections.bonneville.vsphere.plugins.module_utils._privileges import granting
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.collect import is_gone
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explaining
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Place
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session


def check_places(session: Session, wanted: Mapping[Place, Sequence[str]], *, what: str, obj: str = "") -> None:
    """Refuse to begin what the user lacks a privilege for on any of the places, each with its own privileges.

    One call for each place. Raises: PermissionMissing, naming the privileges and the places.
    """
    manager = session.content.authorizationManager

    def ask(place: Place) -> list[str]:
        with explaining("Cannot ask vCenter what the user may do on", obj=place.name):
            (answer,) = manager.HasPrivilegeOnEntities(
                [session.managed(place.kind, place.moid)], session.key, list(wanted[place])
            )
        return [str(one.privId) for one in answer.privAvailability if not one.isGranted]

    places = [place for place, privileges in wanted.items() if privileges]
    lacking = {place: found for place, found in zip(places, session.in_parallel(ask, places), strict=True) if found}
    if lacking:
        missing = sorted({name for found in lacking.values() for name in found})
        told = "; ".join(f"{', '.join(found)} on {place.kind} '{place.name}'" for place, found in lacking.items())
        raise PermissionMissing(
            what,
            obj=obj,
            why=f"{session.user_name} lacks the privilege {told}",
            next_step=granting(missing),
            details={"privileges": missing},
        )


def check_privileges(session: Session, vms: Mapping[str, str], privileges: Sequence[str], *, what: str) -> None:
    """Refuse to begin what the user lacks a privilege for on any of the VMs (names by moid): one call for all.

    A VM that is gone meanwhile ends the question unanswered; the work itself tells then.

    Raises: PermissionMissing, naming the privileges and the VMs.
    """
    if not vms:
        return
    entities = [session.managed("VirtualMachine", moid) for moid in vms]
    manager = session.content.authorizationManager
    try:
        with explaining("Cannot ask vCenter what the user may do"):
            answers = manager.HasPrivilegeOnEntities(entities, session.key, list(privileges))
    except NotFound as error:
        if is_gone(error):
            return
        raise
    missing: dict[str, list[str]] = {}
    for answer in answers:
        for one in answer.privAvailability:
            if not one.isGranted:
                missing.setdefault(str(one.privId), []).append(vms[answer.entity._moId])
    if missing:
        raise PermissionMissing(
            what,
            obj=", ".join(dict.fromkeys(name for names in missing.values() for name in names)),
            why=f"{session.user_name} lacks the privilege {', '.join(missing)} there",
            next_step=granting(missing),
            details={"privileges": sorted(missing)},
        )
