# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands: template VMs and the hosts that they are for, as plain values.

``vm_from`` is the only way from a VM's raw facts to a template VM, so a VM
without genuine marks never becomes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.template_marks import Marks
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import orders, protocol

ON = "poweredOn"
OFF = "poweredOff"
SUSPENDED = "suspended"


@dataclass(frozen=True, kw_only=True)
class Host:
    """An ESXi host of the target; ``trouble`` says in words why it is out of service, empty when it is in service."""

    moid: str
    name: str
    label: str
    trouble: str = ""


@dataclass(frozen=True, kw_only=True)
class TemplateVm:
    """A VM with genuine template marks.

    ``host`` is where it is now, ``marks.host`` where it belongs; ``host_trouble``
    says why the host that it is on is out of service. ``directory`` reads
    ``[datastore] folder``, ``datastores`` are managed object ids. ``priming`` is
    True while the guest's order is to fetch images, hence while a registry
    login may be in its memory. ``astray`` is True where someone moved it out of
    the template's folder. ``freeze_order`` names the boot that was told to
    freeze. ``status`` is the agent's last word about this generation; None when
    there is none or it cannot be read.
    """

    moid: str
    name: str
    host: str
    host_name: str
    power: str
    frozen: bool
    instance_uuid: str
    marks: Marks
    host_trouble: str = ""
    directory: str = ""
    datastores: tuple[str, ...] = ()
    priming: bool = False
    astray: bool = False
    published_key: str = ""
    freeze_order: str = ""
    status: protocol.Status | None = field(default=None, repr=False)

    @property
    def failed(self) -> bool:
        """Whether the agent gave up; only a boot makes it try again."""
        return self.status is not None and self.status.phase == "failed"

    @property
    def retired(self) -> bool:
        """Whether a newer generation took over, and this one is kept for the disks that depend on it."""
        return self.marks.phase == marks_of.RETIRED

    @property
    def trial(self) -> bool:
        """Whether it is a throw-away clone that an interrupted run left behind."""
        return self.marks.phase == marks_of.TRIAL

    @property
    def told(self) -> bool:
        """Whether the freeze was ordered in this very boot."""
        return self.status is not None and self.status.boot == self.freeze_order


def labels(names: Iterable[str]) -> dict[str, str]:
    """Each host's short name, or its full name where two hosts would share the short one or it is an address."""
    wanted = list(names)
    short = {name: name if _is_address(name) else name.partition(".")[0] for name in wanted}
    taken = list(short.values())
    return {name: short[name] if taken.count(short[name]) == 1 else name for name in wanted}


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()


def vm_from(
    *,
    moid: str,
    name: str,
    host: str,
    host_name: str,
    host_trouble: str = "",
    power: str,
    frozen: bool,
    instance_uuid: str,
    bios_uuid: str,
    directory: str,
    datastores: tuple[str, ...],
    extra_config: Mapping[str, str],
) -> TemplateVm | None:
    """The template VM that a VM is by its marks; None for any other VM."""
    marks = marks_of.decode(extra_config, bios_uuid=bios_uuid)
    if marks is None:
        return None
    return TemplateVm(
        moid=moid,
        name=name,
        host=host,
        host_name=host_name,
        host_trouble=host_trouble,
        power=power,
        frozen=frozen,
        instance_uuid=instance_uuid,
        marks=marks,
        directory=directory,
        datastores=datastores,
        priming=is_priming(extra_config.get(protocol.KEY_PREPARE, "")),
        published_key=extra_config.get(protocol.KEY_KEY, ""),
        freeze_order=extra_config.get(protocol.KEY_FREEZE, ""),
        status=read_status(extra_config.get(protocol.KEY_STATUS, ""), generation=marks.generation),
    )


def is_priming(prepare: str) -> bool:
    """Whether a guest's order is to prime. One that cannot be read counts as such: it leads to a boot, always safe."""
    if not prepare:
        return False
    try:
        return orders.Prepare.decode(prepare).prime
    except protocol.ProtocolError:
        return True


def read_status(text: str, *, generation: str) -> protocol.Status | None:
    """The agent's status if it speaks for a template of this generation; a guest's words are never trusted further."""
    try:
        status = protocol.Status.decode(text) if text else None
    except protocol.ProtocolError:
        return None
    return status if status and status.role == "template" and status.nonce == generation else None
