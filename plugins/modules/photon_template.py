#!/usr/bin/python
# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: photon_template
short_description: Prepares frozen Photon OS template VMs, one on each ESXi host
version_added: 0.1.0
author:
  - The bonneville.vsphere developers (@bonneville)
description:
  - Makes the template that M(bonneville.vsphere.instant_clone_container) clones containers from. An instant clone lands
    on the ESXi host of its source, so a template stands as one template VM on each host, powered on and frozen.
  - The OVA is imported once, the images are put in once, and the VM is cloned in full to the other hosts. Each VM is
    then booted, gets a sealing key of its own, and is frozen.
  - A second run with the same options changes nothing. A template VM that is missing, powered off, moved to another
    host or no longer frozen is repaired, while the others keep serving.
  - Changed options make another generation, which is built beside the one that serves. Each of its VMs has to run a
    throw-away container. Only when those of all hosts did, it takes over; until then, and for good where one fails,
    containers are cloned from the generation before.
  - VMs of the generation before are removed then. One that other VMs' disks depend on is powered off and kept,
    containers that were cloned from it keep running, and a later run removes it once nothing depends on it.
  - What an interrupted run has left is gone on with, or removed, by the next one.
  - In a cluster, template VMs are exempted from DRS and from HA's restarts. Without the privilege
    C(Host.Inventory.EditCluster) on the cluster there is a warning instead.
