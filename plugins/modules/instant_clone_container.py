#!/usr/bin/python
# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: instant_clone_container
short_description: Run a Docker container, or replicas of it, each in a VM of its own
version_added: 0.1.0
author:
  - The bonneville.vsphere developers (@bonneville)
description:
  - Runs a container in an instant clone of a template that M(bonneville.vsphere.photon_template) prepared. The clone is
    a VM with a kernel of its own, hosts exactly this one container, and bears its name.
  - With O(replicas), N containers are one task with one login, one read of the folder, all clones at once, and one
    wait.
  - Compares as C(community.docker.docker_container) does, only options that are set count. A container that differs is
    replaced, the new one is started first where it has no address of its own, and the old one is removed when the
    new one is as wanted.
  - Environment values and the content of files travel encrypted to a key that only the template has, and are
    compared by digest. They are in no result, diff or log, nor in clear in vCenter.
  - A VM without this collection's marks is never touched, whatever its name.
attributes:
  check_mode:
    support: full
    details:
      - Everything that can be found beforehand is found, such as an unknown network, a name that is taken, or too
        little memory. What only a guest can tell, such as a failing pull, is not.
  diff_mode:
    support: full
    details:
      - Secret values are replaced by words. Without O(digest_key) only the names of added and removed values are told.
  idempotent:
    support: partial
    details:
      - Not with O(recreate), and not for a container that ends by itself, unless O(state=present).
