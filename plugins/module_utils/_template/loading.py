# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How image archives reach a guest without any network: each as the raw content of a disk.

The disks stand in the VM's own directory, are attached before it boots to be
primed, and are gone before anything is cloned from it. A VM whose build ended
half-way may still have them: they go with it, or by ``sweep``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.orders import Archive as OrderedArchive
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actions import Actions
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import TemplateVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.archive import Content
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.hardware import Hardware
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import Archive
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.waits import Waiting
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere import datastore, vmdk
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

_KIB = 1024
_STEP_PERCENT = 10
# Of a SCSI controller's 16 units one is its own.
_UNITS = tuple(unit for unit in range(16) if unit != 7)


class ArchiveDisks:
    """The archives of one template as disks. ``datacenter`` is the inventory path that the datastore is in."""

    def __init__(
        self,
        session: Session,
        actions: Actions,
        *,
        datacenter: str,
        archives: Sequence[Archive],
        progress: Callable[[str], None],
    ) -> None:
        self._session = session
        self._actions = actions
        self._datacenter = datacenter
        self._archives = tuple(archives)
        self._progress = progress

    def attach(self, moid: str, name: str, hardware: Hardware) -> Waiting:
        """Upload every archive and attach it to the VM, which is powered off. A failure leaves no file behind."""
        if not self._archives:
            return
        paths = self._paths(hardware.directory)
        try:
            for archive, path in zip(self._archives, paths, strict=True):
                self._progress(f"{name}: uploading {archive.path}")
                self._upload(archive, path)
            sizes = [vmdk.disk_size(archive.size) for archive in self._archives]
            config = vim.vm.ConfigSpec(
                deviceChange=list(additions(hardware.devices, dict(zip(paths, sizes, strict=True))))
            )
            yield from self._actions.reconfigure(moid, name, config)
        except BaseException:
            self._delete(paths)
            raise

    def orders(self, hardware: Hardware) -> tuple[OrderedArchive, ...]:
        """What the agent is told of the attached disks: it finds each by the uuid that vSphere shows the guest."""
        uuids = {disk.backing.fileName: str(disk.backing.uuid) for disk in _disks(hardware.devices)}
        return tuple(
            OrderedArchive(uuid=uuids[path], size=archive.size, sha256=archive.sha256)
            for archive, path in zip(self._archives, self._paths(hardware.directory), strict=True)
        )

    def removals(self, hardware: Hardware) -> list[Any]:
        """The changes that detach the disks and delete their files."""
        ours = set(self._paths(hardware.directory))
        change = vim.vm.device.VirtualDeviceSpec
        return [
            change(operation=change.Operation.remove, fileOperation=change.FileOperation.destroy, device=disk)
            for disk in _disks(hardware.devices)
            if disk.backing.fileName in ours
        ]

    def sweep(self, vm: TemplateVm) -> None:
        """Behind the removal of a VM whose build was cut off: what had been uploaded and not yet attached."""
        archives = marks_of.spec_document(vm.marks).get("archives")
        if vm.marks.phase == marks_of.IMPORTING and isinstance(archives, list):
            self._delete([_path(vm.directory, number) for number in range(1, len(archives) + 1)])

    def _paths(self, directory: str) -> list[str]:
        return [_path(directory, number) for number in range(1, len(self._archives) + 1)]

    def _upload(self, archive: Archive, path: str) -> None:
        size = vmdk.disk_size(archive.size)
        text = vmdk.descriptor(path, size=size, disk_uuid=vmdk.new_uuid())
        with _Sending(archive, size=size, progress=self._progress) as body:
            datastore.upload(self._session, vmdk.flat_name(path), body, size=size, datacenter=self._datacenter)
            body.verify()
        datastore.upload(self._session, path, text, size=len(text), datacenter=self._datacenter)

    def _delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            for file in (path, vmdk.flat_name(path)):
                datastore.delete_if_possible(self._session, file, datacenter=self._datacenter)


def additions(devices: Sequence[Any], disks: dict[str, int]) -> Iterator[Any]:
    """The changes that attach existing disks, path to size in bytes, to the SCSI controllers that have room."""
    change = vim.vm.device.VirtualDeviceSpec
    places = _free_units(devices)
    for number, (path, size) in enumerate(disks.items()):
        place = next(places, None)
        if place is None:
            raise InvalidOption(
                "Cannot attach the image archives",
                why=f"the template VM has room for {number} more disks, and {len(disks)} are wanted",
                next_step="Put several images into one archive, or use a source with a SCSI controller",
            )
        controller, unit = place
        disk = vim.vm.device.VirtualDisk(
            key=-100 - number,
            controllerKey=controller,
            unitNumber=unit,
            capacityInKB=size // _KIB,
            capacityInBytes=size,
            backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=path, diskMode="persistent"),
        )
        yield change(operation=change.Operation.add, device=disk)


def _free_units(devices: Sequence[Any]) -> Iterator[tuple[int, int]]:
    for controller in devices:
        if isinstance(controller, vim.vm.device.VirtualSCSIController):
            taken = {device.unitNumber for device in devices if device.controllerKey == controller.key}
            yield from ((controller.key, unit) for unit in _UNITS if unit not in taken)


def _disks(devices: Sequence[Any]) -> Iterator[Any]:
    return (device for device in devices if isinstance(device, vim.vm.device.VirtualDisk))


def _path(directory: str, number: int) -> str:
    return f"{directory}/bonneville-archive-{number}.vmdk"


class _Sending:
    """An archive on its way, with zeros up to the disk's size behind it. Notices one that is changed meanwhile."""

    def __init__(self, archive: Archive, *, size: int, progress: Callable[[str], None]) -> None:
        self._archive = archive
        self._file = Content(archive)
        self._left = archive.size
        self._zeros = size - archive.size
        self._digest = hashlib.sha256()
        self._progress = progress
        self._percent = 0

    def __enter__(self) -> _Sending:
        return self

    def __exit__(self, *_unused: object) -> None:
        self._file.__exit__()

    def read(self, size: int = -1, /) -> bytes:
        wanted = self._left + self._zeros if size < 0 else size
        block = b""
        while len(block) < min(wanted, self._left):
            more = self._file.read(min(wanted, self._left) - len(block))
            if not more:
                raise self._changed()
            block += more
        self._left -= len(block)
        self._digest.update(block)
        self._tell()
        zeros = min(wanted - len(block), self._zeros) if not self._left else 0
        self._zeros -= zeros
        return block + bytes(zeros)

    def verify(self) -> None:
        """Raises InvalidOption when the bytes that were sent are not those whose digest the template is made by."""
        if self._digest.hexdigest() != self._archive.sha256:
            raise self._changed()

    def _tell(self) -> None:
        percent = 100 - self._left * 100 // self._archive.size
        if percent // _STEP_PERCENT > self._percent // _STEP_PERCENT:
            self._progress(f"uploaded {percent} % of {os.path.basename(self._archive.path)}")
        self._percent = percent

    def _changed(self) -> InvalidOption:
        return InvalidOption(
            "Cannot use the image archive",
            obj=self._archive.path,
            why="it was changed while it was being read",
            next_step="Run again when it is complete",
        )
