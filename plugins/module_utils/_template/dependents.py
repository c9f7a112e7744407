# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What needs a template VM's disks, asked of vCenter before any of them is destroyed.

An instant clone's disks chain to its source's, and so do an admin's linked
clones. Whether vSphere itself would refuse to destroy such a source is not
documented, so nothing is destroyed while anything depends on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import TemplateVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.collect import read
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import options
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

_TEMPLATE_VM = "bonneville.template_vm"
_TEMPLATE_UUID = "bonneville.template_uuid"
_PROPERTIES = ("name", "config.extraConfig", "config.hardware.device", "layoutEx.file")


def find_dependents(session: Session, vms: Iterable[TemplateVm]) -> dict[str, tuple[str, ...]]:
    """Names of the VMs that need each template VM's disks or say so in their marks, by its managed object id.

    One read of the VMs on the same datastores: a VM that chains to a disk has
    files on that disk's datastore, or at least refers to it.
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
    needed: dict[str, set[str]] = {vm.moid: set() for vm in doomed}
    for one in found:
        extra_config = options(one.get("config.extraConfig"))
        files = {
            *(str(file.name) for file in one.get("layoutEx.file") or ()),
            *_chain_files(one.get("config.hardware.device") or ()),
        }
        for vm in doomed:
            if one.moid == vm.moid:
                continue
            marked = vm.moid == extra_config.get(_TEMPLATE_VM) or (
                bool(vm.instance_uuid) and vm.instance_uuid == extra_config.get(_TEMPLATE_UUID)
            )
            if marked or any(file.startswith(f"{vm.directory}/") for file in files):
                needed[vm.moid].add(str(one.get("name", one.moid)))
    return {moid: tuple(sorted(names)) for moid, names in needed.items() if names}


def _chain_files(devices: Iterable[Any]) -> Iterator[str]:
    """The files of every disk and of all disks that it is a delta of."""
    for device in devices:
        backing = getattr(device, "backing", None)
        while backing is not None and getattr(backing, "fileName", None):
            yield str(backing.fileName)
            backing = getattr(backing, "parent", None)
