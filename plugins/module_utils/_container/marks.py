# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands on a container VM to say whose it is and what it was made from. Pure.

Marks are extraConfig keys that a guest cannot write (never ``guestinfo.*``).
A VM is ours only if the biosUuid in its marks is its own: an admin's clone of a
container VM carries copied marks and another biosUuid, and is foreign.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import secrets
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.compare import Applied
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.options import OPTIONS
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.disks import KEY_VOLUMES
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.peers import KEY_PEERS
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import (
    KEY_FREEZE,
    KEY_KEY,
    KEY_LOGIN,
    KEY_PREPARE,
    KEY_START,
    KEY_STATUS,
)

SCHEMA = "1"
KIND = "container"
TEMPLATE_KIND = "template"

PREFIX = "bonneville."
KEY_SCHEMA = PREFIX + "schema"
KEY_KIND = PREFIX + "kind"
KEY_OWNER = PREFIX + "owner"
KEY_BIOS_UUID = PREFIX + "bios_uuid"
KEY_FLEET = PREFIX + "fleet"
KEY_SERVICE = PREFIX + "service"
KEY_ORDINAL = PREFIX + "ordinal"
KEY_SLOT = PREFIX + "slot"
KEY_TEMPLATE = PREFIX + "template"
KEY_TEMPLATE_VM = PREFIX + "template_vm"
KEY_TEMPLATE_UUID = PREFIX + "template_uuid"
KEY_NONCE = PREFIX + "nonce"
KEY_APPLIED = PREFIX + "spec"
KEY_LOG = PREFIX + "log"

# What only a template VM is marked with (template_marks). A clone may inherit its source's extraConfig, marks
# included: these are emptied in it.
KEY_GENERATION = PREFIX + "generation"
KEY_HOST = PREFIX + "host"
KEY_PHASE = PREFIX + "phase"
KEY_SEALING_KEY = PREFIX + "key"
KEY_AGENT = PREFIX + "agent"
KEY_SPEAKS = PREFIX + "speaks"
KEY_IMAGES = PREFIX + "images"
KEY_SEQUENCE = PREFIX + "sequence"
KEY_CLUSTER = PREFIX + "cluster"
KEY_HOSTS = PREFIX + "hosts"
_TEMPLATE_ONLY = (
    KEY_GENERATION, KEY_HOST, KEY_PHASE, KEY_SEALING_KEY, KEY_AGENT, KEY_SPEAKS, KEY_IMAGES, KEY_SEQUENCE, KEY_CLUSTER,
    KEY_HOSTS,
)  # fmt: skip
_INHERITED = (KEY_PREPARE, KEY_LOGIN, KEY_FREEZE, KEY_KEY, KEY_STATUS, KEY_START, KEY_PEERS, KEY_VOLUMES)

SLOTS = ("1", "2")
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/bonneville/vsphere#container")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Which container of which service: stable through every replacement.

    ``fleet`` is empty outside of a fleet, and then the folder's path tells two
    services of one name apart. ``ordinal`` is empty without replicas.
    """

    fleet: str
    folder: str
    service: str
    ordinal: str

    @property
    def scope(self) -> str:
        """The service's part of it."""
        return f"{self.fleet or 'folder:' + self.folder.strip('/')}/{self.service}"

    @property
    def name(self) -> str:
        """The VM's name, and the container's."""
        base = f"{self.fleet}-{self.service}" if self.fleet else self.service
        return f"{base}-{self.ordinal}" if self.ordinal else base

    def replacement(self, slot: str) -> str:
        """The VM's name until a replacement takes over. The slots' names differ, so that a replacement's
        directory is never that of the VM which it replaces."""
        return f"{self.name}~{slot}"

    def bios_uuid(self, *, vcenter: str, slot: str) -> str:
        """The biosUuid of this container's VM, known before it exists, so that it is found wherever it was moved."""
        return str(uuid.uuid5(_NAMESPACE, f"{vcenter}/{self.scope}/{self.ordinal}/{slot}"))

    def mac(self, *, vcenter: str) -> str:
        """The MAC address that ``mac_address: deterministic`` means, in VMware's range for manual ones."""
        raw = hashlib.sha256(f"{vcenter}/{self.scope}/{self.ordinal}/mac".encode()).digest()
        return f"00:50:56:{raw[0] & 0x3F:02x}:{raw[1]:02x}:{raw[2]:02x}"


