# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changing VMs that stand: settings, marks, names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.again import run_tasks
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import option_values, read_hardware
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explaining
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

_WHAT = "Cannot reconfigure the VM"


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is to be different in a VM; None leaves a setting alone.

    An empty value in ``extra_config`` removes the key. ``devices`` are
    VirtualDeviceSpecs. Sizes in MiB.
    """

    name: str | None = None
    annotation: str | None = None
    bios_uuid: str | None = None
    cpus: int | None = None
    memory_mb: int | None = None
    memory_reservation_mb: int | None = None
    extra_config: Mapping[str, str] = field(default_factory=dict, repr=False)
    devices: Sequence[Any] = field(default=(), repr=False)


def config_spec(change: Change) -> Any:
    """The ConfigSpec of a change: for a reconfiguration, or for the copy that a full clone makes."""
    spec = vim.vm.ConfigSpec(
        name=change.name,
        annotation=change.annotation,
        uuid=change.bios_uuid,
        numCPUs=change.cpus,
        memoryMB=change.memory_mb,
        extraConfig=option_values(change.extra_config),
        deviceChange=list(change.devices),
    )
    if change.memory_reservation_mb is not None:
        spec.memoryAllocation = vim.ResourceAllocationInfo(reservation=change.memory_reservation_mb)
    return spec


def reconfigure(session: Session, moid: str, change: Change, *, name: str = "") -> Any:
    """Begin a change; the task. ``name`` is for the words of a failure."""
    with explaining(_WHAT, obj=name or moid):
        return _begin(session, moid, change)


def reconfigure_all(
    session: Session,
    changes: Mapping[str, Change],
    *,
    deadline: Deadline,
    names: Mapping[str, str] | None = None,
    watch: Watch | None = None,
) -> dict[str, BonnevilleError | None]:
    """Change several VMs side by side, by moid; each one's error, or None. What passes by itself is not shown."""
    return run_tasks(
        session,
        {moid: lambda moid=moid: _begin(session, moid, changes[moid]) for moid in changes},  # type: ignore[misc]
        what=_WHAT,
        names={moid: (names or {}).get(moid, moid) for moid in changes},
        deadline=deadline,
        watch=watch,
        # A device cannot be added twice. What was removed is seen not to be there any more.
        once={moid for moid, change in changes.items() if not _only_removes(change)},
        done=lambda moids: _rid_of(session, {moid: changes[moid] for moid in moids if changes[moid].devices}),
    )


def _only_removes(change: Change) -> bool:
    return all(spec.operation == vim.vm.device.VirtualDeviceSpec.Operation.remove for spec in change.devices)


def _rid_of(session: Session, changes: Mapping[str, Change]) -> dict[str, None]:
    """The VMs that have none of the devices which were to be removed."""
    found = read_hardware(session, changes)
    keys = {moid: {spec.device.key for spec in change.devices} for moid, change in changes.items()}
    return {moid: None for moid in found if not keys[moid] & {device.key for device in found[moid].devices}}


def _begin(session: Session, moid: str, change: Change) -> Any:
    return session.managed("VirtualMachine", moid).ReconfigVM_Task(config_spec(change))