options:
  name:
    description:
      - Name of the service. Without O(replicas) its VM and its container are called so, with O(replicas) NAME-0
        and so on.
    type: str
    required: true
  replicas:
    description:
      - How many containers of this kind there are to be. Fewer than there are removes those with the highest numbers.
      - Not set, there is one, whose name has no number.
    type: int
  state:
    description:
      - V(present) makes the container and starts nothing. A container that is there keeps running or not running.
      - V(started) has it run. One that ended is started again.
      - V(healthy) is V(started), and waits until its health check says so.
      - V(stopped) stops it as C(docker stop) does and powers its VM off.
      - V(absent) removes all VMs of the service. Only O(name) and the places are looked at.
    type: str
    choices: [present, started, healthy, stopped, absent]
    default: started
  template:
    description:
      - Name of the template, as given to M(bonneville.vsphere.photon_template).
      - Required unless O(state=absent).
    type: str
  template_folder:
    description: VM folder of the templates, by its path below the datacenter's VM folder.
    type: str
    default: bonneville-templates
  datacenter:
    description: Datacenter, by name or path. Needed only where there are several.
    type: str
  folder:
    description:
      - VM folder of the container VMs, by its path below the datacenter's VM folder.
      - The default one is made when it is missing, others have to exist.
    type: str
    default: bonneville-containers
  datastore:
    description: Datastore of the VMs. Not set, it is their template's.
    type: str
  resource_pool:
    description:
      - Resource pool of the VMs, as V(CLUSTER/POOL). Not set, it is their template's.
    type: str
  network:
    description: Network or port group of the VMs. Not set, it is their template's.
    type: str
  ip_address:
    description:
      - IPv4 address of the VM with its prefix, such as V(192.0.2.7/24). Not set, it comes by DHCP.
      - A container with an address of its own is replaced by stopping the old one first.
    type: str
  gateway:
    description: Default gateway of the VM, an IPv4 address. Needs O(ip_address).
    type: str
  dns:
    description: DNS servers of the VM. Not set, they come by DHCP.
    type: list
    elements: str
  dns_search:
    description: DNS search domains of the VM.
    type: list
    elements: str
  mac_address:
    description:
      - MAC address of the VM, in VMware's range for addresses set by hand, V(00:50:56:00:00:00) to
        V(00:50:56:3f:ff:ff).
      - V(deterministic) computes one from the container's identity, which stays the same through every replacement,
        for reservations in a DHCP server.
    type: str
  owner:
    description:
      - Whose the containers are, for example the name of a repository. Containers of another owner are refused.
    type: str
    default: ''
  recreate:
    description: Replace the containers even where nothing differs.
    type: bool
    default: false
  comparisons:
    description:
      - How an option is compared, by its name. V(strict) wants it equal, V(allow_more_present) wants at least what
        is given (for sets and dictionaries, whose default it is), V(ignore) does not look. The key V(*) stands for
        all options and takes V(strict) or V(ignore).
    type: dict
  digest_key:
    description:
      - A secret of yours, from a vault, by which secret values are compared. With it a diff names each value that
        changed. Without it one slow salted digest over all of them tells only that something did.
    type: str
  pull:
    description:
      - V(missing) pulls the image in the guest only where the template does not hold it.
      - V(never) refuses then, before anything is cloned.
      - V(always) asks the registry for each container.
    type: str
    choices: [missing, never, always]
    default: missing
  registry_login:
    description: Login for pulling the image in the guest. It travels encrypted and is kept nowhere.
    type: dict
    suboptions:
      server:
        description: The registry, as in the image's name. V(docker.io) is Docker Hub.
        type: str
        required: true
      username:
        description: User name at the registry.
        type: str
        required: true
      password:
        description: Password or token.
        type: str
        required: true
  detach:
    description:
      - Set to V(false) to wait for the container's end and return its exit code and its output. An exit code other
        than 0 is a failure, which C(failed_when) may judge otherwise.
    type: bool
    default: true
  cleanup:
    description:
      - With O(detach=false), remove the container and its VM after its end, whatever its exit code.
      - One that did not come up, or did not end in time, is left to O(on_failure). One that stood before stays then,
        and so does one that O(state) does not start.
    type: bool
    default: false
  on_failure:
    description:
      - What becomes of a new container that did not come up. V(remove) leaves nothing behind, the last lines of
        its output are in the error. V(keep) leaves it to be looked at, and the next run replaces it.
      - A container that it was to replace stays in either case. Where it had to make room, it is then again what it
        was, off or on, and is started again only if it ran.
      - A VM that is kept is powered off where O(ip_address) or O(mac_address) would be in use twice.
    type: str
    choices: [keep, remove]
    default: remove
  timeout:
    description:
      - Seconds for cloning and for the containers to come up.
      - With O(detach=false) also for their work.
    type: int
    default: 300
  healthy_wait_timeout:
    description: Seconds that a container gets to become healthy once it runs, with O(state=healthy).
    type: int
    default: 300
  clones_per_template:
    description: How many clones of one template VM are made at a time.
    type: int
    default: 8
  image:
    description:
      - The image, as V(registry/name:tag) or by digest. Without a tag it is V(latest).
      - Required unless O(state=absent).
    type: str
  command:
    description: Command, as a list or as a string that is split as a shell would split it.
    type: raw
  entrypoint:
    description: Entry point that replaces the image's.
    type: list
    elements: str
  env:
    description:
      - Environment variables. Values that YAML reads as booleans or floats have to be quoted.
    type: dict
  env_file:
    description: File of C(NAME=value) lines on the host that runs the task. O(env) has precedence.
    type: path
  labels:
    description: Labels of the container.
    type: dict
  user:
    description: User, and optionally group, inside the container.
    type: str
  working_dir:
    description: Working directory inside the container.
    type: str
  hostname:
    description: Host name inside the container. Not set, it is the VM's name.
    type: str
  domainname:
    description: Domain name inside the container.
    type: str
  groups:
    description: Additional groups of the container's process.
    type: list
    elements: str
  init:
    description: Whether an init process runs in the container that reaps children.
    type: bool
  interactive:
    description: Whether the container's standard input is kept open.
    type: bool
  tty:
    description: Whether the container has a terminal.
    type: bool
  stop_signal:
    description: Signal that stops the container.
    type: str
  stop_timeout:
    description: Seconds between that signal and the kill. Docker's default is 10.
    type: int
  healthcheck:
    description: Health check of the container. What is left out is as the image has it.
    type: dict
    suboptions:
      test:
        description: A command for the container's shell, or a list that begins with V(CMD), V(CMD-SHELL) or V(NONE).
        type: raw
      interval:
        description: Time between two checks, such as V(30s).
        type: str
      timeout:
        description: Time that one check may take.
        type: str
      start_period:
        description: Time in which failures do not count yet.
        type: str
      retries:
        description: Failures in a row until the container counts as unhealthy.
        type: int
  restart_policy:
    description:
      - What becomes of a container that ends. Quote V("no").
      - After a reboot of the VM the container is started if it was running, unless V("no") is set explicitly.
    type: str
    choices: ['no', on-failure, always, unless-stopped]
  restart_retries:
    description: How often the policy V(on-failure) tries.
    type: int
  memory:
    description:
      - Memory limit of the container, such as V(512m). It cannot be above the template's memory.
    type: str
  memory_reservation:
    description: Soft memory limit.
    type: str
  memory_swap:
    description: Memory and swap together, or V(unlimited).
    type: str
  shm_size:
    description: Size of C(/dev/shm).
    type: str
  cpus:
    description: CPU limit, such as V(1.5). It cannot be above the template's CPUs.
    type: float
  cpu_shares:
    description: Relative CPU weight.
    type: int
  cpuset_cpus:
    description: CPUs that the container may use, such as V(0-1).
    type: str
  pids_limit:
    description: How many processes the container may have, V(-1) for any number.
    type: int
  capabilities:
    description: Capabilities to add.
    type: list
    elements: str
  cap_drop:
    description: Capabilities to drop.
    type: list
    elements: str
  privileged:
    description: Whether the container has all rights inside its VM.
    type: bool
  read_only:
    description: Whether the container's root file system is read-only.
    type: bool
  security_opts:
    description: Security options.
    type: list
    elements: str
  sysctls:
    description: Kernel parameters of the container.
    type: dict
  ulimits:
    description: Limits as V(name:soft[:hard]).
    type: list
    elements: str
  published_ports:
    description:
      - Ports published on the VM's address, as V(HOST:CONTAINER), V(IP:HOST:CONTAINER) or V(CONTAINER), each with
        an optional protocol such as V(/udp), and ranges.
      - A port without a number for the VM is published under its own.
    type: list
    elements: str
    aliases: [ports]
  exposed_ports:
    description: Ports that the container listens on, for others to know.
    type: list
    elements: str
    aliases: [exposed, expose]
  etc_hosts:
    description: Names and addresses for C(/etc/hosts) of the container.
    type: dict
  dns_servers:
    description: DNS servers of the container. Not set, they are the VM's.
    type: list
    elements: str
  dns_search_domains:
    description: DNS search domains of the container.
    type: list
    elements: str
  dns_opts:
    description: Resolver options of the container.
    type: list
    elements: str
  volumes:
    description:
      - V(TARGET) is a volume that lives and goes with the VM.
      - V(FILE:TARGET:ro) carries a file of the host that runs the task into the container. Other bind mounts are
        refused, since the container's host is its own VM.
      - V(NAME:TARGET) is refused. A named volume is a disk that outlives its container and belongs to a fleet; use
        M(bonneville.vsphere.container_fleet).
    type: list
    elements: str
  mounts:
    description: Mounts in their long form.
    type: list
    elements: dict
    suboptions:
      target:
        description: Path in the container.
        type: str
        required: true
      source:
        description: With O(mounts[].type=bind), the file of the host that runs the task.
        type: str
      type:
        description: Kind of mount.
        type: str
        choices: [bind, tmpfs, volume]
        default: volume
      read_only:
        description: Whether the mount is read-only. A bind mount has to be, and a volume cannot be.
        type: bool
      tmpfs_size:
        description: Size of a tmpfs.
        type: str
      tmpfs_mode:
        description: Mode of a tmpfs, in octal digits.
        type: str
  tmpfs:
    description: Mounts in memory, as V(TARGET) or V(TARGET:OPTIONS).
    type: list
    elements: str