options:
  name:
    description:
      - Name of the template. Its VMs are called NAME@HOST, or NAME@HOST~NUMBER where one of an older generation has
        that name.
      - Up to 40 letters, digits, V(.), V(_) and V(-).
    type: str
    required: true
  state:
    description:
      - With V(present), every host in service has one frozen template VM. Hosts that are disconnected or in maintenance
        mode are left out with a warning, unless they are named in O(hosts).
      - With V(parked), the template VMs on O(hosts) are powered off and kept, so that a host can enter maintenance
        mode. New containers go to the other hosts meanwhile, and those that run are left alone. V(present) freezes
        them again.
      - With V(absent), the template VMs are deleted, on all hosts or on those of O(cluster) or O(hosts). This is
        refused while the disks of any VM depend on them, whether that is a container VM or somebody's linked clone;
        all of them are named. O(force) removes container VMs first.
      - A template VM that someone moved to another folder is brought back by V(present), and is parked or deleted with
        the others as long as one VM of its generation is still in O(folder).
    type: str
    choices: [present, parked, absent]
    default: present
  source:
    description:
      - What the first template VM is made from. Required with O(state=present).
      - It has to boot Photon OS 5, or a Linux with Docker, open-vm-tools, cloud-init, openssl, systemd and Python 3.11,
        all of them where Photon OS has them.
    type: dict
    suboptions:
      ova:
        description:
          - Path of an OVA on the host that runs this task. Its content, not its path, is part of the generation.
        type: path
      url:
        description:
          - Web address of an OVA. It goes through the host that runs this task as a stream, and is stored nowhere on
            the way. A connection that breaks is taken up again where it broke.
          - It is downloaded only when it is needed. O(source.checksum) is part of the generation, the address is not.
          - The environment's proxy and C(REQUESTS_CA_BUNDLE) count.
        type: str
      checksum:
        description:
          - What the file at O(source.url) has to add up to, as V(sha256:DIGITS), or as V(sha256:URL) of a file that has
            the digits in the line with the OVA's name. V(sha384) and V(sha512) are known, too.
          - A file with another checksum leaves no VM.
        type: str
      transfer:
        description:
          - How the disks of the OVA at O(source.url) come to the ESXi host. With V(push), the host that runs this task
            sends them. With V(pull), the ESXi host gets them from the web server by itself, and nothing is uploaded;
            for a host that runs this task behind a slow line.
          - With V(pull), this host reads the OVA as well, to compare O(source.checksum), and compares each disk with
            what the ESXi host says it received. An OVA that differs leaves no VM.
          - V(pull) needs vCenter 6.7, the privilege C(VApp.PullFromUrls), and an ESXi host that reaches the web server
            without a proxy. Where vCenter does not offer it, the task fails and says so.
          - It is no part of the generation.
        type: str
        choices: [push, pull]
        default: push
      vm:
        description:
          - A VM that is powered off, or a vSphere template, by its name or its path below the datacenter's VM folder.
          - It is only copied, never changed.
        type: str
  accept_eula:
    description: Whether the license agreement inside the OVA is accepted. An OVA that has one is refused without this.
    type: bool
    default: false
  cluster:
    description:
      - Cluster whose hosts get template VMs, by its name or by its path below the datacenter's host folder.
      - With O(state=present), this or O(hosts) is required; O(state=parked) takes O(hosts) alone.
    type: str
  hosts:
    description: ESXi hosts that get template VMs, by their names in vCenter, short or full.
    type: list
    elements: str
  datacenter:
    description: Datacenter, by name or path. May be left out where there is only one.
    type: str
  folder:
    description:
      - Folder of the template VMs, below the datacenter's VM folder.
      - The default one is made where it does not exist; any other has to exist.
    type: str
    default: bonneville-templates
  datastore:
    description: Datastore of the template VMs, and so of their clones. Required with O(state=present).
    type: str
  network:
    description:
      - Network of the template VMs, on which images are pulled and which clones are on unless they ask for another.
      - Required with O(state=present).
    type: str
  cpus:
    description: Number of CPUs of a template VM, and so of each of its clones. The source's by default.
    type: int
  memory_mb:
    description:
      - Memory of a template VM in MiB, and so of each of its clones; a multiple of 4. The source's by default.
    type: int
  memory_reservation_mb:
    description:
      - Memory in MiB that is reserved for a template VM and for each clone. The source's by default.
      - What is not reserved needs a swap file on the datastore for each VM that is powered on.
    type: int
  disk_gb:
    description: Size of the first disk in GiB. A disk grows, and never shrinks. The source's by default.
    type: int
  images:
    description: Images that the template holds, as C(docker pull) takes them. Every clone shares them.
    type: list
    elements: str
  pull:
    description:
      - With V(always), every run asks the registries of O(images) which digests their tags have now. A tag that was
        moved makes another generation, with the old and the new digest in the diff.
      - The host that runs this task asks, with O(registry_logins), O(registry_ca), O(registry_mirrors) and
        O(insecure_registries), and by the proxy of its own environment. Where a registry does not tell, there is a
        warning, and the image counts as not moved.
      - With V(missing), registries are asked only when a template VM is made, by its guest.
    type: str
    choices: [always, missing]
    default: always
  image_archives:
    description:
      - Archives that C(docker save) wrote, or OCI layouts as tar archives whose images have a name and a tag, by their
        paths on the host that runs this task.
      - Their content, not their paths, is part of the generation.
    type: list
    elements: path
  registry_logins:
    description:
      - Logins for the registries of O(images). They are not part of the generation.
      - A login travels encrypted to a key that the guest made, is held in its memory while the images are pulled, and
        is written nowhere. The VM is shut down afterwards, so that no clone inherits it.
    type: list
    elements: dict
    suboptions:
      server:
        description: The registry as it stands in image names, V(docker.io) for Docker Hub.
        type: str
        required: true
      username:
        description: User name at the registry.
        type: str
        required: true
      password:
        description: Password or token of that user.
        type: str
        required: true
  insecure_registries:
    description: Registries that are spoken to without TLS, or with a certificate that is not verified, as C(host:port).
    type: list
    elements: str
  registry_mirrors:
    description: Mirrors of Docker Hub that the engine asks first, as C(https://mirror.example.com).
    type: list
    elements: str
  registry_ca:
    description:
      - Certificate authority by which the registries of O(images), O(registry_logins) and O(registry_mirrors) are
        trusted, as text in PEM or as a path on the host that runs this task.
    type: str
  http_proxy:
    description:
      - Proxy that the engine reaches registries without TLS by, as C(http://proxy.example.com:3128).
      - A proxy that asks for a login is refused, since it would stand in clear in every clone.
    type: str
  https_proxy:
    description: Proxy that the engine reaches registries with TLS by.
    type: str
  no_proxy:
    description: Hosts, domains and networks that are reached without the proxy.
    type: list
    elements: str
  dns:
    description: DNS servers of the guest beside those that DHCP brings.
    type: list
    elements: str
  dns_search:
    description: Domains that names are looked for in.
    type: list
    elements: str
  ntp:
    description: Time servers, names or addresses.
    type: list
    elements: str
  bridge_cidr:
    description: Network of the engine's bridge inside each VM, as V(192.168.240.0/24). Docker's own choice by default.
    type: str
  time_zone:
    description: Time zone of the guest, as V(Europe/Berlin). Containers have their own.
    type: str
  debug_ssh_key:
    description:
      - Public key that lets its owner in as root by SSH, to look at what goes on in a container's VM.
      - Without it the guest has no SSH server. No password lets anyone in, whatever the source had.
    type: str
  packages:
    description: Packages of Photon OS that are installed beside Docker, by C(tdnf).
    type: list
    elements: str
  files:
    description:
      - Files that the guest gets, 24 KiB together.
      - They stand in clear in the VM's configuration while it is built, and in every clone. Give no secrets.
    type: list
    elements: dict
    suboptions:
      path:
        description: Where the file stands in the guest.
        type: str
        required: true
      content:
        description: What it holds, as text.
        type: str
      src:
        description: Path on the host that runs this task of a file that it is a copy of.
        type: path
      mode:
        description: Its permissions, octal.
        type: str
        default: "0644"
  force:
    description:
      - With O(state=absent), stop and remove the container VMs whose disks depend on the template VMs, as
        M(bonneville.vsphere.container_vm_absent) does.
      - Any other VM, and a container VM of another O(owner), still keeps the template, and then nothing is removed.
    type: bool
    default: false
  owner:
    description:
      - Whose the containers are that O(force) removes, as
        O(bonneville.vsphere.instant_clone_container#module:owner) said when they were made.
    type: str
    default: ''
  timeout:
    description:
      - Seconds that the whole run may take. What is half made by then is removed, or taken up by the next run.
    type: int
    default: 3600
extends_documentation_fragment:
  - bonneville.vsphere.attributes
  - bonneville.vsphere.attributes.action_group
  - bonneville.vsphere.connection
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: bonneville.vsphere.instant_clone_container
"""

EXAMPLES = r"""
- name: Prepare a template on every host of a cluster
  bonneville.vsphere.photon_template:
    name: photon
    source:
      ova: /var/lib/ova/photon-hw15-5.0-dde71ec57.x86_64.ova
    accept_eula: true
    cluster: Cluster1
    datastore: vsanDatastore
    network: VM Network
    images:
      - registry.example.com/web:1.4

- name: From where it is published, by its checksum
  bonneville.vsphere.photon_template:
    name: photon
    source:
      url: https://mirror.example.com/photon/photon-hw15-5.0-dde71ec57.x86_64.ova
      checksum: sha256:https://mirror.example.com/photon/SHA256SUMS
    accept_eula: true
    cluster: Cluster1
    datastore: vsanDatastore
    network: VM Network

- name: A larger one on two hosts, from a VM of one's own, with images from a registry that asks for a login
  bonneville.vsphere.photon_template:
    name: photon-large
    source:
      vm: golden/photon-5
    hosts:
      - esx1.example.com
      - esx2.example.com
    datastore: san1
    network: build
    cpus: 4
    memory_mb: 8192
    memory_reservation_mb: 8192
    images:
      - registry.example.com/private/model:2
    registry_logins:
      - server: registry.example.com
        username: robot
        password: "{{ vault_registry_token }}"

- name: Behind a proxy, with the site's own mirror, certificate authority, DNS and time
  bonneville.vsphere.photon_template:
    name: photon
    source:
      ova: /var/lib/ova/photon-hw15-5.0-dde71ec57.x86_64.ova
    accept_eula: true
    cluster: Cluster1
    datastore: vsanDatastore
    network: VM Network
    images:
      - registry.example.com/web:1.4
    registry_mirrors: ["https://mirror.example.com"]
    registry_ca: files/site-ca.pem
    https_proxy: http://proxy.example.com:3128
    no_proxy: [.example.com]
    dns: [192.0.2.53]
    dns_search: [example.com]
    ntp: [ntp.example.com]
    time_zone: Europe/Berlin
    files:
      - path: /etc/sysctl.d/90-site.conf
        content: |
          net.core.somaxconn = 4096

- name: See what would be repaired
  bonneville.vsphere.photon_template:
    name: photon
    source:
      ova: /var/lib/ova/photon-hw15-5.0-dde71ec57.x86_64.ova
    accept_eula: true
    cluster: Cluster1
    datastore: vsanDatastore
    network: VM Network
    images:
      - registry.example.com/web:1.4
  check_mode: true
  diff: true

- name: Power off the template VM of a host that is to enter maintenance mode
  bonneville.vsphere.photon_template:
    name: photon
    state: parked
    hosts: [esx1.example.com]

- name: Remove the template from all hosts, and the containers that were cloned from it
  bonneville.vsphere.photon_template:
    name: photon-trial
    state: absent
    force: true

- name: Remove the template from all hosts
  bonneville.vsphere.photon_template:
    name: photon
    state: absent
"""

RETURN = r"""
actions:
  description:
    - What was done, in check mode what would be, a dictionary for each template VM.
    - V(import), V(clone) and V(rebuild) make a VM, V(join) one for a host that is new to the template, V(renew) one
      of a new generation beside the older one. V(move), V(boot), V(freeze) and V(refreeze) mend one, V(fetch) brings
      one back that someone moved to another folder, V(verify) tries one out, and V(park) powers it off.
    - A host is new to the template while no other VM of it that stands was made or mended since the host is there. So
      V(join) is also told of a host that joined and lost its VM afterwards, until a new generation is built or another
      VM is mended. Frozen VMs are not reconfigured for it.
    - V(exempt) has the cluster's DRS leave a VM alone and its HA not restart it, where nothing else is to be done.
    - V(retire) powers off a VM of an older generation that disks depend on, V(leave) removes one whose host left the
      cluster, and V(remove) any other that is not to be.
  type: list
  elements: dict
  returned: always
  contains:
    action:
      description: What was done.
      type: str
      returned: always
      sample: boot
    name:
      description: Name of the template VM.
      type: str
      returned: always
      sample: photon@esx1
    host:
      description: The ESXi host that it is for.
      type: str
      returned: always
      sample: esx1.example.com
    reason:
      description: Why.
      type: str
      returned: always
      sample: it is powered off
    failed:
      description: What kept this one from being done; empty for those that were.
      type: str
      returned: failure
      sample: ""
template:
  description: The template as it stands, in check mode as it stood.
  type: dict
  returned: when vCenter could be asked
  contains:
    name:
      description: Its name.
      type: str
      returned: always
      sample: photon
    generation:
      description: 12 hexadecimal digits that follow from the options and the source; empty with O(state=absent).
      type: str
      returned: always
      sample: 3f2a90c1d77e
    hosts:
      description: Each host's template VM, sorted by host.
      type: list
      elements: dict
      returned: always
      sample:
        - host: esx1.example.com
          vm: photon@esx1
          moid: vm-1042
          state: frozen
          frozen: true
          generation: 3f2a90c1d77e
          action: import
          reason: the host has no template VM
          seconds: 61.4
          timings: {imported: 22.1, primed: 43.0, ready: 58.9, frozen: 61.4}
    retired:
      description:
        - VMs of older generations that are kept, powered off, while the disks of other VMs depend on them.
      type: list
      elements: dict
      returned: always
      sample:
        - vm: photon@esx1
          moid: vm-1007
          host: esx1.example.com
          generation: 8c11d0be92a4
          clones: [web-0]
    images:
      description:
        - The images that the template VMs hold, each pinned by its digest in the registry.
        - A digest is empty where the image is from an archive only.
      type: list
      elements: dict
      returned: always
      sample:
        - name: registry.example.com/web:1.4
          id: sha256:9b2e1f2a4c3d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7
          digest: sha256:1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809
timings:
  description: Seconds that the run took.
  type: dict
  returned: success
  sample: {total: 61.9}
error_code:
  description: What kind of failure it was, for example V(not_found), V(in_use), V(ova_invalid) or V(guest_failed).
  type: str
  returned: failure
  sample: in_use
"""

from dataclasses import replace

from ansible_collections.bonneville.vsphere.plugins.module_utils._argspec import CONNECTION
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import absent
from ansible_collections.bonneville.vsphere.plugins.module_utils._run import Context, Result, run
from ansible_collections.bonneville.vsphere.plugins.module_utils._template import manage, tell
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.arguments import TEMPLATE
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.desired import request_from
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.survey import read_sources


def photon_template(context: Context) -> Result:
    request = request_from(context.params)
    sources = read_sources(request)
    for message in sources.registry.warnings:
        context.warn(message)
    done: list[manage.Done] = []
    with context.session() as session:
        job = manage.prepare(session, request, sources)
        clones = absent.plan_clearing(session, job.to_clear, why=f"it depends on template {request.name}")
        if clones.work:
            absent.check_rights(session, clones)
        for message in (*job.plan.left_out, *job.exemptions.warnings):
            context.warn(message)

        def carry_out(job: manage.Job) -> None:
            if clones.work:
                absent.carry_out(session, clones, force=False, seconds=request.timeout, progress=context.progress)
                job = manage.prepare(session, replace(request, force=False), sources)
            done.append(manage.carry_out(session, job, context.progress))

        context.apply(job, carry_out)
    for error in filter(None, (manage.failure(job, one) for one in done)):
        raise error
    steps = next((one.steps for one in done if one.steps), job.plan.steps)
    before, after = tell.difference(steps, job.spec)
    states = absent.states(clones)
    return Result(
        changed=bool(job.plan.work or clones.work),
        actions=[*(action.document() for action in clones.work), *tell.actions(step for step in steps if step.works)],
        before={**before, **({"container_vms": states} if states else {})},
        after={**after, **({"container_vms": dict.fromkeys(states, "absent")} if states else {})},
        values={"template": manage.outcome(job, *done)},
    )


def main() -> None:
    run(CONNECTION.merge(TEMPLATE), photon_template)


if __name__ == "__main__":
    main()
