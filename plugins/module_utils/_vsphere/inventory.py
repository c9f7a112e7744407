# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in vCenter, read at once: VMs with their settings, their hosts and datastores.

One RetrievePropertiesEx walks from the folders (and from VMs, clusters, hosts
or datastores that are named) to everything that belongs to them. No views are
made, so nothing is left to destroy, and no object is asked by itself.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import NotFound
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.collect import Read, is_gone, read
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Compute, Folder
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

ON = "poweredOn"
OFF = "poweredOff"
SUSPENDED = "suspended"

VM_PROPERTIES = (
    "name",
    "parent",
    "config.annotation",
    "config.extraConfig",
    "config.files.vmPathName",
    "config.hardware.memoryMB",
    "config.hardware.numCPU",
    "config.instanceUuid",
    "config.memoryAllocation.reservation",
    "config.template",
    "config.uuid",
    "datastore",
    "guest.ipAddress",
    "guest.toolsRunningStatus",
    "resourcePool",
    "runtime.bootTime",
    "runtime.connectionState",
    "runtime.host",
    "runtime.instantCloneFrozen",
    "runtime.powerState",
)
HOST_PROPERTIES = (
    "name",
    "parent",
    "datastore",
    "network",
    "runtime.connectionState",
    "runtime.inMaintenanceMode",
    "runtime.powerState",
    "summary.hardware.memorySize",
    "summary.quickStats.overallMemoryUsage",
)
DATASTORE_PROPERTIES = ("summary",)


@dataclass(frozen=True, kw_only=True)
class VmFacts:
    """A VM. Ids are moids; text that vCenter does not have is empty, a number zero.

    ``folder`` is its folder's path below the datacenter's VM folder; None when
    it lies outside what was read. ``power`` is ON, OFF or SUSPENDED.
    ``vmx_path`` reads ``[datastore] directory/name.vmx``.
    """

    moid: str
    name: str
    folder: str | None
    folder_moid: str
    host: str
    pool: str
    power: str
    frozen: bool
    connected: bool
    is_template: bool
    bios_uuid: str
    instance_uuid: str
    ip: str
    tools_running: bool
    annotation: str
    boot_time: datetime.datetime | None
    cpus: int
    memory_mb: int
    memory_reservation_mb: int
    vmx_path: str
    datastores: tuple[str, ...]
    extra_config: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """An ESXi host; ``compute`` is the moid of its cluster, or of itself as a compute resource of one."""

    moid: str
    name: str
    compute: str
    connection: str
    power: str
    maintenance: bool
    memory_mb: int
    memory_used_mb: int
    datastores: tuple[str, ...]
    networks: tuple[str, ...]

    @property
    def trouble(self) -> str:
        """Why nothing can be run there now, in words; empty for a host in service."""
        if self.connection != "connected":
            return (
                "it does not answer vCenter"
                if self.connection == "notResponding"
                else "it is disconnected from vCenter"
            )
        if self.power not in ("poweredOn", "unknown"):
            return "it is powered off" if self.power == "poweredOff" else "it is in standby"
        return "it is in maintenance mode" if self.maintenance else ""

    @property
    def in_service(self) -> bool:
        return not self.trouble

    @property
    def memory_free_mb(self) -> int:
        return max(0, self.memory_mb - self.memory_used_mb)


