# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What templates there are, host by host, and what is amiss with them. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import TemplateVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.dependents import find_dependents, names
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.desired import Request
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.survey import Survey, survey
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.tell import state_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.collect import read
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

_PROPERTIES = (
    "config.hardware.device",
    "config.hardware.memoryMB",
    "config.memoryAllocation",
    "summary.quickStats.sharedMemory",
)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Of a template VM, beside its marks. Memory is in MiB; ``shared_mb`` is None where vCenter does not tell."""

    chain_depth: int
    memory_mb: int
    reserved_mb: int
    shared_mb: int | None


def look(session: Session, request: Request) -> list[dict[str, Any]]:
    """The templates of a folder, sorted by name; of one name where the request has one. Raises NotFound, Ambiguous."""
    seen = survey(session, request)
    vms = [vm for vm in seen.vms if not request.name or vm.marks.template == request.name]
    if not vms:
        return []
    facts = _facts(session, vms)
    clones = names(find_dependents(session, vms))
    return [
        _template(name, [vm for vm in vms if vm.marks.template == name], seen=seen, facts=facts, clones=clones)
        for name in sorted({vm.marks.template for vm in vms})
    ]


def chain_depth(devices: Any) -> int:
    """How many disk files lie one upon another at the first disk; 1 for a disk that is no delta."""
    disk = next((device for device in devices or () if isinstance(device, vim.vm.device.VirtualDisk)), None)
    backing, depth = getattr(disk, "backing", None), 0
    while backing is not None:
        backing, depth = getattr(backing, "parent", None), depth + 1
    return depth


def _facts(session: Session, vms: list[TemplateVm]) -> dict[str, Facts]:
    start = [(session.managed("VirtualMachine", vm.moid), ()) for vm in vms]
    found = read(session, start=start, properties={"VirtualMachine": _PROPERTIES}, what="Cannot read the template VMs")
    return {
        one.moid: Facts(
            chain_depth=chain_depth(one.get("config.hardware.device")),
            memory_mb=int(one.get("config.hardware.memoryMB") or 0),
            reserved_mb=int(getattr(one.get("config.memoryAllocation"), "reservation", 0) or 0),
            shared_mb=one.get("summary.quickStats.sharedMemory"),
        )
        for one in found
    }


def _template(
    name: str, vms: list[TemplateVm], *, seen: Survey, facts: dict[str, Facts], clones: dict[str, tuple[str, ...]]
) -> dict[str, Any]:
    hosts = [
        _host(vm, facts[vm.moid], clones.get(vm.moid, ()))
        for vm in sorted(vms, key=lambda vm: (vm.host_name, vm.name))
        if vm.moid in facts
    ]
    return {"name": name, "hosts": hosts, "warnings": [*_warnings(vms), *_without(vms, seen)]}


def _host(vm: TemplateVm, facts: Facts, clones: tuple[str, ...]) -> dict[str, Any]:
    return {
        "host": vm.host_name,
        "vm": vm.name,
        "moid": vm.moid,
        "generation": vm.marks.generation,
        "state": state_of(vm),
        "frozen": vm.frozen,
        "agent": vm.marks.agent,
        "images": [{"name": one.name, "id": one.id, "digest": one.digest} for one in vm.marks.images],
        "clones": list(clones),
        "chain_depth": facts.chain_depth,
        "memory_mb": facts.memory_mb,
        "memory_reserved_mb": facts.reserved_mb,
        "memory_shared_mb": facts.shared_mb,
    }


def _warnings(vms: list[TemplateVm]) -> Iterator[str]:
    for vm in vms:
        if vm.retired:
            yield f"{vm.name} is of an older generation, and kept for the disks that depend on it"
            continue
        if state_of(vm) != "frozen":
            yield f"{vm.name} is {state_of(vm)}: nothing can be cloned from it"
        elif vm.host != vm.marks.host:
            yield f"{vm.name} was moved to {vm.host_name}"
        low, high = vm.marks.speaks
        if vm.marks.phase == marks_of.FROZEN and not (low <= protocol.SPEAKS[1] and protocol.SPEAKS[0] <= high):
            yield f"{vm.name} has agent {vm.marks.agent}, which speaks no protocol of this collection: build it anew"
    if len({vm.marks.generation for vm in vms if not vm.retired}) > 1:
        yield "the template VMs are of more than one generation"


def _without(vms: list[TemplateVm], seen: Survey) -> Iterator[str]:
    having = {vm.host for vm in vms if not vm.retired}
    for host in seen.hosts:
        if host.moid not in having:
            yield f"host {host.name} has no template VM" + (f"; {host.trouble}" if host.trouble else "")
