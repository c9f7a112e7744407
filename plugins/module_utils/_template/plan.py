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

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError, ForeignVm, InUse
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import OFF, ON, Host, TemplateVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.digests import moved_images
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.fit import (
    changed_options,
    is_of,
    key_stands,
    serves,
    worth,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import TemplateSpec

IMPORT = "import"  # make the VM from the source, and put the images in
CLONE = "clone"  # make the VM as a full clone of one that holds the images
JOIN = "join"  # the same for a host that the template did not know
RENEW = "renew"  # the same beside the VM of an older generation, which serves until all hosts have the new one
REBUILD = "rebuild"  # destroy a VM that never held its images, then one of the two
MOVE = "move"  # back to the host that it is for, then boot and freeze
FETCH = "fetch"  # it is frozen as wanted, in another folder: back into the template's
BOOT = "boot"  # it is off: power on, freeze
FREEZE = "freeze"  # it runs: freeze
REFREEZE = "refreeze"  # it runs or is frozen in a state of no use: power cycle, freeze
VERIFY = "verify"  # it is frozen beside an older one: see that it runs a container, so that it can take over
EXEMPT = "exempt"  # have DRS leave it alone, and HA not restart it
PARK = "park"  # its host is to be free of it: power off, and keep
RETIRE = "retire"  # a newer one took over, and disks depend on it: power off, and keep
LEAVE = "leave"  # its host left the cluster: destroy
REMOVE = "remove"  # destroy a VM that nothing needs
KEEP = "keep"  # it is retired, and disks depend on it still
SKIP = "skip"  # its host is out of service: nothing can be done there now
UNCHANGED = "unchanged"
_FREE = "no disk depends on it any more"
_ASTRAY = "someone moved it to another folder"
_IDLE = (UNCHANGED, KEEP, SKIP)
_ASIDE = (RETIRE, LEAVE, REMOVE, KEEP)


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is done for one template VM.

    ``donor`` marks the one step whose VM the clones are made from. With ``trial``
    its VM has to run a throw-away container in the end. With ``after_switch`` it
    begins once all other VMs stand and were tried out, and not at all where one
    failed. ``clones`` are names of the VMs whose disks depend on its VM.
    """

    action: str
    host: Host
    name: str
    reason: str
    vm: TemplateVm | None = None
    via: str = ""
    donor: bool = False
    trial: bool = False
    after_switch: bool = False
    clones: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What tells a plan's steps apart."""
        return f"{self.action} {self.name}"

    @property
    def makes(self) -> str:
        """How a VM is made by this step: IMPORT, CLONE, or empty when it stands already."""
        return self.via or (self.action if self.action in (IMPORT, CLONE) else "")

    @property
    def works(self) -> bool:
        """Whether it changes something."""
        return self.action not in _IDLE

    @property
    def missing(self) -> bool:
        """Whether the host has no VM of what is wanted, so that one is made."""
        return bool(self.makes) and self.action != REBUILD

    @property
    def brings_back(self) -> bool:
        """Whether its VM comes back into the template's folder first."""
        return self.vm is not None and self.vm.astray and not self.makes and not self.aside

    @property
    def destroys(self) -> TemplateVm | None:
        return self.vm if self.action in (REBUILD, REMOVE, LEAVE) else None

    @property
    def aside(self) -> bool:
        """Whether it is about a VM that is no longer to serve."""
        return self.action in _ASIDE

    def document(self) -> dict[str, Any]:
        """For the module's ``actions``."""
        return {"action": self.action, "name": self.name, "host": self.host.name, "reason": self.reason}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Steps in a stable order, and what forbids carrying them out. ``sequence`` is that of VMs that are made."""

    steps: tuple[Step, ...]
    errors: tuple[BonnevilleError, ...] = ()
    sequence: int = 1

    @property
    def work(self) -> tuple[Step, ...]:
        """The steps that change something."""
        return tuple(step for step in self.steps if step.works)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Which hosts nothing is done on, in words."""
        return tuple(f"Left out host {step.host.name}: {step.reason}" for step in self.steps if step.action == SKIP)

    @property
    def doomed(self) -> tuple[TemplateVm, ...]:
        """The VMs that go unless something depends on them; whoever carries it out has to ask first."""
        return tuple(step.vm for step in self.steps if step.vm and (step.aside or step.destroys))


def plan_present(
    *,
    spec: TemplateSpec,
    hosts: Iterable[Host],
    vms: Iterable[TemplateVm],
    foreign: Iterable[str] = (),
    dependents: Mapping[str, Sequence[str]] | None = None,
    cluster: str = "",
) -> Plan:
    """How every host in service comes to one frozen template VM of this spec.

    Args:
        hosts: the hosts of the target; template VMs of other hosts are left alone, unless they left ``cluster``.
        vms: genuine template VMs, of this template or others.
        foreign: names in the template folder that belong to other VMs.
        dependents: names of the VMs that need a template VM's disks, by its moid.
        cluster: the target's managed object id, where it is a cluster.
    """
    ordered = sorted(hosts, key=lambda host: (host.name, host.moid))
    mine = sorted((vm for vm in vms if vm.marks.template == spec.name), key=lambda vm: (-worth(vm, spec), vm.moid))
    clones = {moid: tuple(sorted(names)) for moid, names in (dependents or {}).items()}
    homes = {host.moid for host in ordered}
    taken = frozenset(vm.name for vm in mine)
    known = {moid for vm in mine if vm.marks.hosts for moid in (vm.marks.host, *vm.marks.hosts)}
    sequence = _sequence(mine, spec)
    steps, claimed = list[Step](), set[str]()
    for host in ordered:
        base = vm_name(spec.name, host)
        here = [vm for vm in mine if vm.marks.host == host.moid or (vm.name == base and vm.marks.host not in homes)]
        claimed |= {vm.moid for vm in here}
        if host.trouble:
            steps.append(Step(action=SKIP, host=host, name=base, reason=host.trouble, vm=here[0] if here else None))
            continue
        name = f"{base}~{sequence}" if base in taken else base
        own = next((vm for vm in here if is_of(vm, spec)), None)
        before = [vm for vm in here if serves(vm) and not is_of(vm, spec)]
        step = _decide(spec=spec, host=host, name=name, vm=own, before=before[0] if before else None)
        if step.action == CLONE and known and host.moid not in known:
            step = replace(step, action=JOIN, via=CLONE, reason="the host is new to the template")
        steps.append(_with_trial(step, own, before))
        steps += [_put_aside(host, vm, spec, clones.get(vm.moid, ()), after=step) for vm in here if vm is not own]
    gone = [vm for vm in mine if cluster and vm.marks.cluster == cluster and vm.moid not in claimed]
    steps += [_leave(vm, clones.get(vm.moid, ())) for vm in gone if vm.marks.host not in homes and not vm.host_trouble]
    steps = _with_donor(steps)
    steps.sort(key=lambda step: (step.host.name, step.host.moid, step.aside, step.name))
    return Plan(
        steps=tuple(steps),
        errors=(*_taken(steps, frozenset(foreign)), *_in_use(steps, clones, spec.name)),
        sequence=sequence,
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
    """What the template VM of a host is called, unless one of an older generation has the name still."""
    return f"{template}@{host.label}"


def _sequence(mine: Sequence[TemplateVm], spec: TemplateSpec) -> int:
    """That of the wanted generation where it stands already and none is newer, else a new one."""
    own = [vm.marks.sequence for vm in mine if is_of(vm, spec)]
    others = [vm.marks.sequence for vm in mine if not is_of(vm, spec)]
    return max(own) if own and max(own) >= max(others, default=0) else max([0, *own, *others]) + 1


def _decide(*, spec: TemplateSpec, host: Host, name: str, vm: TemplateVm | None, before: TemplateVm | None) -> Step:
    if vm is None and before:
        return Step(action=RENEW, host=host, name=name, reason=_outdated(before, spec), vm=before, via=CLONE)
    if vm is None:
        return Step(action=CLONE, host=host, name=name, reason="the host has no template VM")
    step = _mend(host, vm)
    if not vm.astray:
        return step
    if step.action == UNCHANGED:
        return replace(step, action=FETCH, reason=_ASTRAY)
    return replace(step, reason=f"{step.reason}; {_ASTRAY}")


def _mend(host: Host, vm: TemplateVm) -> Step:
    def step(action: str, reason: str) -> Step:
        return Step(action=action, host=host, name=vm.name, reason=reason, vm=vm)

    if vm.marks.phase not in (marks_of.PRIMED, marks_of.FROZEN):
        return replace(step(REBUILD, "its build was interrupted before the images were in"), via=CLONE)
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
    if not key_stands(vm):
        return step(REFREEZE, "its sealing key is not the recorded one")
    return step(UNCHANGED, "it is frozen and as wanted")


def _outdated(vm: TemplateVm, spec: TemplateSpec) -> str:
    if vm.marks.generation == spec.generation:
        return f"its agent {vm.marks.agent} speaks no protocol of ours"
    changed = changed_options(vm, spec)
    if changed == ["digests"]:
        return "moved in the registry: " + ", ".join(moved_images(vm, spec))
    return "it was made by another spec: " + ", ".join(option for option in changed if option != "digests")


def _with_trial(step: Step, own: TemplateVm | None, before: Sequence[TemplateVm]) -> Step:
    """A VM that is to take over is tried out first, whether it stands already or not."""
    if not any(own is None or vm.marks.sequence <= own.marks.sequence for vm in before):
        return step
    if step.action == UNCHANGED:
        step = replace(step, action=VERIFY, reason="it is to take over from an older generation")
    return replace(step, trial=True)


def _put_aside(host: Host, vm: TemplateVm, spec: TemplateSpec, clones: tuple[str, ...], *, after: Step) -> Step:
    """What becomes of a VM that is not, or no longer, the one of its host."""
    needed = clones[:3] + (("...",) if len(clones) > 3 else ())
    if vm.retired:
        action, reason = (KEEP, "disks depend on it: " + ", ".join(needed)) if clones else (REMOVE, _FREE)
    elif not serves(vm):
        action = REMOVE
        reason = "a run was interrupted" if vm.trial else "its build was interrupted, and another one is wanted"
    else:
        action = RETIRE if clones else REMOVE
        reason = "a second template VM of this host" if is_of(vm, spec) else f"{after.name} takes over"
        reason += "; disks depend on it: " + ", ".join(needed) if clones else ""
    return Step(
        action=action,
        host=host,
        name=vm.name,
        reason=reason,
        vm=vm,
        after_switch=serves(vm) and not is_of(vm, spec),
        clones=clones,
    )


def _leave(vm: TemplateVm, clones: tuple[str, ...]) -> Step:
    action = (KEEP if vm.retired else RETIRE) if clones else LEAVE
    label = vm.name.partition("@")[2] or vm.host_name
    host = Host(moid=vm.marks.host, name=label, label=label)
    return Step(action=action, host=host, name=vm.name, reason="its host left the cluster", vm=vm, clones=clones)


def _with_donor(steps: list[Step]) -> list[Step]:
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
        chosen = replace(chosen, via=IMPORT) if chosen.via else replace(chosen, action=IMPORT)
    return [chosen if step is donor else step for step in steps]


def _taken(steps: Iterable[Step], foreign: frozenset[str]) -> Iterable[BonnevilleError]:
    for step in steps:
        if (step.makes or step.brings_back) and step.name in foreign:
            yield ForeignVm(
                f"Cannot {'make' if step.makes else 'bring back'} the template VM",
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
