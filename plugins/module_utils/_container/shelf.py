# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way of volumes from VM to VM: made, taken from what is replaced, attached to what is new, or back again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.volumes import holder_error, named_volumes
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.wish import Stock
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError, NotFound
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.disks import KEY_VOLUMES, Disks
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import (
    detach,
    find_disk_users,
    read_hardware,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.fcd import (
    FirstClassDisk,
    attach_disks,
    create_disks,
    delete_disks,
    find_disks,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.reconfigure import Change, reconfigure_all
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

Errors = dict[str, BonnevilleError]

_ATTACH = "Cannot attach the volume"
_REMOVE = "Cannot remove the volume"


class Shelf:
    """The volumes of a run, for all of its parts. With an empty stock no container has any, and no call is made."""

    def __init__(self, session: Session, stock: Stock) -> None:
        self._session = session
        self._names = stock.names
        self._disks = dict(stock.disks)
        self._missing = dict(stock.missing)
        self._held = stock.held
        self._released: dict[str, tuple[FirstClassDisk, ...]] = {}  # by the moid of the VM that had them

    def make(self, containers: Iterable[str], *, deadline: Deadline, watch: Watch) -> Errors:
        """Make the disks that these containers lack; what failed, by the containers' names."""
        wanted = {
            disk: (name, self._missing[disk])
            for name in containers
            for disk in self._names.get(name, {}).values()
            if disk in self._missing and disk not in self._disks
        }
        if not wanted:
            return {}
        sizes = {disk: place for disk, (_unused, place) in wanted.items()}
        errors: Errors = {}
        for disk, made in create_disks(self._session, sizes, deadline=deadline, watch=watch).items():
            if isinstance(made, FirstClassDisk):
                self._disks[disk] = made
            else:
                errors[wanted[disk][0]] = made
        return errors

    def release(self, vms: Iterable[ContainerVm], *, deadline: Deadline, watch: Watch) -> Errors:
        """Take their volumes from VMs that are off; what failed, by moid."""
        known = {vm.moid: vm.name for vm in vms if named_volumes(vm.marks.applied.options)}
        return self.take(known, deadline=deadline, watch=watch)

    def take(self, vms: Mapping[str, str], *, deadline: Deadline, watch: Watch) -> Errors:
        """As :meth:`release`, for VMs that are known to have volumes, given as names by moid."""
        if not vms:
            return {}
        by_id = {disk.id: disk for disk in (*self._held, *self._disks.values())}
        changes: dict[str, Change] = {}
        for moid, hardware in read_hardware(self._session, vms).items():
            devices = [disk for disk in hardware.disks if disk.fcd_id]
            self._released[moid] = tuple(by_id[disk.fcd_id] for disk in devices if disk.fcd_id in by_id)
            if devices:
                changes[moid] = Change(devices=[detach(disk.device) for disk in devices])
        outcome = reconfigure_all(self._session, changes, deadline=deadline, names=vms, watch=watch)
        return {moid: error for moid, error in outcome.items() if error}

    def attach(self, vms: Mapping[str, str], *, standing: bool = False, deadline: Deadline, watch: Watch) -> Errors:
        """Attach their volumes to VMs, and tell their guests which disk is which; what failed, by name.

        Args:
            vms: the VMs' moids by the containers' names.
            standing: an earlier run made the VMs, and may have attached disks before it ended.
        """
        names = {moid: name for name, moid in vms.items() if self._names.get(name)}
        if not names:
            return {}
        disks = {
            moid: {key: self._disks[disk] for key, disk in self._names[name].items()} for moid, name in names.items()
        }
        there = self._uuids(names) if standing else {}
        lacking = {
            moid: tuple(dict.fromkeys(disk for disk in each.values() if disk.id not in there.get(moid, {})))
            for moid, each in disks.items()
        }
        failed = self._attach(lacking, names, deadline, watch)
        uuids = self._uuids(moid for moid in names if moid not in failed)
        changes: dict[str, Change] = {}
        for moid, found in uuids.items():
            told = {key: found.get(disk.id, "") for key, disk in disks[moid].items()}
            if all(told.values()):
                changes[moid] = Change(extra_config={KEY_VOLUMES: Disks(volumes=told).encode()})
            else:
                failed[moid] = _not_shown(names[moid], [key for key, uuid in told.items() if not uuid])
        outcome = reconfigure_all(self._session, changes, deadline=deadline, names=names, watch=watch)
        failed |= {moid: error for moid, error in outcome.items() if error}
        return {names[moid]: error for moid, error in failed.items()}

    def give_back(self, vms: Iterable[ContainerVm], *, deadline: Deadline, watch: Watch) -> Errors:
        """Give VMs again what was taken from them, before they are started; what failed, by moid."""
        names = {vm.moid: vm.name for vm in vms if self._released.get(vm.moid)}
        wanted = {moid: self._released.pop(moid) for moid in names}
        return self._attach(wanted, names, deadline, watch)

    def _uuids(self, moids: Iterable[str]) -> dict[str, dict[str, str]]:
        """The uuids of the First Class Disks that VMs have, by the VM's moid and the disk's id."""
        return {
            moid: {disk.fcd_id: disk.uuid for disk in hardware.disks if disk.fcd_id}
            for moid, hardware in read_hardware(self._session, moids).items()
        }

    def _attach(
        self,
        wanted: Mapping[str, Sequence[FirstClassDisk]],
        names: Mapping[str, str],
        deadline: Deadline,
        watch: Watch,
    ) -> Errors:
        """One disk of each VM after the other, as a VM does one task at a time; all VMs side by side."""
        failed: Errors = {}
        for turn in range(max((len(disks) for disks in wanted.values()), default=0)):
            now = {moid: disks[turn] for moid, disks in wanted.items() if turn < len(disks) and moid not in failed}
            found = attach_disks(self._session, now, names=names, deadline=deadline, watch=watch)
            failed |= {moid: self._explained(error, now[moid]) for moid, error in found.items() if error}
        return failed

    def _explained(self, error: BonnevilleError, disk: FirstClassDisk) -> BonnevilleError:
        """Of a disk that another VM has taken since it was looked at, who has it."""
        if error.code != "in_use":
            return error
        return holder_error(
            _ATTACH, disk.name, find_disk_users(self._session, files=[disk.path], datastores=[disk.datastore])
        )


def remove_volumes(
    session: Session,
    names: Iterable[str],
    *,
    datastores: Iterable[str],
    deadline: Deadline,
    watch: Watch | None = None,
) -> dict[str, BonnevilleError | None]:
    """Remove disks by their names, with all that is on them; each one's error, or None where it is gone.

    One that a VM has is left alone: its error is InUse and names the VM.

    Args:
        datastores: moids of those that are looked at.
    """
    wanted = list(dict.fromkeys(names))
    found = find_disks(session, datastores=datastores, names=wanted)
    outcomes: dict[str, BonnevilleError | None] = dict.fromkeys(wanted)
    for disk in found:
        if disk.consumers:
            users = find_disk_users(session, files=[disk.path], datastores=[disk.datastore])
            outcomes[disk.name] = holder_error(_REMOVE, disk.name, users)
    free = [disk for disk in found if outcomes[disk.name] is None]
    gone = delete_disks(session, free, deadline=deadline, watch=watch)
    return outcomes | {disk.name: gone[disk.id] for disk in free}


def _not_shown(name: str, volumes: Sequence[str]) -> NotFound:
    return NotFound(
        _ATTACH,
        obj=", ".join(volumes),
        why=f"vCenter says that it is attached to {name}, and the VM does not show it",
        next_step="See the VM's disks in vCenter, then run again",
    )
