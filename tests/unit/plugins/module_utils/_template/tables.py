"""Template specs, hosts and VMs for the tests of this directory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.template_marks import Image, Marks
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import Host, TemplateVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.plan import (
    RETIRE,
    Plan,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import Source, TemplateSpec

SPEC = TemplateSpec(
    name="photon",
    source=Source(kind="ova", path="/ova/photon.ova", fingerprint="f" * 64),
    network="VM Network",
    datastore="ds1",
    memory_mb=2048,
    images=("web:1",),
)


def host(number: int, *, trouble: str = "") -> Host:
    return Host(moid=f"host-{number}", name=f"esx{number}.example.com", label=f"esx{number}", trouble=trouble)


def status(phase: str, *, spec: TemplateSpec = SPEC, **more: Any) -> protocol.Status:
    return protocol.Status(role="template", nonce=spec.generation, boot="b1", seq=1, time=0.0, phase=phase, **more)


def vm(number: int, *, spec: TemplateSpec = SPEC, marks: dict[str, Any] | None = None, **changes: Any) -> TemplateVm:
    """A sound, frozen template VM of host ``number``, with the given differences."""
    where = host(number)
    sound = Marks(
        template=spec.name,
        generation=spec.generation,
        host=where.moid,
        phase=marks_of.FROZEN,
        bios_uuid=marks_of.bios_uuid(
            vcenter="vc", folder="f", template=spec.name, host=where.moid, generation=spec.generation
        ),
        spec=spec.canonical(),
        key="a2V5",
        agent="0.1.0",
        speaks=(1, 1),
        images=(Image(name="web:1", id="sha256:1"),),
        hosts=tuple(host(one).moid for one in range(1, 7)),
    )
    made = TemplateVm(
        moid=f"vm-{number}",
        name=f"{spec.name}@{where.label}",
        host=where.moid,
        host_name=where.name,
        power="poweredOn",
        frozen=True,
        instance_uuid=f"instance-{number}",
        marks=replace(sound, **(marks or {})),
        published_key="a2V5",
        status=status("ready", spec=spec),
    )
    return replace(made, **changes)


def carry_out(plan: Plan, vms: list[TemplateVm], spec: TemplateSpec) -> list[TemplateVm]:
    """What stands after a plan went well: the promise that apply has to keep."""
    standing = {one.moid: one for one in vms}
    for step in plan.work:
        if step.destroys:
            del standing[step.destroys.moid]
        number = int(step.host.moid.partition("-")[2])
        if step.makes:
            marks = {"sequence": plan.sequence}
            standing[f"vm-new-{number}"] = vm(number, spec=spec, marks=marks, moid=f"vm-new-{number}", name=step.name)
        elif step.action == RETIRE and step.vm:
            marks_then = replace(step.vm.marks, phase=marks_of.RETIRED)
            standing[step.vm.moid] = replace(step.vm, power="poweredOff", frozen=False, marks=marks_then)
        elif step.vm and not step.destroys:
            frozen = vm(number, spec=spec, marks={"sequence": step.vm.marks.sequence})
            standing[step.vm.moid] = replace(frozen, moid=step.vm.moid, name=step.vm.name)
    return list(standing.values())
