# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a template VM's hardware and settings have to be, as one reconfiguration.

Asks for what differs only, so that it can be applied again to a VM that a
build left half made. It is meant for a VM that is powered off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption, TemplateUnusable
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import TemplateSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import option_values
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim

LOG_FILE = "container.log"
SET_INFO_DISABLED = "isolation.tools.setinfo.disable"
# Only root of the guest may use guestinfo; disks are seen under /dev/disk/by-id by the uuid that vSphere knows.
SETTINGS = {
    "guest_rpc.rpci.auth.cmd.info-get": "TRUE",
    "guest_rpc.rpci.auth.cmd.info-set": "TRUE",
    "disk.EnableUUID": "TRUE",
}
_KIB_PER_GIB = 1 << 20

PROPERTIES = (
    "config.hardware.device",
    "config.hardware.numCPU",
    "config.hardware.memoryMB",
    "config.memoryAllocation",
    "config.extraConfig",
    "config.files.vmPathName",
    "config.instanceUuid",
    "config.uuid",
)


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """A VM's present hardware, as far as templates care. ``directory`` is ``[datastore] folder``."""

    devices: tuple[Any, ...]
    cpus: int
    memory_mb: int
    reservation_mb: int
    directory: str
    instance_uuid: str
    bios_uuid: str
    extra_config: Mapping[str, str]


def hardware_from(values: Mapping[str, Any]) -> Hardware:
    """Of the values of PROPERTIES."""
    allocation = values.get("config.memoryAllocation")
    return Hardware(
        devices=tuple(values.get("config.hardware.device") or ()),
        cpus=int(values.get("config.hardware.numCPU") or 0),
        memory_mb=int(values.get("config.hardware.memoryMB") or 0),
        reservation_mb=int(getattr(allocation, "reservation", 0) or 0),
        directory=str(values.get("config.files.vmPathName", "")).rpartition("/")[0],
        instance_uuid=str(values.get("config.instanceUuid", "")),
        bios_uuid=str(values.get("config.uuid", "")),
        extra_config={str(o.key): str(o.value) for o in values.get("config.extraConfig") or ()},
    )


def settle(
    hardware: Hardware,
    *,
    name: str,
    spec: TemplateSpec,
    nic_backing: Any,
    bios_uuid: str,
    annotation: str,
    extra_config: Mapping[str, str],
) -> Any:
    """The ConfigSpec that makes a VM a template VM of ``spec``.

    Raises InvalidOption when the source cannot become it, TemplateUnusable when
    a setting of the VM shuts the guest channel.
    """
    if hardware.extra_config.get(SET_INFO_DISABLED, "").upper() == "TRUE":
        raise TemplateUnusable(
            "Cannot use the VM",
            obj=name,
            why=f"its setting {SET_INFO_DISABLED} keeps the guest from reporting anything",
            next_step="Remove this setting from the source",
            details={"setting": SET_INFO_DISABLED},
        )
    config = vim.vm.ConfigSpec()
    if spec.cpus and spec.cpus != hardware.cpus:
        config.numCPUs = spec.cpus
    if spec.memory_mb and spec.memory_mb != hardware.memory_mb:
        config.memoryMB = spec.memory_mb
    memory = spec.memory_mb or hardware.memory_mb
    if (spec.memory_reservation_mb or 0) > memory:
        raise InvalidOption(
            "Cannot reserve",
            obj=f"{spec.memory_reservation_mb} MiB",
            why=f"the source has {memory} MiB of memory",
            next_step="Set memory_reservation_mb to at most that, or memory_mb to more",
        )
    if spec.memory_reservation_mb is not None and spec.memory_reservation_mb != hardware.reservation_mb:
        config.memoryAllocation = vim.ResourceAllocationInfo(reservation=spec.memory_reservation_mb)
    if hardware.bios_uuid.lower() != bios_uuid.lower():
        config.uuid = bios_uuid
    config.annotation = annotation
    config.deviceChange = [
        *_removals(hardware.devices),
        *_serial_port(hardware),
        *_disk(hardware.devices, name=name, spec=spec),
        *_nic(hardware.devices, name=name, backing=nic_backing),
    ]
    wanted = {**SETTINGS, **extra_config}
    config.extraConfig = option_values(
        {key: value for key, value in wanted.items() if hardware.extra_config.get(key, "") != value}
    )
    return config


