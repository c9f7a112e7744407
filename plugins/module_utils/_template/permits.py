# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which privileges a plan needs, and where: asked for before it is begun, since half a template helps nobody. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.bonneville.vsphere.plugins.module_utils._template.plan import (
    EXEMPT,
    FETCH,
    IMPORT,
    MOVE,
    Step,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import TemplateSpec

_VM = "VirtualMachine"
REMOVAL = (f"{_VM}.Inventory.Delete", f"{_VM}.Interact.PowerOff")
PARKING = (f"{_VM}.Interact.PowerOff",)


@dataclass(frozen=True, kw_only=True)
class Permits:
    """Privileges by where they are needed; what a VM needs is looked for on the folder that it is in."""

    folder: tuple[str, ...] = ()
    datastore: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    pool: tuple[str, ...] = ()


def needed(steps: Iterable[Step], spec: TemplateSpec, *, pull: bool = False) -> Permits:
    """What vSphere's documents ask for the work of these steps; with ``pull`` hosts get the OVA by themselves."""
    work = tuple(steps)
    making = [step for step in work if step.makes or step.trial]
    changing = [step for step in work if not step.aside and step.action not in (EXEMPT, FETCH)]
    importing = any(step.makes == IMPORT for step in work)
    folder: list[str] = []
    if changing:
        folder += [f"{_VM}.Config.AdvancedConfig", f"{_VM}.Config.EditDevice"]
        folder += [f"{_VM}.Interact.PowerOn", f"{_VM}.Interact.PowerOff"]
    if making:
        # What could not be finished is deleted again.
        folder += [f"{_VM}.Inventory.CreateFromExisting", f"{_VM}.Provisioning.Clone", f"{_VM}.Inventory.Delete"]
        folder += [f"{_VM}.Config.AddRemoveDevice", f"{_VM}.Config.Annotation"]
    if importing:
        folder += _of_spec(spec)
    if any(step.brings_back for step in work):
        folder.append(f"{_VM}.Inventory.Move")
    if any(step.destroys or step.aside for step in work):
        folder += REMOVAL
    pool = ["Resource.AssignVMToPool"] if making else []
    pool += ["VApp.Import"] if importing and spec.source.kind == "ova" else []
    pool += ["VApp.PullFromUrls"] if importing and pull else []
    pool += ["Resource.ColdMigrate"] if any(step.action == MOVE for step in work) else []
    datastore = ["Datastore.AllocateSpace"] if making else []
    datastore += ["Datastore.FileManagement"] if importing and spec.archives else []
    return Permits(
        folder=tuple(dict.fromkeys(folder)),
        datastore=tuple(datastore),
        network=("Network.Assign",) if making else (),
        pool=tuple(pool),
    )


def _of_spec(spec: TemplateSpec) -> Iterable[str]:
    if spec.cpus:
        yield f"{_VM}.Config.CPUCount"
    if spec.memory_mb:
        yield f"{_VM}.Config.Memory"
    if spec.memory_reservation_mb is not None:
        yield f"{_VM}.Config.Resource"
    if spec.disk_gb:
        yield f"{_VM}.Config.DiskExtend"
    if spec.archives:
        yield from (f"{_VM}.Config.AddExistingDisk", f"{_VM}.Config.RemoveDisk")
