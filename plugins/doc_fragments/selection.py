# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Which container VMs a module is about, and where it looks for them."""

    DOCUMENTATION = r"""
options:
  name:
    description:
      - Containers by their names, which are also their VMs' names. With replicas they are V(NAME-0), V(NAME-1) and so
        on.
      - A VM that is only on its way to replace a container is that container, although it has another name.
      - With several of O(name), O(service), O(fleet) and O(labels), a container has to fit each of them. An option that
        is given as an empty list fits nothing.
    type: list
    elements: str
  service:
    description:
      - Services, as the O(bonneville.vsphere.instant_clone_container#module:name) that made them.
      - A service of a fleet is written V(FLEET/SERVICE), or by its own name if O(fleet) is given, too.
    type: list
    elements: str
  fleet:
    description: Fleets by their names.
    type: list
    elements: str
  labels:
    description:
      - The container's labels, each as V(key) or V(key=value). All of them have to fit.
    type: list
    elements: str
  folder:
    description:
      - VM folder in which to look, with all folders in it, by its path below the datacenter's VM folder.
      - Where the default one does not exist, there are no containers. Any other has to exist.
    type: str
    default: bonneville-containers
  datacenter:
    description: Datacenter, by name or path. Needed only where there are several.
    type: str
"""
