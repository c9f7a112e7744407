"""Values that the tests of the pure container parts share, and a model of vSphere that a plan can be carried out on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import secrets, steps
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import OFF, ON, ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.compare import Applied, read_comparisons
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import Identity, Marks
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.plan import plan
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.spec import ContainerSpec, read_spec
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol

VCENTER = "11111111-2222-3333-4444-555555555555"
NONCE = "a" * 32
SALT = "00" * secrets.SALT_BYTES
FILES = {"/etc/app.conf": b"key = value\n", "app.env": b"# comment\nA=file\nB=two words\n"}


def read_file(path: str) -> bytes:
    return FILES[path]


def spec(**options: Any) -> ContainerSpec:
    return read_spec({"image": "web:1", "template": "photon", **options}, read_file=read_file)


def service(name: str = "web", *, comparisons: Mapping[str, str] | None = None, **fields: Any) -> steps.Service:
    options = fields.pop("options", {})
    return steps.Service(
        **{
            "name": name,
            "folder": "bonneville",
            "spec": spec(**options),
            "rules": read_comparisons(comparisons),
            **fields,
        }
    )


def applied(of: ContainerSpec, *, scope: str = "folder:bonneville/web", key: str = "", image_id: str = "") -> Applied:
    return Applied(
        options=of.options, digests=secrets.digest(of.secrets, scope=scope, key=key, salt=SALT), image_id=image_id
    )


def status(phase: str = "running", **fields: Any) -> protocol.Status:
    container = protocol.ContainerStatus(
        id="c" * 64,
        image="web:1",
        image_id="sha256:1",
        state="running" if phase == "running" else "exited" if phase == "exited" else "created",
        exit_code=fields.pop("exit_code", None),
        health=fields.pop("health", "none"),
    )
    return protocol.Status(
        **{
            "role": "container",
            "nonce": NONCE,
            "boot": "b",
            "seq": 1,
            "time": 1.0,
            "phase": phase,
            "container": container if phase in ("running", "exited", "created", "stopped") else None,
            **fields,
        }
    )


def vm(
    identity: Identity,
    of: steps.Service,
    *,
    moid: str = "",
    slot: str = "1",
    name: str = "",
    phase: str = "running",
    **fields: Any,
) -> ContainerVm:
    """A genuine VM of a container. ``phase`` may also be ``stopped`` (off) or ``silent``."""
    assert of.spec is not None
    marks = Marks(
        bios_uuid=identity.bios_uuid(vcenter=VCENTER, slot=slot),
        fleet=identity.fleet,
        service=identity.service,
        ordinal=identity.ordinal,
        slot=slot,
        owner=of.owner,
        template=of.spec.template,
        nonce=NONCE,
        applied=fields.pop("applied", applied(of.spec, scope=identity.scope, key=of.digest_key)),
    )
    on = phase != "stopped"
    said = fields.pop("status_fields", {})
    return ContainerVm(
        **{
            "moid": moid or f"vm-{identity.name}-{slot}",
            "name": name or identity.name,
            "folder": identity.folder,
            "power": ON if on else OFF,
            "marks": marks,
            "status": status(phase, **said) if on and phase != "silent" else None,
            **fields,
        }
    )


def make_plan(services: Iterable[steps.Service], vms: Iterable[ContainerVm], **fields: Any) -> steps.Plan:
    return plan(**{"services": services, "vms": vms, "taken": {}, "held_images": {}, "vcenter": VCENTER, **fields})


def carry_out(todo: steps.Plan, vms: Iterable[ContainerVm]) -> list[ContainerVm]:
    """What stands once every action of a plan has had its effect."""
    standing = {one.moid: one for one in vms}
    for action in todo.work:
        old = action.vm
        if old is not None:
            assert old.moid in standing, "an action is about a VM that is gone"
        if action.kind in (steps.CREATE, steps.RECREATE):
            if old is not None:
                del standing[old.moid]
            phase = {steps.PRESENT: "created", steps.STOPPED: "stopped"}.get(action.service.state, "running")
            fields = {"health": "healthy"} if action.service.state == steps.HEALTHY else {}
            # A VM's id never comes twice.
            moid = f"vm-{action.identity.name}-{action.slot}-{len(standing)}-{old.moid if old else ''}"
            made = vm(
                action.identity, action.service, moid=moid, slot=action.slot, phase=phase,
                status_fields=fields if phase == "running" else {},
            )  # fmt: skip
            assert all((one.folder, one.name) != (made.folder, made.name) for one in standing.values())
            standing[made.moid] = made
        elif action.kind == steps.REMOVE and old is not None:
            del standing[old.moid]
        elif old is not None:
            now = standing[old.moid]
            standing[old.moid] = {
                steps.START: replace(now, power=ON, status=status(health="healthy")),
                steps.STOP: replace(now, power=OFF, status=None),
                steps.RENAME: replace(now, name=action.identity.name),
                steps.MOVE: replace(now, folder=action.identity.folder),
                steps.ADOPT: replace(now, sealed=False),
            }[action.kind]
    return list(standing.values())
