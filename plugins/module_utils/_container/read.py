# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a scope of vCenter to the container VMs in it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import marks
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ON, ContainerVm, vm_from
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import Scope, VmFacts

DEFAULT_FOLDER = "bonneville-containers"
"""Below it container VMs are made and looked for, unless the user names another folder."""

# From power-on to the agent's first word, with what this clock and vCenter's may differ.
_BOOT_TIME = timedelta(minutes=5)
# A guest takes its clock from its VM's, which counts whole seconds.
_CLOCK_SLACK = 3.0


@dataclass(frozen=True, kw_only=True)
class Found:
    """The VMs of a scope: those with genuine container marks, and all others."""

    ours: tuple[ContainerVm, ...]
    others: tuple[VmFacts, ...]


def container_vms(scope: Scope) -> Found:
    """Tell the container VMs of a scope from all the other VMs in it."""
    ours: list[ContainerVm] = []
    others: list[VmFacts] = []
    for facts in scope.vms:
        vm = as_container_vm(facts, scope)
        if vm is None:
            others.append(facts)
        else:
            ours.append(vm)
    return Found(ours=tuple(ours), others=tuple(others))


def as_container_vm(facts: VmFacts, scope: Scope) -> ContainerVm | None:
    """The container VM that a VM is by its marks; None for any other VM. ``host`` becomes the host's name."""
    vm = vm_from(
        moid=facts.moid,
        name=facts.name,
        folder=facts.folder or "",
        power=facts.power,
        bios_uuid=facts.bios_uuid,
        extra_config=facts.extra_config,
        host=scope.host_name(facts.host),
        ip=facts.ip,
        instance_uuid=facts.instance_uuid,
        boot_time=facts.boot_time.isoformat() if facts.boot_time else "",
        annotation=facts.annotation,
    )
    return replace(vm, booting=_is_booting(vm, facts, scope)) if vm else None


def _is_booting(vm: ContainerVm, facts: VmFacts, scope: Scope) -> bool:
    """Whether a guest that came up within minutes has not spoken since: what it said may be of the boot before."""
    if facts.power != ON or facts.boot_time is None or abs(scope.read_at - facts.boot_time) > _BOOT_TIME:
        return False
    return vm.status is None or vm.status.time < facts.boot_time.timestamp() - _CLOCK_SLACK


def claimed_vm(facts: VmFacts) -> ContainerVm | None:
    """The container VM that a VM would be if the marks that it bears were its own; None where it bears none.

    For words only: nothing may be done with it.
    """
    recorded = facts.extra_config.get(marks.KEY_BIOS_UUID, "")
    return as_container_vm(replace(facts, bios_uuid=recorded), Scope())


def in_words(facts: VmFacts) -> str:
    """What a VM is that is no container VM of ours."""
    kind = facts.extra_config.get(marks.KEY_KIND, "")
    if kind == marks.TEMPLATE_KIND:
        return f"{facts.moid} is a template VM, or a copy of one"
    if not marks.claims(facts.extra_config):
        return f"{facts.moid} bears no mark of this collection"
    schema = facts.extra_config.get(marks.KEY_SCHEMA, "")
    if schema != marks.SCHEMA:
        return f"{facts.moid} bears marks of schema '{schema}', which this version does not read"
    return f"{facts.moid} bears marks that were copied from another VM, as an administrator's clone does"
