# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""First Class Disks: disks with a name and a life of their own, whichever VM has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError, NotFound
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.again import run_tasks, task_results
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import read_hardware
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explaining
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

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

    def begin(name: str) -> Any:
        datastore, size = wanted[name]
        backing = vim.vslm.CreateSpec.DiskFileBackingSpec(
            datastore=vim.Datastore(datastore),
            provisioningType="thin",
        )
        spec = vim.vslm.CreateSpec(name=name, keepAfterDeleteVm=True, backingSpec=backing, capacityInMB=size)
        return manager.CreateDisk_Task(spec)

    def made(names: Sequence[str]) -> dict[str, FirstClassDisk]:
        # Nothing forbids two disks of one name, so whoever had no answer looks before asking again.
        places = {wanted[name][0] for name in names}
        return {disk.name: disk for disk in find_disks(session, datastores=places, names=names)}

    results = task_results(
        session,
        {name: partial(begin, name) for name in wanted},
        what=_CREATE,
        names={name: name for name in wanted},
        deadline=deadline,
        watch=watch,
        done=made,
    )
    return {
        name: one if isinstance(one, FirstClassDisk | BonnevilleError) else disk_of(one)
        for name, one in results.items()
    }


def attach_disks(
    session: Session,
    wanted: Mapping[str, FirstClassDisk],
    *,
    names: Mapping[str, str],
    deadline: Deadline,
    watch: Watch | None = None,
) -> Outcomes:
    """Attach a disk each to VMs, running or not, by the VM's moid; each one's error, or None.

    Args:
        names: the VMs' names for the words of a failure, by moid.
    """

    def begin(moid: str) -> Any:
        disk = wanted[moid]
        vm = session.managed("VirtualMachine", moid)
        return vm.AttachDisk_Task(vim.vslm.ID(id=disk.id), vim.Datastore(disk.datastore))

    def attached(moids: Sequence[str]) -> dict[str, None]:
        found = read_hardware(session, moids)
        return {moid: None for moid in moids if wanted[moid].id in {disk.fcd_id for disk in found[moid].disks}}

    return run_tasks(
        session,
        {moid: partial(begin, moid) for moid in wanted},
        what=_ATTACH,
        names={moid: f"{disk.name} to {names[moid]}" for moid, disk in wanted.items()},
        deadline=deadline,
        watch=watch,
        done=attached,
    )


def delete_disks(
    session: Session, disks: Sequence[FirstClassDisk], *, deadline: Deadline, watch: Watch | None = None
) -> Outcomes:
    """Remove disks with all that is on them, by id; one that is gone is gone as wanted."""
    manager = session.content.vStorageObjectManager
    known = {disk.id: disk for disk in disks}

    def begin(key: str) -> Any:
        return manager.DeleteVStorageObject_Task(vim.vslm.ID(id=key), vim.Datastore(known[key].datastore))

    outcomes = run_tasks(
        session,
        {key: partial(begin, key) for key in known},
        what=_DELETE,
        names={key: disk.name for key, disk in known.items()},
        deadline=deadline,
        watch=watch,
    )
    return {key: None if isinstance(error, NotFound) else error for key, error in outcomes.items()}


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
