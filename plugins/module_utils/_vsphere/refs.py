# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of vCenter objects that were looked up once: plain values, no connection.

A ``moid`` is vCenter's managed object id, such as ``vm-42``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Place:
    """Any object by its type, as ``Datastore`` or ``ResourcePool``, its id and its name."""

    kind: str
    moid: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Datacenter:
    """A datacenter; ``path`` is its inventory path without a leading slash."""

    moid: str
    name: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A VM folder; ``path`` is relative to the datacenter's VM folder, which is itself the empty path."""

    moid: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Compute:
    """A cluster or a host that stands alone (``kind``: vSphere's type): its root pool and its hosts, as moids."""

    kind: str
    moid: str
    name: str
    pool: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network and what a NIC needs to be put on it.

    ``kind`` is ``standard``, ``distributed`` (with ``portgroup_key`` and
    ``switch_uuid``) or ``opaque`` (NSX; with ``opaque_id`` and ``opaque_type``).
    """

    moid: str
    name: str
    kind: str
    portgroup_key: str = ""
    switch_uuid: str = ""
    opaque_id: str = ""
    opaque_type: str = ""

    @property
    def place(self) -> Place:
        """The managed object, by vSphere's name of its type."""
        kinds = {"standard": "Network", "distributed": "DistributedVirtualPortgroup", "opaque": "OpaqueNetwork"}
        return Place(kind=kinds[self.kind], moid=self.moid, name=self.name)
