# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where template VMs are made, and from what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.ova import Ova
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Folder, Network, Place


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where template VMs are made. ``datacenter`` is an inventory path.

    ``pools`` has each host's root resource pool, by the host's managed object id.
    ``cluster`` and ``hosts`` are what the template is for. With ``pull`` the host gets the OVA by itself.
    """

    folder: Folder
    datastore: Place
    network: Network
    datacenter: str
    pools: Mapping[str, str]
    ova: Ova | None = None
    pull: bool = False
    source_vm: str = ""
    cluster: str = ""
    hosts: tuple[str, ...] = ()