@dataclass(frozen=True, kw_only=True)
class Marks:
    """The marks of one container VM. ``applied`` is what it was made from, ``log`` its log's datastore path."""

    bios_uuid: str
    fleet: str
    service: str
    ordinal: str
    slot: str
    owner: str = ""
    template: str = ""
    template_vm: str = ""
    template_uuid: str = ""
    nonce: str = field(default="", repr=False)
    log: str = ""
    applied: Applied = field(default_factory=Applied)

    def encode(self) -> dict[str, str]:
        """As extraConfig of the clone; an empty value removes what would be inherited."""
        own = {
            KEY_SCHEMA: SCHEMA,
            KEY_KIND: KIND,
            KEY_OWNER: self.owner,
            KEY_BIOS_UUID: self.bios_uuid,
            KEY_FLEET: self.fleet,
            KEY_SERVICE: self.service,
            KEY_ORDINAL: self.ordinal,
            KEY_SLOT: self.slot,
            KEY_TEMPLATE: self.template,
            KEY_TEMPLATE_VM: self.template_vm,
            KEY_TEMPLATE_UUID: self.template_uuid,
            KEY_NONCE: self.nonce,
            KEY_LOG: self.log,
            KEY_APPLIED: encode_applied(self.applied),
        }
        return own | dict.fromkeys((*_TEMPLATE_ONLY, *_INHERITED), "")


def claims(extra_config: Mapping[str, str]) -> bool:
    """Whether a VM bears container marks at all, genuine or copied."""
    return extra_config.get(KEY_KIND) == KIND


def are_its_own(extra_config: Mapping[str, str], *, bios_uuid: str) -> bool:
    """Whether a VM's marks, a container's or a template's, were made for it: a copy has the BIOS UUID of another VM."""
    recorded = extra_config.get(KEY_BIOS_UUID, "")
    return bool(recorded) and recorded.lower() == bios_uuid.lower()


def decode(extra_config: Mapping[str, str], *, bios_uuid: str) -> Marks | None:
    """A VM's container marks; None where they are absent, of another schema, or copied from another VM."""
    if extra_config.get(KEY_SCHEMA) != SCHEMA or not claims(extra_config):
        return None
    if not are_its_own(extra_config, bios_uuid=bios_uuid):
        return None
    return Marks(
        bios_uuid=extra_config[KEY_BIOS_UUID],
        fleet=extra_config.get(KEY_FLEET, ""),
        service=extra_config.get(KEY_SERVICE, ""),
        ordinal=extra_config.get(KEY_ORDINAL, ""),
        slot=extra_config.get(KEY_SLOT, ""),
        owner=extra_config.get(KEY_OWNER, ""),
        template=extra_config.get(KEY_TEMPLATE, ""),
        template_vm=extra_config.get(KEY_TEMPLATE_VM, ""),
        template_uuid=extra_config.get(KEY_TEMPLATE_UUID, ""),
        nonce=extra_config.get(KEY_NONCE, ""),
        log=extra_config.get(KEY_LOG, ""),
        applied=decode_applied(extra_config.get(KEY_APPLIED, "")),
    )


def encode_applied(applied: Applied) -> str:
    """What a container was made from, as compact JSON without a secret in it."""
    document = {
        "options": dict(applied.options),
        "secrets": applied.digests.document(),
        "image_id": applied.image_id,
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def decode_applied(text: str) -> Applied:
    """Read what ``encode_applied`` wrote. What cannot be read compares as different from everything."""
    try:
        document: Any = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("options"), dict):
        return Applied(readable=False)
    return Applied(
        options={name: value for name, value in document["options"].items() if name in OPTIONS},
        digests=secrets.from_document(document.get("secrets")),
        image_id=str(document.get("image_id", "")),
    )