extends_documentation_fragment:
  - bonneville.vsphere.connection
  - bonneville.vsphere.attributes
  - bonneville.vsphere.attributes.action_group
seealso:
  - module: bonneville.vsphere.photon_template
  - module: bonneville.vsphere.container_vm_absent
  - module: bonneville.vsphere.container_vm_info
  - module: community.docker.docker_container
"""

EXAMPLES = r"""
- name: Run a web server in a VM of its own
  bonneville.vsphere.instant_clone_container:
    name: front
    template: photon
    image: registry.example.com/web:1.4
    env:
      GREETING: hello
    published_ports: ["80:8080"]

- name: Run six of them and wait until all are healthy
  bonneville.vsphere.instant_clone_container:
    name: web
    replicas: 6
    template: photon
    image: registry.example.com/web:1.4
    published_ports: ["80:8080"]
    healthcheck:
      test: ["CMD", "/web", "--check"]
      interval: 2s
    state: healthy

- name: Run a job, read its output, and leave nothing behind
  bonneville.vsphere.instant_clone_container:
    name: report
    template: photon
    image: registry.example.com/report:2
    command: ["--month", "2026-11"]
    detach: false
    cleanup: true
  register: report

- name: Give a container an address of its own, and a configuration file
  bonneville.vsphere.instant_clone_container:
    name: dns
    template: photon
    image: registry.example.com/dns:3
    ip_address: 192.0.2.53/24
    gateway: 192.0.2.1
    volumes:
      - ./named.conf:/etc/named.conf:ro
    published_ports: ["53:53/udp"]

