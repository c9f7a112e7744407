# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module says of a container and its VM: ``docker inspect`` and the VM's side in one dict. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import Identity
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import ContainerStatus


def describe(vm: ContainerVm, *, now: datetime | None = None, logs: Sequence[str] | None = None) -> dict[str, Any]:
    """A container VM for a module's result; what is not known is None. No secret is in it.

    Args:
        now: when it was read, for the VM's uptime; the present by default.
        logs: the last lines of its log, where they were asked for.
    """
    marks, status = vm.marks, vm.status
    options = dict(marks.applied.options)
    found: dict[str, Any] = {
        "name": container_name(vm),
        "service": marks.service,
        "fleet": marks.fleet or None,
        "ordinal": int(marks.ordinal) if marks.ordinal.isdecimal() else None,
        "owner": marks.owner or None,
        "template": marks.template or None,
        "phase": vm.phase,
        "reason": asdict(status.reason) if status and status.reason else None,
        "container": _container(vm),
        "options": options,
        "labels": dict(options.get("labels", {})),
        "ports": list(options.get("published_ports", ())),
        "vm": _vm(vm, now or datetime.now(UTC)),
        "network": asdict(status.network) if status and status.network else None,
    }
    return found if logs is None else {**found, "logs": list(logs)}


def container_name(vm: ContainerVm) -> str:
    """The container's name: also that of its VM, unless it is a replacement under way or someone renamed it."""
    marks = vm.marks
    return Identity(fleet=marks.fleet, folder=vm.folder, service=marks.service, ordinal=marks.ordinal).name


def _container(vm: ContainerVm) -> dict[str, Any]:
    """As the Engine sees it; without a word of the agent only what it was made from."""
    if vm.container:
        return asdict(vm.container)
    applied = vm.marks.applied
    unknown: dict[str, Any] = dict.fromkeys(field.name for field in fields(ContainerStatus))
    return {**unknown, "image": applied.options.get("image"), "image_id": applied.image_id or None}


def _vm(vm: ContainerVm, now: datetime) -> dict[str, Any]:
    network = vm.status.network if vm.status else None
    return {
        "moid": vm.moid,
        "name": vm.name,
        "folder": vm.folder,
        "host": vm.host or None,
        "ip": vm.ip or (network.ip if network else "") or None,
        "mac": (network.mac if network else "") or None,
        "power": vm.power,
        "boot_time": vm.boot_time or None,
        "uptime": _seconds_since(vm.boot_time, now),
        "instance_uuid": vm.instance_uuid or None,
        "template_vm": vm.marks.template_vm or None,
        "log_path": vm.log_path or None,
        "annotation": vm.annotation,
    }


def _seconds_since(then: str, now: datetime) -> int | None:
    """Whole seconds, never less than none: this clock and vCenter's need not agree."""
    return max(0, int((now - datetime.fromisoformat(then)).total_seconds())) if then else None
