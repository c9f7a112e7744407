#!/usr/bin/python
# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: photon_template_info
short_description: Tells which template VMs there are, what they hold, and what is amiss with them
version_added: 0.1.0
author:
  - The bonneville.vsphere developers (@bonneville)
description:
  - Returns for each template of M(bonneville.vsphere.photon_template) its VM on each host, from vCenter alone.
options:
  name:
    description: Only the template of this name. All templates of the folder by default.
    type: str
  cluster:
    description: Cluster whose hosts should have template VMs. Each one without is told in a warning.
    type: str
  hosts:
    description: ESXi hosts that should have template VMs, by their names in vCenter, short or full.
    type: list
    elements: str
  datacenter:
    description: Datacenter, by name or path. May be left out where there is only one.
    type: str
  folder:
    description: Folder of the template VMs, below the datacenter's VM folder.
    type: str
    default: bonneville-templates
extends_documentation_fragment:
  - bonneville.vsphere.connection
  - bonneville.vsphere.attributes.info
  - bonneville.vsphere.attributes.action_group
seealso:
  - module: bonneville.vsphere.photon_template
"""

EXAMPLES = r"""
- name: Look at all templates, and find the hosts that have none
  bonneville.vsphere.photon_template_info:
    cluster: Cluster1
  register: found

- name: Say what is amiss
  ansible.builtin.debug:
    msg: "{{ found.templates | map(attribute='warnings') | flatten }}"
"""

RETURN = r"""
templates:
  description: The templates, sorted by name.
  type: list
  elements: dict
  returned: success
  contains:
    name: {description: The template's name., type: str, sample: photon}
    hosts:
      description:
        - Its VMs, sorted by host. C(clones) are the VMs whose disks depend on it, ours or not. C(chain_depth) is how
          many disk files lie one upon another. Memory is in MiB; C(memory_shared_mb) is null where vCenter does not
          tell.
      type: list
      elements: dict
      sample:
        - host: esx1.example.com
          vm: photon@esx1
          moid: vm-1042
          generation: 3f2a90c1d77e
          state: frozen
          frozen: true
          agent: 0.1.0
          images: [{name: "registry.example.com/web:1.4", id: "sha256:9b2e", digest: "sha256:1a2b"}]
          clones: [web-0, web-1]
          chain_depth: 1
          memory_mb: 2048
          memory_reserved_mb: 0
          memory_shared_mb: 812
    warnings:
      description: What is amiss.
      type: list
      elements: str
      sample: ["photon@esx2 is powered off: nothing can be cloned from it"]
error_code:
  description: What kind of failure it was, for example V(not_found) or V(login_refused).
  returned: failure
  type: str
  sample: not_found
timings:
  description: Seconds that the run took.
  returned: success
  type: dict
  sample: {total: 0.3}
"""

from ansible_collections.bonneville.vsphere.plugins.module_utils._argspec import CONNECTION, ArgSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._run import Context, Result, run
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.desired import DEFAULT_FOLDER, Request
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.info import look

SPEC = ArgSpec(
    options={
        **{name: {"type": "str"} for name in ("name", "cluster", "datacenter")},
        "hosts": {"type": "list", "elements": "str"},
        "folder": {"type": "str", "default": DEFAULT_FOLDER},
    },
    mutually_exclusive=(("cluster", "hosts"),),
)


def tell(context: Context) -> Result:
    params = context.params
    request = Request(
        name=params["name"] or "",
        state="",
        folder=params["folder"],
        datacenter=params["datacenter"] or "",
        cluster=params["cluster"] or "",
        hosts=tuple(params["hosts"] or ()),
    )
    with context.session() as session:
        return Result(changed=False, values={"templates": look(session, request)})


def main() -> None:
    run(CONNECTION.merge(SPEC), tell)


if __name__ == "__main__":
    main()
