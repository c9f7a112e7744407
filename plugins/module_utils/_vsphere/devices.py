# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM's devices: what a clone edits, and which files its disks hang on."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.collect import Read, read
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Network
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

_PATH = re.compile(r"\[(?P<datastore>[^\]]*)\] ?(?P<path>.*)")


@dataclass(frozen=True, kw_only=True)
class Disk:
    """A virtual disk; ``files`` are its chain's datastore paths, the one that is written first.

    ``fcd_id`` is set for a First Class Disk, which has a life of its own.
    """

    key: int
    label: str
    uuid: str
    capacity_bytes: int
    files: tuple[str, ...]
    fcd_id: str = ""
    device: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """A VM's devices. ``nics`` and ``serial_ports`` are pyVmomi's devices, as an edit needs them."""

    vm: str
    name: str
    vmx_path: str
    host: str
    disks: tuple[Disk, ...]
    nics: tuple[Any, ...] = field(repr=False)
    serial_ports: tuple[Any, ...] = field(repr=False)
    devices: tuple[Any, ...] = field(repr=False)

    @property
    def directory(self) -> str:
        """The VM's own directory as ``[datastore] directory``."""
        return directory_of(self.vmx_path)

    @property
    def foreign_disks(self) -> tuple[Disk, ...]:
        """Disks that Destroy must not take along: First Class Disks, and files outside the VM's own directory."""
        return tuple(
            disk
            for disk in self.disks
            if disk.fcd_id or not disk.files or directory_of(disk.files[0]) != self.directory
        )

    @property
    def macs(self) -> tuple[str, ...]:
        return tuple(str(nic.macAddress or "").lower() for nic in self.nics)


def read_hardware(session: Session, moids: Iterable[str]) -> dict[str, Hardware]:
    """The devices of these VMs, in one call. Raises: NotFound when one is gone."""
    start = [(session.managed("VirtualMachine", moid), ()) for moid in dict.fromkeys(moids)]
    properties = {"VirtualMachine": ("name", "config.files.vmPathName", "config.hardware.device", "runtime.host")}
    return {
        one.moid: hardware(one) for one in read(session, start=start, properties=properties, what="Cannot read devices")
    }


def find_disk_users(
    session: Session, *, files: Collection[str], datastores: Iterable[str], besides: Collection[str] = ()
) -> dict[str, str]:
    """VMs, moid to name, whose disk chains hang on any of ``files``: marked or not, ours or not.

    One call over all VMs of the ``datastores`` (moids); ``besides`` are VMs that do not count.
    """
    wanted = {normal(file) for file in files}
    start = [(session.managed("Datastore", moid), ("datastore_vm",)) for moid in dict.fromkeys(datastores)]
    properties = {"VirtualMachine": ("name", "config.files.vmPathName", "config.hardware.device")}
    found = (hardware(one) for one in read(session, start=start, properties=properties, what="Cannot read disk chains"))
    return {
        one.vm: one.name
        for one in found
        if one.vm not in besides and any(normal(file) in wanted for disk in one.disks for file in disk.files)
    }


def hardware(one: Read) -> Hardware:
    devices = tuple(one.get("config.hardware.device") or ())
    host = one.get("runtime.host")
    return Hardware(
        vm=one.moid,
        name=str(one.get("name", "")),
        vmx_path=str(one.get("config.files.vmPathName") or ""),
        host=str(host._moId) if host is not None else "",
        disks=tuple(_disk(device) for device in devices if isinstance(device, vim.vm.device.VirtualDisk)),
        nics=tuple(device for device in devices if isinstance(device, vim.vm.device.VirtualEthernetCard)),
        serial_ports=tuple(device for device in devices if isinstance(device, vim.vm.device.VirtualSerialPort)),
        devices=devices,
    )


def _disk(device: Any) -> Disk:
    backing, files = device.backing, []
    while backing is not None:
        files.append(str(getattr(backing, "fileName", "") or ""))
        backing = getattr(backing, "parent", None)
    fcd = device.vDiskId
    return Disk(
        key=int(device.key),
        label=str(device.deviceInfo.label) if device.deviceInfo else "",
        uuid=str(getattr(device.backing, "uuid", "") or ""),
        capacity_bytes=int(device.capacityInBytes or (device.capacityInKB or 0) * 1024),
        files=tuple(file for file in files if file),
        fcd_id=str(fcd.id) if fcd is not None else "",
        device=device,
    )


def split_path(path: str) -> tuple[str, str]:
    """``[ds] a/b.log`` as ``("ds", "a/b.log")``. Raises: ValueError."""
    match = _PATH.fullmatch(path.strip())
    if match is None or not match["datastore"]:
        raise ValueError(f"not a datastore path: {path!r}")
    return match["datastore"], match["path"].strip("/")


def directory_of(path: str) -> str:
    """``[ds] a/b.log`` to ``[ds] a``; the path as it is where it is none."""
    match = _PATH.fullmatch(path)
    return f"[{match['datastore']}] {match['path'].rpartition('/')[0]}" if match else path


def normal(path: str) -> str:
    """One spelling of a datastore path, to compare by."""
    match = _PATH.fullmatch(path.strip())
    return f"[{match['datastore']}] {match['path'].strip('/')}" if match else path


def edit(device: Any) -> Any:
    """A change of an existing device."""
    change = vim.vm.device.VirtualDeviceSpec
    return change(operation=change.Operation.edit, device=device)


def detach(device: Any) -> Any:
    """The removal of a device that leaves its files where they are."""
    change = vim.vm.device.VirtualDeviceSpec
    return change(operation=change.Operation.remove, device=device)


def nic_on(nic: Any, network: Network | None, *, mac: str = "") -> Any:
    """A copy of a NIC that is on ``network`` (None: where it is) with ``mac`` (empty: as it is)."""
    moved = copy.copy(nic)
    if network is not None:
        moved.backing = network_backing(network)
    if mac:
        moved.addressType, moved.macAddress = "manual", mac
    return moved


def network_backing(network: Network) -> Any:
    """What connects a NIC to a network of each kind."""
    card = vim.vm.device.VirtualEthernetCard
    if network.kind == "distributed":
        port = vim.dvs.PortConnection(portgroupKey=network.portgroup_key, switchUuid=network.switch_uuid)
        return card.DistributedVirtualPortBackingInfo(port=port)
    if network.kind == "opaque":
        return card.OpaqueNetworkBackingInfo(opaqueNetworkId=network.opaque_id, opaqueNetworkType=network.opaque_type)
    return card.NetworkBackingInfo(deviceName=network.name, network=vim.Network(network.moid, None))


def is_on(nic: Any, network: Network) -> bool:
    """Whether a NIC is on this network already."""
    backing = nic.backing
    port = getattr(backing, "port", None)
    if network.kind == "distributed":
        return port is not None and port.portgroupKey == network.portgroup_key
    if network.kind == "opaque":
        return bool(getattr(backing, "opaqueNetworkId", None) == network.opaque_id)
    known = getattr(backing, "network", None)
    return known._moId == network.moid if known is not None else getattr(backing, "deviceName", None) == network.name


def log_to_file(port: Any, path: str) -> Any:
    """A copy of a serial port that writes to a datastore file."""
    moved = copy.copy(port)
    moved.backing = vim.vm.device.VirtualSerialPort.FileBackingInfo(fileName=path)
    return moved


def option_values(values: Mapping[str, str]) -> list[Any]:
    """A mapping as extraConfig; an empty value removes its key."""
    return [vim.option.OptionValue(key=key, value=value) for key, value in values.items()]
