# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""First Class Disks: disks with a name and a life of their own, whichever VM has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError, NotFound
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explaining
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch, wait_for_tasks

Outcomes = dict[str, "BonnevilleError | None"]

_LIST = "Cannot list the volumes on the datastore"
_READ = "Cannot read the volume"
_CREATE = "Cannot make the volume"
_ATTACH = "Cannot attach the volume"
_DELETE = "Cannot remove the volume"


@dataclass(frozen=True, kw_only=True)
class FirstClassDisk:
    """A disk. ``datastore`` is a moid, ``path`` its file as ``[datastore] file``.

    ``consumers`` are vSphere's ids of what has it attached; ``kept`` tells that
    it outlives the VM.
    """

    id: str
    name: str
    datastore: str
    path: str
    capacity_mb: int
    kept: bool = True
    consumers: tuple[str, ...] = ()


def find_disks(session: Session, *, datastores: Iterable[str], names: Iterable[str]) -> list[FirstClassDisk]:
    """The disks of these names on these datastores (moids). vSphere has no way to ask by name: every disk is read."""
    wanted = frozenset(names)
    manager = session.content.vStorageObjectManager

    def ids(datastore: str) -> list[tuple[str, str]]:
        with explaining(_LIST, obj=datastore):
            return [(str(one.id), datastore) for one in manager.ListVStorageObject(vim.Datastore(datastore)) or ()]

    if not wanted:
        return []
    listed = [pair for pairs in session.in_parallel(ids, list(dict.fromkeys(datastores))) for pair in pairs]
    return [disk for disk in read_disks(session, listed) if disk.name in wanted]


def read_disks(session: Session, ids: Iterable[tuple[str, str]]) -> list[FirstClassDisk]:
    """Disks by id and datastore, side by side; one that is gone is left out."""
    manager = session.content.vStorageObjectManager

    def read(pair: tuple[str, str]) -> FirstClassDisk | None:
        disk, datastore = pair
        try:
            with explaining(_READ, obj=disk):
                found = manager.RetrieveVStorageObject(vim.vslm.ID(id=disk), vim.Datastore(datastore))
        except NotFound:
            return None
        return disk_of(found)

    return [disk for disk in session.in_parallel(read, list(dict.fromkeys(ids))) if disk is not None]


def create_disks(
    session: Session, wanted: Mapping[str, tuple[str, int]], *, deadline: Deadline, watch: Watch | None = None
) -> dict[str, FirstClassDisk | BonnevilleError]:
    """Make empty disks that outlive every VM: name to datastore (moid) and MiB; each one's disk, or error."""
    manager = session.content.vStorageObjectManager

    def spec(name: str) -> Any:
        datastore, size = wanted[name]
        backing = vim.vslm.CreateSpec.DiskFileBackingSpec(
            datastore=vim.Datastore(datastore),
            provisioningType="thin",
        )
        return vim.vslm.CreateSpec(name=name, keepAfterDeleteVm=True, backingSpec=backing, capacityInMB=size)

    found: dict[str, FirstClassDisk | BonnevilleError] = {}
    states = _run(
        session, list(wanted), lambda name: manager.CreateDisk_Task(spec(name)), _CREATE, found, deadline, watch
    )
    for name, result in states.items():
        found[name] = disk_of(result)
    return found


def attach_disk(session: Session, moid: str, disk: FirstClassDisk, *, name: str) -> Any:
    """Begin to attach a disk to a VM, running or not; the task. ``name`` is for the words of a failure."""
    with explaining(_ATTACH, obj=f"{disk.name} to {name}"):
        return session.managed("VirtualMachine", moid).AttachDisk_Task(
            vim.vslm.ID(id=disk.id), vim.Datastore(disk.datastore)
        )


def delete_disks(
    session: Session, disks: Sequence[FirstClassDisk], *, deadline: Deadline, watch: Watch | None = None
) -> Outcomes:
    """Remove disks with all that is on them, by id; one that is gone is gone as wanted."""
    manager = session.content.vStorageObjectManager
    known = {disk.id: disk for disk in disks}

    def begin(key: str) -> Any:
        return manager.DeleteVStorageObject_Task(vim.vslm.ID(id=key), vim.Datastore(known[key].datastore))

    failed: dict[str, Any] = {}
    names = {key: disk.name for key, disk in known.items()}
    _run(session, list(known), begin, _DELETE, failed, deadline, watch, names=names)
    return {key: error if not isinstance(error := failed.get(key), NotFound) else None for key in known}


def _run(
    session: Session,
    keys: Sequence[str],
    begin: Callable[[str], Any],
    what: str,
    failed: dict[str, Any],
    deadline: Deadline,
    watch: Watch | None,
    *,
    names: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The results of tasks begun side by side; what failed is put into ``failed``."""

    def attempt(key: str) -> Any:
        try:
            with explaining(what, obj=(names or {}).get(key, key)):
                return begin(key)
        except BonnevilleError as error:
            if error.code in ("session_lost", "vcenter_unreachable"):
                raise
            return error

    begun = dict(zip(keys, session.in_parallel(attempt, keys), strict=True))
    tasks = {key: task for key, task in begun.items() if not isinstance(task, BonnevilleError)}
    failed |= {key: task for key, task in begun.items() if isinstance(task, BonnevilleError)}
    states = wait_for_tasks(session, tasks, deadline=deadline, watch=watch)
    failed |= {key: state.error(what, obj=(names or {}).get(key, key)) for key, state in states.items() if not state.ok}
    return {key: state.result for key, state in states.items() if state.ok}


def disk_of(found: Any) -> FirstClassDisk:
    """vSphere's object as a plain value."""
    config = found.config
    return FirstClassDisk(
        id=str(config.id.id),
        name=str(config.name),
        datastore=str(config.backing.datastore._moId),
        path=str(getattr(config.backing, "filePath", "") or ""),
        capacity_mb=int(config.capacityInMB or 0),
        kept=bool(config.keepAfterDeleteVm),
        consumers=tuple(str(one.id) for one in config.consumerId or ()),
    )