def extra(values: Mapping[str, str]) -> Any:
    """The ConfigSpec that sets only these extraConfig values; an empty one removes its key."""
    return vim.vm.ConfigSpec(extraConfig=option_values(values))


def _removals(devices: Iterable[Any]) -> Iterable[Any]:
    """What an instant clone must not have: what hangs on files or hardware elsewhere, and ports that are no file."""
    unwanted = (
        vim.vm.device.VirtualCdrom,
        vim.vm.device.VirtualFloppy,
        vim.vm.device.VirtualUSB,
        vim.vm.device.VirtualUSBController,
        vim.vm.device.VirtualUSBXHCIController,
        vim.vm.device.VirtualSoundCard,
    )
    ports = (vim.vm.device.VirtualSerialPort, vim.vm.device.VirtualParallelPort)
    for device in devices:
        if isinstance(device, unwanted) or (isinstance(device, ports) and not _is_file(device)):
            yield _change("remove", device)


def _serial_port(hardware: Hardware) -> Iterable[Any]:
    """The port that container output is written to: a file in the VM's own directory, which a copied port is not."""
    path = f"{hardware.directory}/{LOG_FILE}"
    ports = [d for d in hardware.devices if isinstance(d, vim.vm.device.VirtualSerialPort) and _is_file(d)]
    if any(port.backing.fileName == path for port in ports):
        return
    if ports:
        ports[0].backing = vim.vm.device.VirtualSerialPort.FileBackingInfo(fileName=path)
        yield _change("edit", ports[0])
        return
    controller = next((d.key for d in hardware.devices if isinstance(d, vim.vm.device.VirtualSIOController)), None)
    port = vim.vm.device.VirtualSerialPort(
        key=-1,
        yieldOnPoll=True,
        backing=vim.vm.device.VirtualSerialPort.FileBackingInfo(fileName=path),
        connectable=vim.vm.device.VirtualDevice.ConnectInfo(
            startConnected=True, connected=True, allowGuestControl=False
        ),
    )
    if controller is not None:
        port.controllerKey = controller
    yield _change("add", port)


def _disk(devices: Iterable[Any], *, name: str, spec: TemplateSpec) -> Iterable[Any]:
    disks = [device for device in devices if isinstance(device, vim.vm.device.VirtualDisk)]
    if not disks:
        raise InvalidOption(
            "Cannot make a template of the source",
            obj=name,
            why="it has no disk",
            next_step="Use a source that boots Photon OS from its first disk",
        )
    if not spec.disk_gb:
        return
    disk, wanted = disks[0], spec.disk_gb * _KIB_PER_GIB
    if disk.capacityInKB > wanted:
        raise InvalidOption(
            "Cannot make the template's disk of",
            obj=f"{spec.disk_gb} GiB",
            why=f"the source's has {-(-disk.capacityInKB // _KIB_PER_GIB)} GiB, and a disk never shrinks",
            next_step="Leave disk_gb out, or ask for at least as much",
        )
    if disk.capacityInKB < wanted:
        disk.capacityInKB = wanted
        disk.capacityInBytes = wanted * 1024
        yield _change("edit", disk)


def _nic(devices: Iterable[Any], *, name: str, backing: Any) -> Iterable[Any]:
    """The first card goes to the network asked for; it is the one that clones are reached by."""
    cards = [device for device in devices if isinstance(device, vim.vm.device.VirtualEthernetCard)]
    if not cards:
        raise InvalidOption(
            "Cannot make a template of the source",
            obj=name,
            why="it has no network card",
            next_step="Add a VMXNET3 card to the source",
        )
    if not _same_backing(cards[0].backing, backing):
        cards[0].backing = backing
        yield _change("edit", cards[0])


def _same_backing(one: Any, other: Any) -> bool:
    def words(backing: Any) -> tuple[Any, ...]:
        port = getattr(backing, "port", None)
        return (
            type(backing).__name__,
            getattr(backing, "deviceName", None) if port is None else None,
            getattr(backing, "opaqueNetworkId", None),
            getattr(port, "portgroupKey", None),
            getattr(port, "switchUuid", None),
        )

    return words(one) == words(other)


def _is_file(port: Any) -> bool:
    return isinstance(port.backing, vim.vm.device.VirtualDevice.FileBackingInfo)


def _change(operation: str, device: Any) -> Any:
    return vim.vm.device.VirtualDeviceSpec(operation=operation, device=device)
