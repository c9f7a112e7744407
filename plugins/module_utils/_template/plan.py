# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what is wanted and what stands to what is done, host by host. Pure.

A plan works only on hosts that it was given and on VMs with genuine marks of
this template; nothing else has a way into a step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError, ForeignVm, InUse
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._template import marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import OFF, ON, Host, TemplateVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import TemplateSpec

IMPORT = "import"  # make the VM from the source, and put the images in
CLONE = "clone"  # make the VM as a full clone of one that holds the images
REBUILD = "rebuild"  # destroy the VM first, then one of the two
MOVE = "move"  # back to the host that it is for, then boot and freeze
BOOT = "boot"  # it is off: power on, freeze
FREEZE = "freeze"  # it runs: freeze
REFREEZE = "refreeze"  # it runs or is frozen in a state of no use: power cycle, freeze
PARK = "park"  # its host is to be free of it: power off, and keep
REMOVE = "remove"  # destroy a VM that nothing needs
SKIP = "skip"  # its host is out of service: nothing can be done there now
UNCHANGED = "unchanged"


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is done for one template VM. ``donor`` marks the one step whose VM the clones are made from."""

    action: str
    host: Host
    name: str
    reason: str
    vm: TemplateVm | None = None
    via: str = ""
    donor: bool = False

    @property
    def key(self) -> str:
        """What tells a plan's steps apart."""
        return f"{self.action} {self.name}"

    @property
    def makes(self) -> str:
        """How a VM is made by this step: IMPORT, CLONE, or empty when it stands already."""
        return self.via or (self.action if self.action in (IMPORT, CLONE) else "")

    @property
    def destroys(self) -> TemplateVm | None:
        return self.vm if self.action in (REBUILD, REMOVE) else None

    def document(self) -> dict[str, Any]:
        """For the module's ``actions``."""
        return {"action": self.action, "name": self.name, "host": self.host.name, "reason": self.reason}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Steps in a stable order, and what forbids carrying them out."""

    steps: tuple[Step, ...]
    errors: tuple[BonnevilleError, ...] = ()

    @property
    def work(self) -> tuple[Step, ...]:
        """The steps that change something."""
        return tuple(step for step in self.steps if step.action not in (UNCHANGED, SKIP))

    @property
    def left_out(self) -> tuple[str, ...]:
        """Which hosts nothing is done on, in words."""
        return tuple(f"Left out host {step.host.name}: {step.reason}" for step in self.steps if step.action == SKIP)

    @property
    def destroyed(self) -> tuple[TemplateVm, ...]:
        """The VMs that the plan ends; whoever carries it out has to ask first what depends on them."""
        return tuple(vm for step in self.steps if (vm := step.destroys))


def plan_present(
    *,
    spec: TemplateSpec,
    hosts: Iterable[Host],
    vms: Iterable[TemplateVm],
    foreign: Iterable[str] = (),
    dependents: Mapping[str, Sequence[str]] | None = None,
) -> Plan:
    """How every host in service comes to one frozen template VM of this spec.

    Args:
        hosts: the hosts of the target; template VMs of other hosts are left alone.
        vms: genuine template VMs, of this template or others.
        foreign: names in the template folder that belong to other VMs.
        dependents: names of the VMs that need a template VM's disks, by its moid.
    """
    ordered = sorted(hosts, key=lambda host: (host.name, host.moid))
    mine = [vm for vm in vms if vm.marks.template == spec.name]
    steps: list[Step] = []
    for host in ordered:
        name = vm_name(spec.name, host)
        homes = {other.moid for other in ordered}
        here = [vm for vm in mine if vm.marks.host == host.moid or (vm.name == name and vm.marks.host not in homes)]
        here.sort(key=lambda vm: (-_worth(vm, spec), vm.moid))
        if host.trouble:
            steps.append(Step(action=SKIP, host=host, name=name, reason=host.trouble, vm=here[0] if here else None))
            continue
        steps.append(_decide(spec=spec, host=host, name=name, vm=here[0] if here else None))
        steps += [
            Step(action=REMOVE, host=host, name=vm.name, reason="a second template VM of this host", vm=vm)
            for vm in here[1:]
        ]
    steps = _with_donor(steps, spec)
    steps.sort(key=lambda step: (step.host.name, step.host.moid, step.action == REMOVE, step.name))
    return Plan(
        steps=tuple(steps),
        errors=(*_taken(steps, frozenset(foreign)), *_in_use(steps, dependents or {}, spec.name)),
    )


def plan_absent(
    *,
    name: str,
    hosts: Iterable[Host],
    vms: Iterable[TemplateVm],
    everywhere: bool,
    dependents: Mapping[str, Sequence[str]] | None = None,
) -> Plan:
    """The removal of a template: of all its VMs when ``everywhere``, else of those that are for ``hosts``."""
    known = {host.moid: host for host in hosts}
    steps = [
        Step(
            action=REMOVE,
            host=known.get(vm.marks.host) or Host(moid=vm.host, name=vm.host_name, label=vm.host_name),
            name=vm.name,
            reason="the template is to be absent",
            vm=vm,
        )
        for vm in vms
        if vm.marks.template == name and (everywhere or vm.marks.host in known)
    ]
    steps.sort(key=lambda step: (step.host.name, step.name, step.vm.moid if step.vm else ""))
    return Plan(steps=tuple(steps), errors=tuple(_in_use(steps, dependents or {}, name)))


def plan_parked(*, name: str, hosts: Iterable[Host], vms: Iterable[TemplateVm]) -> Plan:
    """Power off what of a template stands on these hosts, wherever it belongs: that is what keeps a host busy."""
    known = {host.moid: host for host in hosts}
    steps = [
        Step(
            action=UNCHANGED if vm.power == OFF else PARK,
            host=known[vm.host],
            name=vm.name,
            reason="it is powered off" if vm.power == OFF else "its host is to be free of running template VMs",
            vm=vm,
        )
        for vm in vms
        if vm.marks.template == name and vm.host in known
    ]
    return Plan(steps=tuple(sorted(steps, key=lambda step: (step.host.name, step.name))))


def vm_name(template: str, host: Host) -> str:
    """What the template VM of a host is called."""
    return f"{template}@{host.label}"


def is_sound(vm: TemplateVm, spec: TemplateSpec) -> bool:
    """Whether clones can be made from it as it stands."""
    return (
        vm.frozen
        and vm.host == vm.marks.host
        and vm.marks.generation == spec.generation
        and vm.marks.phase == marks_of.FROZEN
        and _key_stands(vm)
        and _spoken(vm)
    )


def _decide(*, spec: TemplateSpec, host: Host, name: str, vm: TemplateVm | None) -> Step:
    if vm is None:
        return Step(action=CLONE, host=host, name=name, reason="the host has no template VM")

    def step(action: str, reason: str) -> Step:
        return Step(
            action=action, host=host, name=vm.name, reason=reason, vm=vm, via=CLONE if action == REBUILD else ""
        )

    if vm.marks.generation != spec.generation:
        return replace(step(REBUILD, "it was made by another spec: " + ", ".join(changed_options(vm, spec))), name=name)
    if vm.marks.phase not in (marks_of.PRIMED, marks_of.FROZEN):
        return replace(step(REBUILD, "its build was interrupted before the images were in"), name=name)
    if vm.marks.phase == marks_of.FROZEN and not _spoken(vm):
        return replace(step(REBUILD, f"its agent {vm.marks.agent} speaks no protocol of ours"), name=name)
    if vm.host != host.moid:
        return step(MOVE, f"it is on host {vm.host_name}")
    if vm.power == OFF:
        return step(BOOT, "it is powered off")
    if vm.power != ON:
        return step(REFREEZE, f"it is {vm.power}")
    if vm.priming:
        return step(REFREEZE, "its build was interrupted after the images were in")
    if not vm.frozen:
        if vm.failed and vm.status and vm.status.reason:
            return step(REFREEZE, f"its agent gave up: {vm.status.reason.message}")
        if vm.status is None:
            return step(REFREEZE, "it runs unfrozen and its agent says nothing")
        if vm.told:
            return step(REFREEZE, "it was told to freeze and did not")
        return step(FREEZE, "it runs unfrozen")
    if vm.marks.phase != marks_of.FROZEN:
        return step(REFREEZE, "it froze before its key was recorded")
    if not _key_stands(vm):
        return step(REFREEZE, "its sealing key is not the recorded one")
    return step(UNCHANGED, "it is frozen and as wanted")


def _with_donor(steps: list[Step], spec: TemplateSpec) -> list[Step]:
    """Choose the VM that the missing ones are cloned from: one that holds the images and never froze, or a new one."""
    makers = [step for step in steps if step.makes]
    if not makers:
        return steps
    primed = [
        step
        for step in steps
        if step.vm and step.action in (BOOT, MOVE, REFREEZE) and step.vm.marks.phase == marks_of.PRIMED
    ]
    donor = min(primed, key=lambda step: step.action != BOOT) if primed else makers[0]
    chosen = replace(donor, donor=True)
    if not primed:
        chosen = replace(chosen, via=IMPORT) if chosen.action == REBUILD else replace(chosen, action=IMPORT)
    return [chosen if step is donor else step for step in steps]


def _taken(steps: Iterable[Step], foreign: frozenset[str]) -> Iterable[BonnevilleError]:
    for step in steps:
        if step.makes and step.name in foreign:
            yield ForeignVm(
                "Cannot make the template VM",
                obj=step.name,
                why="the template folder holds a VM of that name that is not ours",
                next_step="Rename or move that VM, or use another template name or folder",
                details={"name": step.name, "host": step.host.name},
            )


def _in_use(steps: Iterable[Step], dependents: Mapping[str, Sequence[str]], template: str) -> Iterable[BonnevilleError]:
    for step in steps:
        vm = step.destroys
        names = sorted(dependents.get(vm.moid, ())) if vm else []
        if vm and names:
            shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
            yield InUse(
                f"Cannot {step.action} the template VM",
                obj=vm.name,
                why=f"the disks of these VMs depend on it: {shown}",
                next_step=f"Remove them first, or leave template '{template}' as it is and use another name",
                details={"vm": vm.name, "dependents": names},
            )


def changed_options(vm: TemplateVm, spec: TemplateSpec) -> list[str]:
    """The names of the options in which a VM's recorded spec differs."""
    before, after = marks_of.spec_document(vm.marks), spec.document()
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key)) or ["unknown"]


def _key_stands(vm: TemplateVm) -> bool:
    """What a guest published may be lost, as after a restart of vCenter; then its mark is believed."""
    return bool(vm.marks.key) and vm.published_key in ("", vm.marks.key)


def _spoken(vm: TemplateVm) -> bool:
    low, high = vm.marks.speaks
    return low <= protocol.SPEAKS[1] and protocol.SPEAKS[0] <= high


def _worth(vm: TemplateVm, spec: TemplateSpec) -> int:
    """Which of two template VMs of one host is kept."""
    return (
        8 * is_sound(vm, spec)
        + 4 * (vm.marks.generation == spec.generation)
        + 2 * (vm.marks.phase == marks_of.FROZEN)
        + (vm.marks.phase == marks_of.PRIMED)
    )
