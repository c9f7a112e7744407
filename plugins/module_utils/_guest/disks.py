# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which disk is which volume, as a guest is told once its disks are attached: the document in KEY_VOLUMES.

The sealed spec names the volumes; a disk's uuid is known only when a VM has it.
Read by controller and agent alike: nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from .protocol import PREFIX
from .wire import SCHEMA, Reader, document, to_json

KEY_VOLUMES = PREFIX + "volumes"


@dataclass(frozen=True, kw_only=True)
class Disks:
    """The disks' uuids by the volumes' names; no secret in it, it travels in clear."""

    volumes: Mapping[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    def encode(self) -> str:
        """The value of KEY_VOLUMES."""
        return to_json(asdict(self)).decode()

    @staticmethod
    def decode(text: str | bytes) -> Disks:
        """Read the disks; raises ProtocolError."""
        return document(text, "volumes", Disks)

    @classmethod
    def read(cls, r: Reader) -> Disks:
        return cls(volumes=r.each_text("volumes", pattern="[0-9A-Fa-f-]{32,36}"), schema=r.integer("schema"))
