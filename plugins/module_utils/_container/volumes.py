# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet's named volumes: which disks they are, and who may have them. Reads only.

A volume is a First Class Disk named ``FLEET_VOLUME``. One container has it at a
time, it goes to whoever replaces that container, and nothing but an explicit
wish removes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import (
    UNDER_WAY,
    ContainerVm,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.build import Build
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import Identity
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.mounts import NamedVolume
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import (
    ADOPT,
    RECREATE,
    REMOVE,
    UNCHANGED,
    Action,
    Plan,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.survey import Survey
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.wish import Stock, Wish, disk_name
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    Ambiguous,
    BonnevilleError,
    InUse,
    InvalidOption,
    NotFound,
    Several,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import (
    find_disk_users,
    read_hardware,
    split_path,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.fcd import (
    FirstClassDisk,
    find_disks,
    read_disks,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import Scope
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import unknown as unknown_name
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

_WHAT = "Cannot give the container its volume"


def named_volumes(options: Mapping[str, object]) -> tuple[str, ...]:
    """The names of the volumes in a container's options, each once."""
    texts = options.get("named_volumes") or ()
    if not (isinstance(texts, (list, tuple))):
        raise AssertionError("this cannot be otherwise")
    return tuple(dict.fromkeys(NamedVolume.decode(str(text)).name for text in texts))


def own_disks(options: Mapping[str, Any]) -> frozenset[str]:
    """The names of the disks that a container of a fleet was given, and that are not external."""
    external = options.get("external_volumes") or ()
    return frozenset(name for volume, name in (options.get("volume_names") or {}).items() if volume not in external)


def check_writers(plan: Plan, wishes: Mapping[str, Wish]) -> None:
    """Refuse volumes that two containers want: a disk has one VM at a time. Pure. Raises InvalidOption, Several."""
    wanted: dict[str, list[str]] = {}
    for identity, name in _wanted(plan, wishes):
        wanted.setdefault(name, []).append(identity.name)
    errors = [
        InvalidOption(
            "Cannot share the volume",
            obj=name,
            why=f"it is a disk, which one container has at a time, and {' and '.join(sorted(set(users)))} want it",
            next_step="Give each container a volume of its own, and a service with replicas none",
            details={"volume": name, "containers": sorted(set(users))},
        )
        for name, users in sorted(wanted.items())
        if len(set(users)) > 1
    ]
    _raise(errors)


def _wanted(plan: Plan, wishes: Mapping[str, Wish]) -> Iterable[tuple[Identity, str]]:
    for action in plan.actions:
        if action.kind != REMOVE and action.service.spec:
            for volume in action.service.spec.volumes:
                yield action.identity, disk_name(action.identity.fleet, volume.name, wishes)


def take_stock(
    session: Session, *, plan: Plan, builds: Sequence[Build], seen: Survey, wishes: Mapping[str, Wish]
) -> Stock:
    """Find the disks of all containers that the plan makes. No call is made where none has a volume.

    Raises:
        InvalidOption: two containers want one volume.
        InUse: another VM has it; the VM is named.
        Ambiguous: two disks have its name.
        NotFound: an external one does not exist.
    """
    check_writers(plan, wishes)
    takers = [(build.action, build.request.datastore or build.seat.datastores[0]) for build in builds]
    # What an earlier run made and did not finish may still wait for its disks.
    takers += [(action, "") for action in plan.of(ADOPT, UNCHANGED) if action.vm and action.vm.phase in UNDER_WAY]
    names = {
        action.identity.name: {
            volume.name: disk_name(action.identity.fleet, volume.name, wishes) for volume in action.service.spec.volumes
        }
        for action, _unused in takers
        if action.service.spec and action.service.spec.volumes
    }
    if not names and not any(named_volumes(vm.marks.applied.options) for vm in _replaced(plan)):
        return Stock()
    givers = (*plan.of(RECREATE, REMOVE), *(action for action, _unused in takers))
    giving = [action.vm for action in givers if action.vm]
    holding = [vm.moid for vm in giving if named_volumes(vm.marks.applied.options)]
    held = _held(session, list(dict.fromkeys(holding)), seen.scope)
    wanted = {disk for disks in names.values() for disk in disks.values()}
    disks = {disk.name: disk for disk in held if disk.name in wanted}
    unknown = sorted(wanted - disks.keys())
    usable = [moid for moid, facts in seen.scope.datastores.items() if facts.accessible]
    found: dict[str, list[FirstClassDisk]] = {}
    for disk in find_disks(session, datastores=usable, names=unknown):
        found.setdefault(disk.name, []).append(disk)
    # Who has a disk that another container is to get is known to give it up.
    own = frozenset(disk.id for disk in held)
    _raise([*_twice(found), *_lacking(unknown, found, wishes)])
    disks |= {name: ones[0] for name, ones in found.items()}
    _raise(_in_use(session, [disk for disk in disks.values() if disk.consumers and disk.id not in own]))
    missing = {
        disk: (_datastore(wish, seen.scope) or datastore, wish.size_mb)
        for action, datastore in takers
        if datastore
        for volume, disk in names.get(action.identity.name, {}).items()
        if disk not in disks and (wish := wishes.get(volume, Wish()))
    }
    # A disk is made before the VM that is to have it: what is under way without one can only be made again.
    hopeless = {action.identity.name for action, datastore in takers if not datastore and _lacks(action, names, disks)}
    return Stock(
        names={name: each for name, each in names.items() if name not in hopeless},
        disks=disks,
        missing=missing,
        held=tuple(held),
    )


def _replaced(plan: Plan) -> list[ContainerVm]:
    return [action.vm for action in plan.of(RECREATE) if action.vm]


def _lacks(action: Action, names: Mapping[str, Mapping[str, str]], disks: Mapping[str, FirstClassDisk]) -> bool:
    return any(disk not in disks for disk in names.get(action.identity.name, {}).values())


def _datastore(wish: Wish, scope: Scope) -> str:
    """The moid of the datastore that a volume is to be on; empty where it does not matter."""
    known = {facts.name: moid for moid, facts in scope.datastores.items()}
    if wish.datastore and wish.datastore not in known:
        raise unknown_name("datastore", wish.datastore, known)
    return known.get(wish.datastore, "")


def _held(session: Session, moids: Sequence[str], scope: Scope) -> list[FirstClassDisk]:
    """The First Class Disks that these VMs have."""
    if not moids:
        return []
    by_name = {facts.name: moid for moid, facts in scope.datastores.items()}
    ids = [
        (disk.fcd_id, datastore)
        for one in read_hardware(session, moids).values()
        for disk in one.disks
        if disk.fcd_id and disk.files and (datastore := by_name.get(split_path(disk.files[-1])[0]))
    ]
    return read_disks(session, ids)


def _twice(found: Mapping[str, Sequence[FirstClassDisk]]) -> Iterable[BonnevilleError]:
    for name, disks in sorted(found.items()):
        if len(disks) > 1:
            where = ", ".join(sorted(disk.path for disk in disks))
            yield Ambiguous(
                "Cannot tell which disk is the volume",
                obj=name,
                why=f"{len(disks)} First Class Disks have this name: {where}",
                next_step="Rename or remove all but the one with the data",
                details={"volume": name, "paths": sorted(disk.path for disk in disks)},
            )


def _lacking(
    unknown: Iterable[str], found: Mapping[str, Sequence[FirstClassDisk]], wishes: Mapping[str, Wish]
) -> Iterable[BonnevilleError]:
    external = {wish.name or key for key, wish in wishes.items() if wish.external}
    for name in unknown:
        if name in external and name not in found:
            yield NotFound(
                "Cannot find the external volume",
                obj=name,
                why="no First Class Disk on the template's and containers' datastores has this name",
                next_step="Make it, or leave 'external' out to have it made",
                details={"volume": name},
            )


def _in_use(session: Session, disks: Sequence[FirstClassDisk]) -> Iterable[BonnevilleError]:
    """Whoever has a disk, by name: that costs a look at every VM of its datastore, and is done for the words alone."""
    for disk in disks:
        users = find_disk_users(session, files=[disk.path], datastores=[disk.datastore])
        yield holder_error(_WHAT, disk.name, users)


def holder_error(what: str, volume: str, users: Mapping[str, str]) -> InUse:
    """Why a volume cannot be had, or removed, now."""
    named = ", ".join(f"{name} ({moid})" for moid, name in sorted(users.items(), key=lambda user: user[1]))
    return InUse(
        what,
        obj=volume,
        why=f"VM {named} has it" if named else "another VM has it",
        next_step="Remove that container first, or detach the disk from that VM",
        details={"volume": volume, "holders": sorted(users)},
    )


def _raise(errors: Iterable[BonnevilleError]) -> None:
    found = list(errors)
    if len(found) == 1:
        raise found[0]
    if found:
        raise Several("Nothing was changed, as volumes cannot be had", found)