@dataclass(frozen=True, kw_only=True)
class DatastoreFacts:
    """A datastore."""

    moid: str
    name: str
    kind: str
    url: str
    capacity_bytes: int
    free_bytes: int
    accessible: bool
    maintenance: bool


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What one read found, and when. ``folders`` has the path of every folder below those asked for, by moid."""

    read_at: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC), compare=False)
    vms: tuple[VmFacts, ...] = ()
    hosts: Mapping[str, HostFacts] = field(default_factory=dict)
    datastores: Mapping[str, DatastoreFacts] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)

    def vm(self, moid: str) -> VmFacts | None:
        return next((vm for vm in self.vms if vm.moid == moid), None)

    def named(self, name: str) -> tuple[VmFacts, ...]:
        """All VMs of a name: several folders may each have one."""
        return tuple(vm for vm in self.vms if vm.name == name)

    def in_folder(self, path: str, *, recursive: bool = True) -> tuple[VmFacts, ...]:
        """The VMs of a folder; of its folders, too, if ``recursive``."""
        below = f"{path}/" if path else ""
        return tuple(
            vm
            for vm in self.vms
            if vm.folder is not None and (vm.folder == path or (recursive and vm.folder.startswith(below)))
        )

    def host_name(self, moid: str) -> str:
        return self.hosts[moid].name if moid in self.hosts else moid


def read_scope(
    session: Session,
    *,
    folders: Iterable[Folder] = (),
    vms: Iterable[str] = (),
    computes: Iterable[Compute] = (),
    hosts: Iterable[str] = (),
    datastores: Iterable[str] = (),
    recursive: bool = True,
) -> Scope:
    """Read VMs below ``folders`` and those in ``vms``, with their hosts and datastores, in one call.

    ``computes`` adds clusters' hosts and datastores, ``hosts`` and
    ``datastores`` add single ones, by moid as ``vms``.

    Raises: NotFound when one of the objects is gone; what ``faults`` tells.
    """
    known = {folder.moid: folder.path for folder in folders}
    start: list[tuple[Any, tuple[str, ...]]]
    start = [(session.managed("Folder", moid), ("folder",) if recursive else ("members",)) for moid in known]
    start += [(session.managed("VirtualMachine", moid), ("vm_host", "vm_datastore")) for moid in dict.fromkeys(vms)]
    start += [(session.managed(one.kind, one.moid), ("compute_host",)) for one in dict.fromkeys(computes)]
    start += [(session.managed("HostSystem", moid), ("host_datastore",)) for moid in dict.fromkeys(hosts)]
    start += [(session.managed("Datastore", moid), ()) for moid in dict.fromkeys(datastores)]
    found = list(
        read(
            session,
            start=start,
            properties={
                "VirtualMachine": VM_PROPERTIES,
                "HostSystem": HOST_PROPERTIES,
                "Datastore": DATASTORE_PROPERTIES,
                "Folder": ("name", "parent"),
            },
            what="Cannot read the inventory",
        )
    )
    by_kind: dict[str, list[Read]] = {}
    for one in found:
        by_kind.setdefault(one.kind, []).append(one)
    paths = folder_paths(by_kind.get("Folder", []), known)
    return Scope(
        vms=tuple(sorted((vm_facts(one, paths) for one in by_kind.get("VirtualMachine", [])), key=lambda vm: vm.name)),
        hosts={one.moid: host_facts(one) for one in by_kind.get("HostSystem", [])},
        datastores={one.moid: datastore_facts(one) for one in by_kind.get("Datastore", [])},
        folders=paths,
    )


def read_vms(session: Session, moids: Iterable[str]) -> dict[str, VmFacts]:
    """These VMs, by moid, in one call; one that is gone is left out (which costs a call for each)."""
    wanted = list(dict.fromkeys(moids))
    if not wanted:
        return {}
    try:
        return {vm.moid: vm for vm in _read_vms(session, wanted)}
    except NotFound as error:
        if not is_gone(error):
            raise
    return {
        vm.moid: vm for found in session.in_parallel(lambda moid: _read_if_there(session, moid), wanted) for vm in found
    }


def _read_vms(session: Session, moids: Iterable[str]) -> list[VmFacts]:
    start = [(session.managed("VirtualMachine", moid), ()) for moid in moids]
    found = read(session, start=start, properties={"VirtualMachine": VM_PROPERTIES}, what="Cannot read VMs")
    return [vm_facts(one, {}) for one in found]


def _read_if_there(session: Session, moid: str) -> list[VmFacts]:
    try:
        return _read_vms(session, [moid])
    except NotFound as error:
        if not is_gone(error):
            raise
        return []


def folder_paths(folders: Iterable[Read], known: Mapping[str, str]) -> dict[str, str]:
    """The path of every folder that lies below a known one."""
    parents = {one.moid: (moid_of(one.get("parent")), str(one.get("name", ""))) for one in folders}
    paths = dict(known)

    def path(moid: str) -> str | None:
        if moid not in paths:
            if moid not in parents:
                return None
            parent, name = parents[moid]
            above = path(parent)
            if above is None:
                return None
            paths[moid] = f"{above}/{name}" if above else name
        return paths[moid]

    for moid in parents:
        path(moid)
    return paths


def vm_facts(one: Read, paths: Mapping[str, str]) -> VmFacts:
    parent = moid_of(one.get("parent"))
    return VmFacts(
        moid=one.moid,
        name=str(one.get("name", "")),
        folder=paths.get(parent),
        folder_moid=parent,
        host=moid_of(one.get("runtime.host")),
        pool=moid_of(one.get("resourcePool")),
        power=str(one.get("runtime.powerState", OFF)),
        frozen=bool(one.get("runtime.instantCloneFrozen")),
        connected=one.get("runtime.connectionState") == "connected",
        is_template=bool(one.get("config.template")),
        bios_uuid=str(one.get("config.uuid", "")),
        instance_uuid=str(one.get("config.instanceUuid", "")),
        ip=str(one.get("guest.ipAddress") or ""),
        tools_running=one.get("guest.toolsRunningStatus") == "guestToolsRunning",
        annotation=str(one.get("config.annotation") or ""),
        boot_time=one.get("runtime.bootTime"),
        cpus=int(one.get("config.hardware.numCPU") or 0),
        memory_mb=int(one.get("config.hardware.memoryMB") or 0),
        memory_reservation_mb=int(one.get("config.memoryAllocation.reservation") or 0),
        vmx_path=str(one.get("config.files.vmPathName") or ""),
        datastores=moids_of(one.get("datastore")),
        extra_config=options(one.get("config.extraConfig")),
    )


def host_facts(one: Read) -> HostFacts:
    return HostFacts(
        moid=one.moid,
        name=str(one.get("name", "")),
        compute=moid_of(one.get("parent")),
        connection=str(one.get("runtime.connectionState", "disconnected")),
        power=str(one.get("runtime.powerState", "unknown")),
        maintenance=bool(one.get("runtime.inMaintenanceMode")),
        memory_mb=int(one.get("summary.hardware.memorySize") or 0) >> 20,
        memory_used_mb=int(one.get("summary.quickStats.overallMemoryUsage") or 0),
        datastores=moids_of(one.get("datastore")),
        networks=moids_of(one.get("network")),
    )


def datastore_facts(one: Read) -> DatastoreFacts:
    summary = one.get("summary")
    return DatastoreFacts(
        moid=one.moid,
        name=str(summary.name),
        kind=str(summary.type or ""),
        url=str(summary.url or ""),
        capacity_bytes=int(summary.capacity or 0),
        free_bytes=int(summary.freeSpace or 0),
        accessible=bool(summary.accessible),
        maintenance=str(summary.maintenanceMode or "normal") != "normal",
    )


def options(values: Iterable[Any] | None) -> dict[str, str]:
    """extraConfig as a plain mapping; vCenter writes a removed key as an empty value, and so does this."""
    return {str(option.key): str(option.value) for option in values or ()}


def moid_of(managed: Any) -> str:
    return str(managed._moId) if managed is not None else ""


def moids_of(managed: Iterable[Any] | None) -> tuple[str, ...]:
    return tuple(moid_of(one) for one in managed or ())
