# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a fleet says of its named volumes, and what became of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.fcd import FirstClassDisk

DEFAULT_SIZE_MB = 10 * 1024


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is known of a volume before it is looked for.

    ``name`` is the disk's, where it is not to be ``FLEET_VOLUME``; ``size_mb``
    counts when it is made, thin, on ``datastore`` (a name; empty: the
    container's); an ``external`` one has to be there.
    """

    name: str = ""
    size_mb: int = DEFAULT_SIZE_MB
    external: bool = False
    datastore: str = ""


def disk_name(fleet: str, volume: str, wishes: Mapping[str, Wish]) -> str:
    """The name of a volume's disk. An external one is called what it is called."""
    wish = wishes.get(volume, Wish())
    return wish.name or (volume if wish.external else f"{fleet}_{volume}")


@dataclass(frozen=True, kw_only=True)
class Stock:
    """The disks of a run. ``names`` says what a container's volumes are called as disks: by the container's
    name and the volume's. ``missing`` are still to be made: by name, the datastore's moid and MiB. ``held`` are
    all that VMs have which are replaced, wanted further on or not: they may have to be given back."""

    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    disks: Mapping[str, FirstClassDisk] = field(default_factory=dict)
    missing: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    held: tuple[FirstClassDisk, ...] = ()
