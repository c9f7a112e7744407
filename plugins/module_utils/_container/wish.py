# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a fleet says of its named volumes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
