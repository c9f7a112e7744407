# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What needs a template VM's disks, asked of vCenter before any of them is destroyed.

An instant clone's disks chain to its source's, and so do an admin's linked
clones. Whether vSphere itself would refuse to destroy such a source is not
documented, so nothing is destroyed while anything depends on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import marks as container_marks
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import TemplateVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.collect import read
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import options
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

_TEMPLATE_VM = "bonneville.template_vm"
_TEMPLATE_UUID = "bonneville.template_uuid"
_PROPERTIES = ("name", "config.extraConfig", "config.hardware.device", "config.uuid", "layoutEx.file")


@dataclass(frozen=True, kw_only=True)
class Dependent:
    """A VM that needs another's disks. ``owner`` is a container VM's; None for a VM that is no container VM of ours."""

    name: str
    moid: str
    owner: str | None = None


def names(found: Mapping[str, Iterable[Dependent]]) -> dict[str, tuple[str, ...]]:
    """What was found, as the names of the VMs."""
    return {moid: tuple(sorted({one.name for one in dependents})) for moid, dependents in found.items()}


def find_dependents(session: Session, vms: Iterable[TemplateVm]) -> dict[str, tuple[Dependent, ...]]:
    """The VMs that need each template VM's disks or say so in their marks, by its managed object id.

    One read of the VMs on the same datastores: a VM that chains to a disk has
    files on that disk's datastore, or at least refers to it. The VMs themselves
    are not counted, for they go together.
    """
    doomed = list(vms)
    datastores = sorted({moid for vm in doomed for moid in vm.datastores})
    if not doomed or not datastores:
        return {}
    start = [(session.managed("Datastore", moid), ("datastore_vm",)) for moid in datastores]
    found = list(
        read(
            session,
            start=start,
            properties={"VirtualMachine": _PROPERTIES},
            what="Cannot find out what depends on the template VMs",
        )
    )
    needed: dict[str, list[Dependent]] = {vm.moid: [] for vm in doomed}
    for one in found:
        if one.moid in needed:
            continue
        extra_config = options(one.get("config.extraConfig"))
        files = {
            *(str(file.name) for file in one.get("layoutEx.file") or ()),
            *_chain_files(one.get("config.hardware.device") or ()),
        }
        for vm in doomed:
            marked = vm.moid == extra_config.get(_TEMPLATE_VM) or (
                bool(vm.instance_uuid) and vm.instance_uuid == extra_config.get(_TEMPLATE_UUID)
            )
            if marked or any(file.startswith(f"{vm.directory}/") for file in files):
                container = container_marks.decode(extra_config, bios_uuid=str(one.get("config.uuid", "")))
                owner = container.owner if container else None
                needed[vm.moid].append(Dependent(name=str(one.get("name", one.moid)), moid=one.moid, owner=owner))
    return {moid: tuple(dependents) for moid, dependents in needed.items() if dependents}


def _chain_files(devices: Iterable[Any]) -> Iterator[str]:
    """The files of every disk and of all disks that it is a delta of."""
    for device in devices:
        backing = getattr(device, "backing", None)
        while backing is not None and getattr(backing, "fileName", None):
            yield str(backing.fileName)
            backing = getattr(backing, "parent", None)
