#!/usr/bin/python
# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_vm_info
short_description: Tell which containers there are, and how they and their VMs are
version_added: 0.1.0
author:
  - The bonneville.vsphere developers (@bonneville)
description:
  - Returns for each container what C(docker ps) and C(docker inspect) would tell, and the side of its VM.
  - Everything is read at once from vCenter, whatever the number of containers. No network into a guest is needed.
  - What a container's agent said last stands until the VM is powered off. Of a VM that is off, only what the container
    was made from is known.
extends_documentation_fragment:
  - bonneville.vsphere.selection
  - bonneville.vsphere.connection
  - bonneville.vsphere.attributes.info
  - bonneville.vsphere.attributes.action_group
options:
  phase:
    description:
      - Containers in one of these phases.
      - V(thawed), V(network), V(pulling), V(volumes), V(creating) and V(starting) are on the way up, V(running),
        V(created) and V(exited) are Docker's, V(failed) is a container that could not be brought up.
      - V(stopping) and V(stopped) are on the way down and off, V(suspended) is the VM's state. With V(booting) the
        guest came up minutes ago at most and its agent has not spoken since, with V(silent) it should have long ago.
    type: list
    elements: str
    choices:
      - thawed
      - network
      - pulling
      - volumes
      - creating
      - starting
      - running
      - created
      - exited
      - stopping
      - stopped
      - failed
      - booting
      - silent
      - suspended
  host:
    description: Containers whose VMs are on one of these ESXi hosts, by the hosts' short or full names.
    type: list
    elements: str
  template:
    description: Containers that were cloned from one of these templates.
    type: list
    elements: str
  image:
    description: Containers that were made from one of these images. Without a tag, V(latest) is meant.
    type: list
    elements: str
  logs:
    description:
      - How many of the last lines of each container's output to read, from its log on the datastore. None of more than
        the last MiB are found.
    type: int
    default: 0
seealso:
  - module: bonneville.vsphere.instant_clone_container
  - module: bonneville.vsphere.container_vm_absent
"""

EXAMPLES = r"""
- name: All containers of a service
  bonneville.vsphere.container_vm_info:
    service: web
  register: web

- name: Their addresses
  ansible.builtin.debug:
    msg: "{{ web.containers | map(attribute='vm.ip') }}"

- name: What has failed or ended, with its last words
  bonneville.vsphere.container_vm_info:
    phase: [failed, exited]
    logs: 20
  register: ended

