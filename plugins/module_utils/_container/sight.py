# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands below a folder, read at once: for modules that make nothing."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.read import DEFAULT_FOLDER, container_vms
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import VmFacts, read_scope
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import (
    clean_path,
    find_datacenter,
    find_folder,
    find_folder_or_none,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Datacenter
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session


@dataclass(frozen=True, kw_only=True)
class Sight:
    """The container VMs below a folder, and in ``others`` all VMs there that are none of ours."""

    datacenter: Datacenter
    vms: tuple[ContainerVm, ...] = ()
    others: tuple[VmFacts, ...] = ()


def look(session: Session, *, datacenter: str, folder: str) -> Sight:
    """Read a folder with the folders in it: three calls. The default folder may be missing, then nothing is there.

    Args:
        datacenter: name or path; empty for the only one.
        folder: path below the datacenter's VM folder; empty for all of it.

    Raises: NotFound with close matches, Ambiguous, InvalidOption.
    """
    center = find_datacenter(session, datacenter)
    path = clean_path(folder)
    find = find_folder_or_none if path == DEFAULT_FOLDER else find_folder
    place = find(session, datacenter=center, path=path)
    if place is None:
        return Sight(datacenter=center)
    found = container_vms(read_scope(session, folders=[place]))
    return Sight(datacenter=center, vms=found.ours, others=found.others)
