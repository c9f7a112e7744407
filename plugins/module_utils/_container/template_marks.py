# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands on a template VM to say whose it is, and how far its build came.

Marks are extraConfig keys which a guest cannot write (never ``guestinfo.*``).
A VM is ours only if the biosUuid in its marks is its own: an admin's clone of a
template VM carries copied marks and another biosUuid, and is foreign.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import (
    KEY_AGENT,
    KEY_APPLIED,
    KEY_BIOS_UUID,
    KEY_CLUSTER,
    KEY_GENERATION,
    KEY_HOST,
    KEY_HOSTS,
    KEY_IMAGES,
    KEY_KIND,
    KEY_PHASE,
    KEY_SCHEMA,
    KEY_SEALING_KEY,
    KEY_SEQUENCE,
    KEY_SPEAKS,
    KEY_TEMPLATE,
    SCHEMA,
    TEMPLATE_KIND,
    are_its_own,
)

# How far a build came. ``primed``: the images are in its disk. ``frozen``: all marks are
# recorded and the guest was told to freeze; whether it did is the VM's own property.
IMPORTING = "importing"
PRIMED = "primed"
FROZEN = "frozen"
# A newer generation took over; the VM is off, and stays while other disks depend on its own.
RETIRED = "retired"
# No template VM but a throw-away clone of one, by which a new generation is tried out.
TRIAL = "trial"

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/bonneville/vsphere#template")


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image that a template holds; ``digest`` is the registry's, empty when it was loaded from an archive."""

    name: str
    id: str
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Marks:
    """The marks of one template VM.

    ``host`` is the managed object id of the ESXi host that the VM was made for,
    ``key`` base64 of the sealing key's SubjectPublicKeyInfo, empty before ``frozen``.
    ``sequence`` counts the template's generations: of two VMs of a host the higher
    one is newer. ``cluster`` and ``hosts`` are the managed object ids that the
    template was for when this VM was made.
    """

    template: str
    generation: str
    host: str
    phase: str
    bios_uuid: str
    spec: str = ""
    key: str = ""
    agent: str = ""
    speaks: tuple[int, int] = (0, 0)
    images: tuple[Image, ...] = ()
    sequence: int = 1
    cluster: str = ""
    hosts: tuple[str, ...] = ()

    def encode(self) -> dict[str, str]:
        """As extraConfig; a key that does not apply yet is written empty, which removes it."""
        images = [{"name": image.name, "id": image.id, "digest": image.digest} for image in self.images]
        return {
            KEY_SCHEMA: SCHEMA,
            KEY_KIND: TEMPLATE_KIND,
            KEY_TEMPLATE: self.template,
            KEY_GENERATION: self.generation,
            KEY_HOST: self.host,
            KEY_PHASE: self.phase,
            KEY_BIOS_UUID: self.bios_uuid,
            KEY_APPLIED: self.spec,
            KEY_SEALING_KEY: self.key,
            KEY_AGENT: self.agent,
            KEY_SPEAKS: f"{self.speaks[0]}-{self.speaks[1]}" if any(self.speaks) else "",
            KEY_IMAGES: json.dumps(images, separators=(",", ":")) if images else "",
            KEY_SEQUENCE: str(self.sequence),
            KEY_CLUSTER: self.cluster,
            KEY_HOSTS: " ".join(self.hosts),
        }


def decode(extra_config: Mapping[str, str], *, bios_uuid: str) -> Marks | None:
    """A VM's template marks; None where they are absent, of another schema, or copied from another VM."""
    if extra_config.get(KEY_SCHEMA) != SCHEMA or extra_config.get(KEY_KIND) != TEMPLATE_KIND:
        return None
    if not are_its_own(extra_config, bios_uuid=bios_uuid):
        return None
    return Marks(
        template=extra_config.get(KEY_TEMPLATE, ""),
        generation=extra_config.get(KEY_GENERATION, ""),
        host=extra_config.get(KEY_HOST, ""),
        phase=extra_config.get(KEY_PHASE, ""),
        bios_uuid=extra_config[KEY_BIOS_UUID],
        spec=extra_config.get(KEY_APPLIED, ""),
        key=extra_config.get(KEY_SEALING_KEY, ""),
        agent=extra_config.get(KEY_AGENT, ""),
        speaks=_range(extra_config.get(KEY_SPEAKS, "")),
        images=tuple(_images(extra_config.get(KEY_IMAGES, ""))),
        sequence=sequence_of(extra_config),
        cluster=extra_config.get(KEY_CLUSTER, ""),
        hosts=tuple(extra_config.get(KEY_HOSTS, "").split()),
    )


def sequence_of(extra_config: Mapping[str, str]) -> int:
    """Which generation in a row a template VM is; 0 where it does not say."""
    text = extra_config.get(KEY_SEQUENCE, "")
    return int(text) if text.isdigit() else 0


def bios_uuid(*, vcenter: str, folder: str, template: str, host: str, generation: str, sequence: int = 1) -> str:
    """The biosUuid chosen for a template VM, so that it can be found wherever it was moved.

    Its folder's path is in it, which tells two templates of one name apart.
    """
    path = folder.strip("/")
    return str(uuid.uuid5(_NAMESPACE, f"{vcenter}/template/folder:{path}/{template}/{host}/{generation}/{sequence}"))


def spec_document(marks: Marks) -> dict[str, Any]:
    """The spec that a VM was built by, empty where it cannot be read."""
    try:
        document = json.loads(marks.spec or "{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _range(text: str) -> tuple[int, int]:
    low, _unused, high = text.partition("-")
    return (int(low), int(high)) if low.isdigit() and high.isdigit() else (0, 0)


def _images(text: str) -> Iterable[Image]:
    try:
        items = json.loads(text or "[]")
    except ValueError:
        return
    for item in items if isinstance(items, list) else []:
        if isinstance(item, dict) and isinstance(item.get("name"), str):
            yield Image(name=item["name"], id=str(item.get("id", "")), digest=str(item.get("digest", "")))