- name: Each with its reason
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.reason.message | default('exit code ' ~ item.container.exit_code) }}"
  loop: "{{ ended.containers }}"
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
containers:
  description: One for each container, by service and number. What is not known is null.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The container's name. Its VM has the same one, unless it is a replacement under way or was renamed.
      type: str
      sample: web-0
    service:
      description: The service that it belongs to.
      type: str
      sample: web
    fleet:
      description: The service's fleet.
      type: str
      sample: shop
    ordinal:
      description: Its number among the replicas of the service, null without replicas.
      type: int
      sample: 0
    owner:
      description: Whose it is.
      type: str
      sample: blue
    template:
      description: The template that it was cloned from.
      type: str
      sample: photon
    phase:
      description: Where it is on its way, as in O(phase).
      type: str
      sample: running
    reason:
      description: Why the phase is what it is, where there is something to tell. A dict with C(code) and C(message).
      type: dict
      sample: {code: image_pull_failed, message: "registry.example/web:2 not found"}
    container:
      description:
        - The container as the Docker Engine sees it.
        - Without a word of the agent only C(image) and C(image_id) are known.
      type: dict
      contains:
        id: {description: Its id., type: str, sample: 3f4a9c}
        image: {description: The image's name., type: str, sample: "registry.example/web:1"}
        image_id: {description: The image's id., type: str, sample: "sha256:6b0c"}
        image_digest: {description: The image's digest at the registry., type: str, sample: "sha256:99fe"}
        state: {description: Docker's state., type: str, sample: running}
        exit_code: {description: What it ended with the last time it did., type: int, sample: 0}
        oom: {description: Whether it ended for want of memory., type: bool, sample: false}
        health:
          description: V(none) without a health check, else V(starting), V(healthy) or V(unhealthy).
          type: str
          sample: healthy
        health_output: {description: The end of what the last health check said., type: str, sample: ok}
        restarts: {description: How often Docker has restarted it., type: int, sample: 0}
        started_at: {description: When it was started., type: str, sample: "2026-03-01T10:00:00.5Z"}
        finished_at: {description: When it ended., type: str, sample: ""}
        error: {description: What Docker says went wrong., type: str, sample: ""}
    options:
      description: What it was made from, option by option, in normal form. Without secret values.
      type: dict
      sample: {image: "registry.example/web:1", template: photon}
    labels:
      description: Its labels.
      type: dict
      sample: {stage: review}
    ports:
      description: Its published ports, as V([IP:]PORT_OF_VM:PORT_OF_CONTAINER/PROTOCOL).
      type: list
      elements: str
      sample: ["80:8080/tcp"]
    vm:
      description: Its VM.
      type: dict
      contains:
        moid: {description: vCenter's id of it., type: str, sample: vm-1042}
        name: {description: The VM's name in vCenter., type: str, sample: web-0}
        folder: {description: The path of its folder., type: str, sample: bonneville-containers}
        host: {description: The ESXi host that it is on., type: str, sample: esx1.example}
        ip: {description: Its address., type: str, sample: 192.0.2.17}
        mac: {description: The address of its network card., type: str, sample: "00:50:56:9a:01:02"}
        power: {description: 'V(poweredOn), V(poweredOff) or V(suspended).', type: str, sample: poweredOn}
        boot_time: {description: When it was powered on or cloned., type: str, sample: "2026-03-01T10:00:00+00:00"}
        uptime: {description: Seconds since then., type: int, sample: 3600}
        instance_uuid: {description: vCenter's unique id of it., type: str, sample: 5029f0b4-0d5b-0f3a-9d3c-0e3c1f9f3a}
        template_vm: {description: vCenter's id of the template VM that it was cloned from., type: str, sample: vm-1007}
        log_path: {description: The datastore path of its log., type: str, sample: "[ds1] web-0/container-3f2a8c1d.log"}
        annotation: {description: Its notes in vCenter., type: str, sample: Container web-0 of service web}
    network:
      description: The guest's view of its network, a dict with C(ip), C(mac), C(hostname), C(prefix) and C(gateway).
      type: dict
      sample: {ip: 192.0.2.17, mac: "00:50:56:9a:01:02", hostname: web-0, prefix: 24, gateway: 192.0.2.1}
    logs:
      description: The last lines of its output, oldest first. Only with O(logs).
      type: list
      elements: str
      sample: ["listening on 8080"]
  sample:
    - name: web-0
      service: web
      fleet: null
      ordinal: 0
      phase: running
      container: {image: "registry.example/web:1", state: running, health: none, exit_code: null, restarts: 0}
      vm: {moid: vm-1042, host: esx1.example, ip: 192.0.2.17, power: poweredOn, uptime: 3600}
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
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import PHASES
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.logs import read_logs
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.report import describe
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.select import read_selector, select
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.selection import SELECTION, TEXTS
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.sight import look
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.values import at_least
from ansible_collections.bonneville.vsphere.plugins.module_utils._run import Context, Result, run

SPEC = ArgSpec(
    options={
        "phase": {**TEXTS, "choices": list(PHASES)},
        "host": TEXTS,
        "template": TEXTS,
        "image": TEXTS,
        "logs": {"type": "int", "default": 0},
    },
)


def tell(context: Context) -> Result:
    params = context.params
    selector = read_selector(params)
    lines = at_least("logs", params["logs"], 0)
    with context.session() as session:
        sight = look(session, datacenter=params["datacenter"] or "", folder=params["folder"])
        vms = select(sight.vms, selector)
        logs = read_logs(session, vms, datacenter=sight.datacenter.path, lines=lines) if lines else {}
    for vm in vms:
        if vm.moid in logs and logs[vm.moid].reason:
            context.warn(f"The log of container VM '{vm.name}' cannot be read: {logs[vm.moid].reason}.")
    containers = [describe(vm, logs=logs[vm.moid].lines if lines else None) for vm in vms]
    return Result(changed=False, values={"containers": containers})


def main() -> None:
    run(CONNECTION.merge(SELECTION).merge(SPEC), tell)


if __name__ == "__main__":
    main()