- name: Stop the six, and power their VMs off
  bonneville.vsphere.instant_clone_container:
    name: web
    replicas: 6
    template: photon
    image: registry.example.com/web:1.4
    state: stopped
"""

RETURN = r"""
actions:
  description:
    - What was done, or in check mode would be, in the order of the containers. Empty where nothing was to be done.
    - With O(cleanup), removals come last, and only of VMs that stood before. One that the same task made and removed
      is told as made. Check mode takes every container that is waited for to end.
  returned: always
  type: list
  elements: dict
  sample:
    - action: create
      name: web-0
      reason: it does not exist
containers:
  description:
    - Every container of the service, by its number, as M(bonneville.vsphere.container_vm_info) tells it.
    - In check mode those that stand now.
  returned: always
  type: list
  elements: dict
  sample:
    - name: web-0
      phase: running
      seconds: 1.412
      container: {image: "registry.example.com/web:1.4", state: running, exit_code: null, health: none}
      vm: {moid: vm-42, name: web-0, host: esx1.example.com, ip: 192.0.2.17, power: poweredOn}
container:
  description:
    - Without O(replicas), the one container, as in RV(containers).
    - With O(detach=false) it has its C(output) and C(exit_code).
  returned: when O(replicas) is not set
  type: dict
  sample: {image: "registry.example.com/report:2", state: exited, exit_code: 0, output: "12 rows"}
vm:
  description: Without O(replicas), its VM.
  returned: when O(replicas) is not set
  type: dict
  sample: {moid: vm-42, name: front, host: esx1.example.com, ip: 192.0.2.17, power: poweredOn}
phase:
  description: Without O(replicas), where the container is on its way, for example V(running) or V(exited).
  returned: when O(replicas) is not set
  type: str
  sample: running
reason:
  description: What the guest said was wrong, by a code and in words.
  returned: on failure in a guest
  type: dict
  sample: {code: image_pull_failed, message: "image web:9: manifest unknown"}
error_code:
  description: Kind of the failure, a stable word.
  returned: on failure
  type: str
  sample: guest_failed
timings:
  description: Seconds that the task took in all.
  returned: success
  type: dict
  sample: {total: 2.1}
"""

from ansible_collections.bonneville.vsphere.plugins.module_utils._argspec import CONNECTION, ArgSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.arguments import CONTAINER
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.deploy import deploy
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.desired import read_desired
from ansible_collections.bonneville.vsphere.plugins.module_utils._run import Context, Result, run

SERVICE = ArgSpec(
    options={
        "name": {"type": "str", "required": True},
        "replicas": {"type": "int"},
        "state": {
            "type": "str",
            "choices": ["present", "started", "healthy", "stopped", "absent"],
            "default": "started",
        },
        "template_folder": {"type": "str", "default": "bonneville-templates"},
        "datacenter": {"type": "str"},
        "folder": {"type": "str", "default": "bonneville-containers"},
        "datastore": {"type": "str"},
        "resource_pool": {"type": "str"},
        "owner": {"type": "str", "default": ""},
        "recreate": {"type": "bool", "default": False},
        "comparisons": {"type": "dict"},
        "digest_key": {"type": "str", "no_log": True},
        "detach": {"type": "bool", "default": True},
        "cleanup": {"type": "bool", "default": False},
        "on_failure": {"type": "str", "choices": ["keep", "remove"], "default": "remove"},
        "timeout": {"type": "int", "default": 300},
        "healthy_wait_timeout": {"type": "int", "default": 300},
        "clones_per_template": {"type": "int", "default": 8},
    },
    required_if=tuple(
        ("state", state, ("template", "image")) for state in ("present", "started", "healthy", "stopped")
    ),
)


def main() -> None:
    run(CONNECTION.merge(SERVICE).merge(CONTAINER), deploy_service)


def deploy_service(context: Context) -> Result:
    desired = read_desired(context.params, container_options=CONTAINER.options)
    with context.session() as session:
        report = deploy(session, desired, guard=context.apply, progress=context.progress)
    report.check()
    return Result(
        changed=report.changed, actions=report.actions, before=report.before, after=report.after, values=report.values
    )


if __name__ == "__main__":
    main()
