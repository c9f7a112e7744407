#!/usr/bin/python
# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_vm_absent
short_description: Remove containers and the VMs that host them
version_added: 0.1.0
author:
  - The bonneville.vsphere developers (@bonneville)
description:
  - Stops containers as C(docker stop) does, by their VMs' shutdown, and deletes the VMs with their disks and logs.
  - A guest that does not shut down in time, or that cannot be asked, loses its power.
  - All of them go side by side, in one login and one wait, whatever their number.
  - Also removes what an interrupted run has left behind, such as a clone whose container never came up, or a
    replacement that never took over.
  - Only VMs with this collection's genuine marks are removed. A VM of another kind whose name is asked for is an error
    that names it, and then nothing is removed at all. So is a VM of another owner.
  - Disks that are not the VM's own, such as First Class Disks, are detached before the VM is deleted. Where that fails,
    the VM stays.
extends_documentation_fragment:
  - bonneville.vsphere.selection
  - bonneville.vsphere.connection
  - bonneville.vsphere.attributes
  - bonneville.vsphere.attributes.action_group
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  owner:
    description:
      - Whose the containers are, as O(bonneville.vsphere.instant_clone_container#module:owner) said when they were
        made.
      - Containers of another owner are never removed. To ask for one is an error.
    type: str
    default: ''
  force:
    description:
      - Pull the plug at once, instead of letting the container and the guest end by themselves.
    type: bool
    default: false
  timeout:
    description:
      - Seconds that the removal may take, beside the longest of the containers' own stop timeouts.
    type: int
    default: 300
seealso:
  - module: bonneville.vsphere.instant_clone_container
  - module: bonneville.vsphere.container_vm_info
"""

EXAMPLES = r"""
- name: Remove a service with all its replicas
  bonneville.vsphere.container_vm_absent:
    service: web

- name: Remove two containers at once, whatever they are doing
  bonneville.vsphere.container_vm_absent:
    name: [report, import-3]
    force: true

- name: Remove everything of a team that is labelled so
  bonneville.vsphere.container_vm_absent:
    labels: [stage=review]
    folder: teams/blue
    owner: blue
"""

RETURN = r"""
actions:
  description: What was done, or would be in check mode.
  returned: always
  type: list
  elements: dict
  sample:
    - action: remove
      name: web-1
      moid: vm-1042
      reason: it is to be absent
      before: {image: "registry.example/web:1", state: running}
      after: {}
removed:
  description: Names of the VMs that are removed, or would be in check mode. On failure, those that are nevertheless.
  returned: on success, and when the removal of some failed
  type: list
  elements: str
  sample: [web-1, web-0]
error_code:
  description: What kind of failure it was, for example V(foreign_vm) or V(permission_missing).
  returned: failure
  type: str
  sample: foreign_vm
timings:
  description: Seconds that the run took.
  returned: success
  type: dict
  sample: {total: 4.2}
"""

from ansible_collections.bonneville.vsphere.plugins.module_utils._argspec import CONNECTION, ArgSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import absent
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.select import read_selector
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.selection import SELECTION
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.sight import look
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.values import at_least
from ansible_collections.bonneville.vsphere.plugins.module_utils._run import Context, Result, run

SPEC = ArgSpec(
    options={
        "owner": {"type": "str", "default": ""},
        "force": {"type": "bool", "default": False},
        "timeout": {"type": "int", "default": 300},
    },
    required_one_of=(("name", "service", "fleet", "labels"),),
)


def remove(context: Context) -> Result:
    params = context.params
    selector = read_selector(params)
    seconds = at_least("timeout", params["timeout"], 1)
    with context.session() as session:
        sight = look(session, datacenter=params["datacenter"] or "", folder=params["folder"])
        plan = absent.plan_absence(sight, selector, owner=params["owner"])
        plan.check()
        for name in absent.copies(sight, selector):
            context.warn(f"VM '{name}' bears marks that were copied from a container VM. It is none and is left alone.")
        if plan.work:
            absent.check_rights(session, plan)
            manner = {"force": params["force"], "seconds": seconds, "progress": context.progress}
            context.apply(plan, lambda plan: absent.carry_out(session, plan, **manner))
    before = absent.states(plan)
    return Result(
        changed=bool(plan.work),
        actions=[action.document() for action in plan.work],
        before=before,
        after=dict.fromkeys(before, "absent"),
        values={"removed": [action.name for action in plan.work]},
    )


def main() -> None:
    run(CONNECTION.merge(SELECTION).merge(SPEC), remove)


if __name__ == "__main__":
    main()
