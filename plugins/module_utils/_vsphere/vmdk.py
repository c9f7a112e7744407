# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A virtual disk made of two files: a descriptor, and a flat file with the raw content beside it. Pure."""

from __future__ import annotations

import uuid

_SECTOR = 512
# What vSphere's own tools round to, and how a disk's geometry is told where nobody asks for it.
_UNIT = 1 << 20
_HEADS, _SECTORS = 255, 63
_NAA = "6000c29"  # every disk's uuid begins with it: VMware's registered identifier, as a SCSI disk tells it


def disk_size(content: int) -> int:
    """The size in bytes of a disk that holds ``content`` bytes."""
    return max(1, -(-content // _UNIT)) * _UNIT


def new_uuid() -> str:
    """A disk's uuid as vSphere writes it."""
    return str(uuid.UUID(_NAA + uuid.uuid4().hex[len(_NAA) :]))


def flat_name(descriptor: str) -> str:
    """The path of the file with the content, by the descriptor's."""
    return descriptor.removesuffix(".vmdk") + "-flat.vmdk"


def descriptor(path: str, *, size: int, disk_uuid: str) -> bytes:
    """The descriptor of the disk at ``path``, of ``size`` bytes."""
    flat = flat_name(path).rpartition("/")[2]
    cylinders = max(1, size // (_HEADS * _SECTORS * _SECTOR))
    digits = uuid.UUID(disk_uuid).hex
    pairs = [digits[at : at + 2] for at in range(0, 32, 2)]
    lines = [
        "# Disk DescriptorFile",
        "version=1",
        'encoding="UTF-8"',
        "CID=fffffffe",
        "parentCID=ffffffff",
        'createType="vmfs"',
        "",
        "# Extent description",
        f'RW {size // _SECTOR} VMFS "{flat}"',
        "",
        "# The Disk Data Base",
        "#DDB",
        "",
        'ddb.adapterType = "lsilogic"',
        f'ddb.geometry.cylinders = "{cylinders}"',
        f'ddb.geometry.heads = "{_HEADS}"',
        f'ddb.geometry.sectors = "{_SECTORS}"',
        f'ddb.uuid = "{" ".join(pairs[:8])}-{" ".join(pairs[8:])}"',
        'ddb.virtualHWVersion = "13"',
        "",
    ]
    return "\n".join(lines).encode()
