# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A template's run in the module's words: what stands, what differs, what was done. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import OFF, SUSPENDED, TemplateVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.digests import moved_images
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.fit import changed_options
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.plan import (
    EXEMPT,
    KEEP,
    PARK,
    REBUILD,
    RENEW,
    RETIRE,
    SKIP,
    UNCHANGED,
    Step,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import TemplateSpec

_AFTERWARDS = {PARK: "powered off", RETIRE: "retired"}


def actions(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """What is done, or would be."""
    return [step.document() for step in steps]


def actions_after_failure(steps: Iterable[Step], errors: Mapping[str, BonnevilleError]) -> list[dict[str, Any]]:
    """What was done and what was not, step by step: ``failed`` says why."""
    return [{**step.document(), "failed": errors[step.key].message if step.key in errors else ""} for step in steps]


def difference(steps: Sequence[Step], spec: TemplateSpec | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Before and after of the VMs, by name; a VM of a newer generation shows what it is for.

    ``spec`` is None where the template is not to stand.
    """
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for step in steps:
        if step.vm:
            before[step.vm.name] = _as_it_stands(step)
        if step.action in (UNCHANGED, KEEP, SKIP):
            if step.vm:
                after[step.vm.name] = before[step.vm.name]
        elif not step.destroys or step.action == REBUILD:
            after[step.name] = {"host": step.host.name, "state": _AFTERWARDS.get(step.action, "frozen")}
        if step.action == EXEMPT and step.vm:
            before[step.vm.name]["exempt"], after[step.name]["exempt"] = False, True
    for step in steps:
        if step.action == RENEW and step.vm and spec:
            old, new = _change(step.vm, spec)
            before[step.vm.name].update(old)
            after[step.name].update(new)
    return {"template_vms": before}, {"template_vms": after}


def template(
    *,
    name: str,
    spec: TemplateSpec | None,
    steps: Sequence[Step],
    vms: Iterable[TemplateVm],
    milestones: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    """The module's ``template``: each host's VM as it stands, and the images that they hold."""
    standing = {vm.name: vm for vm in vms if vm.marks.template == name}
    kept = [step for step in steps if not step.aside]
    hosts = [_host(step, standing.get(step.name), milestones.get(step.name, {})) for step in kept]
    images = {
        (image.name, image.id): {"name": image.name, "id": image.id, "digest": image.digest}
        for step in kept
        if (vm := standing.get(step.name))
        for image in vm.marks.images
    }
    return {
        "name": name,
        "generation": spec.generation if spec else "",
        "hosts": hosts,
        "images": [images[key] for key in sorted(images)],
        "retired": [_retired(step.vm, step) for step in steps if step.vm and step.action in (RETIRE, KEEP)],
    }


def _retired(vm: TemplateVm, step: Step) -> dict[str, Any]:
    return {
        "vm": vm.name,
        "moid": vm.moid,
        "host": step.host.name,
        "generation": vm.marks.generation,
        "clones": list(step.clones),
    }


def _host(step: Step, vm: TemplateVm | None, reached: Mapping[str, float]) -> dict[str, Any]:
    return {
        "host": step.host.name,
        "vm": step.name,
        "moid": vm.moid if vm else "",
        "state": state_of(vm) if vm else "absent",
        "frozen": vm is not None and vm.frozen,
        "generation": vm.marks.generation if vm else "",
        "action": step.action,
        "reason": step.reason,
        "seconds": reached.get("frozen"),
        "timings": dict(reached),
    }


def _as_it_stands(step: Step) -> dict[str, Any]:
    vm = step.vm
    if vm is None:
        raise AssertionError("a step on a VM has one")
    shown: dict[str, Any] = {"host": vm.host_name, "state": state_of(vm)}
    if step.action not in (UNCHANGED, EXEMPT, PARK, RENEW) and not step.aside:
        shown["trouble"] = step.reason
    return shown


def state_of(vm: TemplateVm) -> str:
    """How a template VM is, in a word or two."""
    if vm.marks.phase in (marks_of.IMPORTING, marks_of.TRIAL):
        return "unfinished"
    if vm.retired:
        return "retired"
    if vm.frozen:
        return "frozen"
    return {OFF: "powered off", SUSPENDED: "suspended"}.get(vm.power, "running")


def _change(vm: TemplateVm, spec: TemplateSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options that differ, as they were and as they are to be; and who speaks in the guest."""
    if vm.marks.generation == spec.generation:
        return {"agent": vm.marks.agent}, {"agent": protocol.AGENT_VERSION}
    was, will = marks_of.spec_document(vm.marks), spec.document()
    names = [name for name in changed_options(vm, spec) if name != "digests" and (name in was or name in will)]
    old, new = {name: was.get(name) for name in names}, {name: will.get(name) for name in names}
    if moved := moved_images(vm, spec):
        old["digests"] = {name: before for name, (before, _after) in moved.items()}
        new["digests"] = {name: after for name, (_before, after) in moved.items()}
    return old, new
