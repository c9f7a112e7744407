#!/usr/bin/python
# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_maintenance
short_description: Takes an ESXi host into maintenance mode and back, its containers moved to other hosts
version_added: 0.1.0
author:
  - The bonneville.vsphere developers (@bonneville)
description:
  - Moves the container VMs that run on a host to other hosts of its cluster by vMotion, and has the host enter
    maintenance mode. Containers keep running meanwhile.
  - Template VMs are frozen and cannot be moved. Park those of the host before, by
    M(bonneville.vsphere.photon_template). One that is powered on is told, and nothing is done.
  - VMs that are no container VMs are never touched. Where some run on the host, vCenter waits until DRS or
    somebody has moved them; they are told in a warning.
  - The playbook C(bonneville.vsphere.host_maintenance) does all of it, parking included.
extends_documentation_fragment:
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
  host:
    description: The ESXi host, by its name in vCenter, short or full.
    type: str
    required: true
  state:
    description:
      - V(maintenance) is maintenance mode, with nothing of this collection running on the host.
      - V(in_service) ends it. Containers stay where they are, and template VMs stay parked until
        M(bonneville.vsphere.photon_template) freezes them again.
    type: str
    choices: [maintenance, in_service]
    default: maintenance
  migrate:
    description:
      - Move the host's container VMs. Without it, container VMs that run there are told, and nothing is done.
    type: bool
    default: true
  datacenter:
    description: Datacenter, by name or path. May be left out where there is only one.
    type: str
  timeout:
    description: Seconds that the whole run may take.
    type: int
    default: 1800
seealso:
  - module: bonneville.vsphere.photon_template
  - module: bonneville.vsphere.container_vm_absent
"""

EXAMPLES = r"""
- name: Park the template VM of the host
  bonneville.vsphere.photon_template:
    name: photon
    state: parked
    hosts: [esx1.example.com]

- name: Move its containers and have it enter maintenance mode
  bonneville.vsphere.host_maintenance:
    host: esx1.example.com

- name: Bring it back
  bonneville.vsphere.host_maintenance:
    host: esx1.example.com
    state: in_service
"""

RETURN = r"""
actions:
  description:
    - What was done, or would be in check mode, each with C(action), C(name) and C(reason). V(migrate) has the host that
      the VM went C(to). The others are V(enter_maintenance) and V(exit_maintenance).
    - On failure, what was done nevertheless.
  returned: always
  type: list
  elements: dict
  sample:
    - {action: migrate, name: web-0, to: esx2.example.com, reason: its host is to be in maintenance mode}
    - {action: enter_maintenance, name: esx1.example.com, reason: it is to be in maintenance mode}
error_code:
  description: What kind of failure it was, for example V(in_use) or V(capacity_short).
  returned: failure
  type: str
  sample: in_use
timings:
  description: Seconds that the run took.
  returned: success
  type: dict
  sample: {total: 14.2}
"""

from ansible_collections.bonneville.vsphere.plugins.module_utils._argspec import CONNECTION, ArgSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import maintenance
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.values import at_least
from ansible_collections.bonneville.vsphere.plugins.module_utils._run import Context, Result, run

SPEC = ArgSpec(
    options={
        "host": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["maintenance", "in_service"], "default": "maintenance"},
        "migrate": {"type": "bool", "default": True},
        "datacenter": {"type": "str"},
        "timeout": {"type": "int", "default": 1800},
    },
)


def host_maintenance(context: Context) -> Result:
    params = context.params
    seconds = at_least("timeout", params["timeout"], 10)
    with context.session() as session:
        seen = maintenance.survey(session, datacenter=params["datacenter"] or "", host=params["host"])
        plan = maintenance.plan(seen, state=params["state"], migrate=params["migrate"])
        if plan.actions:
            maintenance.check_rights(session, plan)
        for name in plan.strangers:
            context.warn(
                f"VM '{name}' runs on host {plan.host.name} and is none of ours: vCenter waits until it is gone."
            )
        if plan.actions:
            context.apply(
                plan,
                lambda plan: maintenance.carry_out(session, plan, seconds=seconds, progress=context.progress),
            )
    before, after = maintenance.difference(seen, plan)
    return Result(
        changed=bool(plan.actions),
        actions=[action.document() for action in plan.actions],
        before=before,
        after=after,
    )


def main() -> None:
    run(CONNECTION.merge(SPEC), host_maintenance)


if __name__ == "__main__":
    main()
