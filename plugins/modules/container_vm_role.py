#!/usr/bin/python
# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_vm_role
short_description: Makes a vCenter role that may do just what this collection does
version_added: 0.1.0
author:
  - The bonneville.vsphere developers (@bonneville)
description:
  - Brings a role to exactly the privileges that the chosen tasks need, and gives it to a user or group on a datacenter
    and all below it. So this collection need not run as an administrator.
  - It is itself run by somebody who may manage roles and permissions.
  - A role of the same name with any other privilege is somebody else's, and left as it is.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: Name of the role.
    type: str
    default: Container VMs
  state:
    description:
      - With V(present) the role has the privileges of O(tasks), and O(principal) has the role.
      - With V(absent) there is no such role. One that somebody has is not removed.
    type: str
    choices: [present, absent]
    default: present
  tasks:
    description:
      - What who has the role may do. All of it by default.
      - V(templates) is for M(bonneville.vsphere.photon_template), V(image_archives) for its C(image_archives),
        V(containers) for M(bonneville.vsphere.instant_clone_container), M(bonneville.vsphere.container_vm_absent) and
        M(bonneville.vsphere.container_vm_info), V(fleets) for M(bonneville.vsphere.container_fleet), V(volumes) for
        fleets with volumes, and V(host_maintenance) for M(bonneville.vsphere.host_maintenance).
    type: list
    elements: str
    choices: [templates, image_archives, containers, fleets, volumes, host_maintenance]
    default: [templates, image_archives, containers, fleets, volumes, host_maintenance]
  principal:
    description:
      - User or group that gets the role on the datacenter and all below it, as C(DOMAIN\name). Nobody by default.
      - One that has another role there is left with it, and that is an error. It never loses a role by this module.
    type: str
  group:
    description: Whether O(principal) is a group.
    type: bool
    default: false
  datacenter:
    description: Datacenter, by name or path. May be left out where there is only one.
    type: str
extends_documentation_fragment:
  - bonneville.vsphere.connection
  - bonneville.vsphere.attributes
  - bonneville.vsphere.attributes.action_group
seealso:
  - name: First container in ten minutes
    description: Has all privileges in a table, each with what it is for.
    link: https://github.com/bonneville/vsphere/blob/main/docs/docsite/rst/first_container.rst
"""

EXAMPLES = r"""
- name: Let a user of its own do all that this collection does
  bonneville.vsphere.container_vm_role:
    principal: VSPHERE.LOCAL\ansible

- name: Let a team run fleets on templates that others build
  bonneville.vsphere.container_vm_role:
    name: Fleets of the shop
    tasks: [fleets, volumes]
    principal: EXAMPLE\shop
    group: true

- name: See what a role would change, and give it to nobody
  bonneville.vsphere.container_vm_role:
    name: Container VMs
  check_mode: true
  diff: true
"""

RETURN = r"""
actions:
  description: What was done, or in check mode what would be.
  returned: always
  type: list
  elements: dict
  sample: [{action: create, name: Container VMs, reason: there is none of this name}]
role:
  description: The role as it is now, or in check mode as it would be.
  returned: success
  type: dict
  sample:
    name: Container VMs
    principal: VSPHERE.LOCAL\ansible
    privileges: [Datastore.AllocateSpace, Folder.Create]
error_code:
  description: What kind of failure it was, for example V(permission_missing) or V(in_use).
  returned: failure
  type: str
  sample: in_use
timings:
  description: Seconds that the run took.
  returned: success
  type: dict
  sample: {total: 0.4}
"""

from ansible_collections.bonneville.vsphere.plugins.module_utils._argspec import CONNECTION, ArgSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._privileges import TASKS, needed
from ansible_collections.bonneville.vsphere.plugins.module_utils._run import Context, Result, run
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import find_datacenter
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.roles import (
    WantedRole,
    apply_role,
    plan_role,
    read_role,
)

SPEC = ArgSpec(
    options={
        "name": {"type": "str", "default": "Container VMs"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "tasks": {"type": "list", "elements": "str", "choices": list(TASKS), "default": list(TASKS)},
        "principal": {"type": "str"},
        "group": {"type": "bool", "default": False},
        "datacenter": {"type": "str"},
    },
    required_if=(("group", True, ("principal",)),),
)


def manage(context: Context) -> Result:
    params = context.params
    present = params["state"] == "present"
    wanted = WantedRole(
        name=params["name"],
        privileges=needed(params["tasks"]) if present else frozenset(),
        known=needed(TASKS),
        principal=(params["principal"] or "") if present else "",
        group=params["group"],
    )
    with context.session() as session:
        datacenter = find_datacenter(session, params["datacenter"] or "") if wanted.principal else None
        standing = read_role(session, wanted, datacenter)
        steps = plan_role(wanted, standing)

        def carry_out(steps: tuple) -> None:
            apply_role(session, steps, wanted=wanted, standing=standing, datacenter=datacenter)

        context.apply(steps, carry_out)
    after = {"name": wanted.name, "privileges": sorted(wanted.privileges), "principal": wanted.principal}
    before = {
        **after,
        "privileges": sorted(standing.privileges),
        "principal": wanted.principal if standing.held else "",
    }
    return Result(
        changed=bool(steps),
        actions=[{"action": step.action, "name": wanted.name, "reason": step.reason} for step in steps],
        before=before if standing.id is not None else {},
        after=after if present else {},
        values={"role": after},
    )


def main() -> None:
    run(CONNECTION.merge(SPEC), manage)


if __name__ == "__main__":
    main()
