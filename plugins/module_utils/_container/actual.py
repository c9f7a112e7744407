# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands: container VMs as plain values. Pure.

``vm_from`` is the only way from a VM's raw facts to a container VM, so a VM
without genuine marks never becomes one, and nothing can be planned for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import Identity, Marks
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.peers import KEY_PEERS

ON = "poweredOn"
OFF = "poweredOff"
SUSPENDED = "suspended"

# Phases that are neither the agent's nor a word of vSphere's: what is known without a status.
SILENT = "silent"
STOPPED = "stopped"
BOOTING = "booting"
PHASES = (*protocol.CONTAINER_PHASES, BOOTING, SILENT, SUSPENDED)
# On the way to a container; each has to end in another one.
UNDER_WAY = frozenset({BOOTING, "thawed", "network", "pulling", "volumes", "creating", "starting"})


@dataclass(frozen=True, kw_only=True)
class ContainerVm:
    """A VM with genuine container marks.

    ``status`` is the agent's last word for this very clone, None when there is
    none. ``sealed`` tells that the sealed spec still stands in its configuration,
    ``booting`` that its guest came up a moment ago and has not spoken since.
    ``peers`` is its list of its fleet's members as it stands in its configuration.
    """

    moid: str
    name: str
    folder: str
    power: str
    marks: Marks
    status: protocol.Status | None = field(default=None, repr=False)
    sealed: bool = False
    booting: bool = False
    host: str = ""
    ip: str = ""
    instance_uuid: str = ""
    boot_time: str = ""
    annotation: str = field(default="", repr=False)
    peers: str = field(default="", repr=False)

    @property
    def phase(self) -> str:
        """Where its container is: the agent's phase, or what the VM's power state says without one."""
        if self.power == OFF:
            return STOPPED
        if self.power != ON:
            return SUSPENDED
        if self.booting:
            return BOOTING
        return self.status.phase if self.status else SILENT

    @property
    def log_path(self) -> str:
        """Where its output stands, as ``[datastore] directory/file``."""
        return self.marks.log

    @property
    def container(self) -> protocol.ContainerStatus | None:
        return self.status.container if self.status else None

    @property
    def title(self) -> str:
        """Its service, as the user knows it."""
        return f"{self.marks.fleet}/{self.marks.service}" if self.marks.fleet else self.marks.service

    def is_of(self, identity: Identity, *, vcenter: str) -> bool:
        """Whether it was made for this container; its name and its folder may have been changed since."""
        if (self.marks.fleet, self.marks.service, self.marks.ordinal) != (
            identity.fleet,
            identity.service,
            identity.ordinal,
        ):
            return False
        wanted = identity.bios_uuid(vcenter=vcenter, slot=self.marks.slot)
        return self.marks.bios_uuid.lower() == wanted


def vm_from(
    *,
    moid: str,
    name: str,
    folder: str,
    power: str,
    bios_uuid: str,
    extra_config: Mapping[str, str],
    host: str = "",
    ip: str = "",
    instance_uuid: str = "",
    boot_time: str = "",
    annotation: str = "",
) -> ContainerVm | None:
    """The container VM that a VM is by its marks; None for any other VM."""
    marks = marks_of.decode(extra_config, bios_uuid=bios_uuid)
    if marks is None:
        return None
    return ContainerVm(
        moid=moid,
        name=name,
        folder=folder,
        power=power,
        marks=marks,
        status=read_status(extra_config.get(protocol.KEY_STATUS, ""), nonce=marks.nonce),
        sealed=bool(extra_config.get(protocol.KEY_SPEC)),
        host=host,
        ip=ip,
        instance_uuid=instance_uuid,
        boot_time=boot_time,
        annotation=annotation,
        peers=extra_config.get(KEY_PEERS, ""),
    )


def read_status(text: str, *, nonce: str) -> protocol.Status | None:
    """A guest's status if it speaks for the clone of this nonce; a guest's words are never trusted further.

    One with another nonce is stale, or was inherited from the template.
    """
    try:
        status = protocol.Status.decode(text) if text else None
    except protocol.ProtocolError:
        return None
    return status if status and nonce and status.role == "container" and status.nonce == nonce else None
