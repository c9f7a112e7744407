# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a cluster does with single VMs: which of them its DRS leaves alone, and which its HA does not restart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.again import fault_of, run_tasks
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.collect import read
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import moid_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Place
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

PRIVILEGE = "Host.Inventory.EditCluster"
_NOT_RESTARTED = "disabled"


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """Of a cluster: by VMs' managed object ids, whether DRS may move them, and their priority for HA."""

    drs: bool
    ha: bool
    moved: Mapping[str, bool]
    priorities: Mapping[str, str]

    def lacking(self, vm: str) -> bool:
        """Whether the cluster would move this VM, or restart it."""
        return (self.drs and self.moved.get(vm, True)) or (self.ha and self.priorities.get(vm, "") != _NOT_RESTARTED)


def read_overrides(session: Session, clusters: Iterable[Place]) -> dict[str, Overrides]:
    """The overrides of each cluster, by its managed object id: one call."""
    start = [(session.managed("ClusterComputeResource", one.moid), ()) for one in clusters]
    properties = {"ClusterComputeResource": ("configurationEx",)}
    found = read(session, start=start, properties=properties, what="Cannot read the cluster's settings")
    return {one.moid: _overrides(one.get("configurationEx")) for one in found}


def _overrides(config: Any) -> Overrides:
    return Overrides(
        drs=bool(config and config.drsConfig and config.drsConfig.enabled),
        ha=bool(config and config.dasConfig and config.dasConfig.enabled),
        moved={moid_of(one.key): one.enabled is not False for one in getattr(config, "drsVmConfig", None) or ()},
        priorities={
            moid_of(one.key): str(one.dasSettings.restartPriority if one.dasSettings else "")
            for one in getattr(config, "dasVmConfig", None) or ()
        },
    )


def exempt(
    session: Session, cluster: Place, vms: Iterable[str], *, known: Overrides, deadline: Deadline
) -> BonnevilleError | None:
    """Have DRS leave these VMs alone and HA not restart them; what kept it from being done.

    An override is added or edited, by what was ``known``; vCenter calls the
    wrong one of both an invalid argument, so that where another run or an
    administrator came between, the cluster is read again.
    """
    wanted = list(vms)
    error = _reconfigure(session, cluster, wanted, known=known, deadline=deadline)
    if error is None or fault_of(error) != "InvalidArgument":
        return error
    known = read_overrides(session, [cluster])[cluster.moid]
    lacking = [vm for vm in wanted if known.lacking(vm)]
    return _reconfigure(session, cluster, lacking, known=known, deadline=deadline) if lacking else None


def _reconfigure(
    session: Session, cluster: Place, vms: Iterable[str], *, known: Overrides, deadline: Deadline
) -> BonnevilleError | None:
    change = vim.cluster.ConfigSpecEx()
    operation = vim.option.ArrayUpdateSpec.Operation
    change.drsVmConfigSpec = [
        vim.cluster.DrsVmConfigSpec(
            operation=operation.edit if vm in known.moved else operation.add,
            info=vim.cluster.DrsVmConfigInfo(key=session.managed("VirtualMachine", vm), enabled=False),
        )
        for vm in vms
    ]
    change.dasVmConfigSpec = [
        vim.cluster.DasVmConfigSpec(
            operation=operation.edit if vm in known.priorities else operation.add,
            info=vim.cluster.DasVmConfigInfo(
                key=session.managed("VirtualMachine", vm),
                dasSettings=vim.cluster.DasVmSettings(restartPriority=_NOT_RESTARTED),
            ),
        )
        for vm in vms
    ]
    managed = session.managed("ClusterComputeResource", cluster.moid)
    outcome = run_tasks(
        session,
        {"": lambda: managed.ReconfigureComputeResource_Task(spec=change, modify=True)},
        what="Cannot exempt template VMs from DRS and HA of cluster",
        names={"": cluster.name},
        deadline=deadline,
    )
    return outcome[""]
