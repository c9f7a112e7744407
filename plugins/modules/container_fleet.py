#!/usr/bin/python
# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_fleet
short_description: Make vSphere match a Compose file, each container in a VM of its own
version_added: 0.1.0
author:
  - The bonneville.vsphere developers (@bonneville)
description:
  - Reads a directory's Compose files and brings the fleet of container VMs that they describe to what they say.
    Containers are made, replaced, started again, moved back and removed, by their services' dependencies and update
    rules, all that can be done side by side at once, in one login.
  - A fleet lives in a VM folder of its own, which is made when it is missing. Its containers are called FLEET-SERVICE,
    or FLEET-SERVICE-N with C(deploy.replicas).
  - In check mode, and in every result, RV(plan) says what is to be done. It is the same for the same files and the same
    fleet, so it can be reviewed, and O(expected_plan) then carries out that plan or none.
  - Who changes a fleet holds a lease in vSphere meanwhile. A second run waits for it, and if it has to give up says
    whose run that is. A run that was killed leaves a lease. A run on the same machine sees that and takes it at once;
    any other one waits until it runs out, which takes a minute. Either way the next run finishes its work.
  - A VM without this collection's marks is never touched, whatever its name, nor is one of another O(owner).
attributes:
  check_mode:
    support: full
    details:
      - What only a guest can tell, such as a failing pull, is not found beforehand.
  diff_mode:
    support: full
    details:
      - Secret values are replaced by words. Without O(digest_key) only the names of added and removed values are told.
  idempotent:
    support: partial
    details:
      - Not with O(recreate), and not for a service that ends by itself although its C(restart) is not V("no").
options:
  project_src:
    description:
      - Directory of the fleet, on the host that runs the task. No file outside of it is read.
      - Required unless O(state=absent).
    type: path
  files:
    description:
      - Compose files in that directory, later ones over earlier ones. Not set, they are found as Compose finds them.
    type: list
    elements: str
    default: []
  name:
    description:
      - Name of the fleet. Not set, it is the C(name) in the files, or else the directory's.
      - Required where O(project_src) is not set.
    type: str
  variables:
    description:
      - Values for interpolation in the files. Beside them only the directory's own C(.env) is read, never the
        environment of the process.
    type: dict
    default: {}
  profiles:
    description:
      - Profiles whose services are wanted, beside those without a profile.
      - Containers of a service that has none of these profiles are left alone. They are no orphans.
    type: list
    elements: str
    default: []
  ignore_unsupported:
    description:
      - Keys of the files that a VM per container cannot honour and that are to be ignored, such as V(build). Each one
        is a warning. All others of that kind are errors.
    type: list
    elements: str
    default: []
  state:
    description:
      - V(present) brings the fleet to what the files say.
      - V(absent) removes all of its containers, in the reverse order of their dependencies where O(project_src) tells
        them, and then its folder, if it is called as the fleet is and nothing else is in it.
      - Of the files V(absent) needs the fleet's name and folder, its volumes, and who depends on whom, whatever the
        profiles. All else in them may be wrong, or have variables without a value. Where they cannot be read at all,
        leave out O(project_src), and give O(name).
    type: str
    choices: [present, absent]
    default: present
  template:
    description:
      - Template of the services that name none in C(x-bonneville).
    type: str
  network:
    description: Network or port group of the services that name none in C(x-bonneville).
    type: str
  template_folder:
    description: VM folder of the templates, by its path below the datacenter's VM folder.
    type: str
    default: bonneville-templates
  folder:
    description:
      - VM folder of the fleet, by its path below the datacenter's VM folder. Not set, it is the one that the files
        name, or else C(bonneville-containers/NAME).
      - It is made when it is missing.
    type: str
  datacenter:
    description: Datacenter, by name or path. Needed only where there are several.
    type: str
  datastore:
    description: Datastore of the VMs. Not set, it is the one that the files name, or else their template's.
    type: str
  resource_pool:
    description:
      - Resource pool of the VMs, as V(CLUSTER/POOL). Not set, it is the one that the files name, or their template's.
    type: str
  owner:
    description:
      - Whose the fleet is, for example the name of a repository. A fleet with a VM of another owner is refused.
    type: str
    default: ''
  digest_key:
    description:
      - A secret of yours, from a vault, by which secret values are compared. With it a diff names each value that
        changed, and RV(plan_sha256) depends on the values.
    type: str
  prune:
    description:
      - Also remove the fleet's containers whose services the files name no longer. Without it they are RV(orphans).
    type: bool
    default: false
  max_prune:
    description: The most containers that O(prune) may remove. If there are more, nothing at all is done.
    type: int
    default: 10
  allow_empty:
    description: Let O(prune) remove all containers of a fleet whose files name no service.
    type: bool
    default: false
  remove_volumes:
    description:
      - Also remove named volumes, with all that is on them. With O(state=absent) those of the files and those that the
        removed containers had. With O(prune) those that the removed containers had and the files name no longer.
      - External volumes stay in any case.
    type: bool
    default: false
  allowed_folders:
    description:
      - The only VM folders that the fleet may be in, themselves or below. Any other is an error.
    type: list
    elements: str
  allowed_datastores:
    description: The only datastores that may be used. A fleet that names none is then an error, too.
    type: list
    elements: str
  allowed_networks:
    description: The only networks that may be used. A service without one is then an error, too.
    type: list
    elements: str
  allowed_templates:
    description: The only templates that may be used.
    type: list
    elements: str
  expected_plan:
    description:
      - The RV(plan_sha256) of a plan that was reviewed, or a file that RV(plan) was written to. If what would be done
        is anything else, nothing is done, and the error says what is different.
      - With the file, the error lists each container whose plan differs.
    type: str
  recreate:
    description: Replace all containers even where nothing differs.
    type: bool
    default: false
  comparisons:
    description:
      - How an option of the containers is compared, by its name, as for M(bonneville.vsphere.instant_clone_container).
      - What is not named here is V(strict). What the files do not say, or say no longer, is compared, too.
    type: dict
  on_failure:
    description:
      - What becomes of a new container that did not come up. V(remove) leaves nothing behind, the last lines of its
        output are in the error. V(keep) leaves it to be looked at, and the next run replaces it.
    type: str
    choices: [keep, remove]
    default: remove
  timeout:
    description:
      - Seconds for each step of a service, such as cloning and coming up, or the end of a job that others wait for.
    type: int
    default: 300
  healthy_wait_timeout:
    description: Seconds that a container gets to become healthy once it runs.
    type: int
    default: 300
  lock_timeout:
    description:
      - Seconds to wait for another run on this fleet. With V(0) the run fails at once, and says whose run that is.
    type: int
    default: 300
  clones_per_template:
    description: How many clones of one template VM are made at a time, by all services together.
    type: int
    default: 8
extends_documentation_fragment:
  - bonneville.vsphere.connection
  - bonneville.vsphere.attributes
  - bonneville.vsphere.attributes.action_group
requirements:
  - PyYAML
  - jsonschema
notes:
  - A service's update goes by its C(deploy.update_config). With C(failure_action) V(rollback) the old VMs stay until
    the whole service is updated, so twice the memory is needed meanwhile with V(start-first).
  - A service with C(restart) V("no"), or one whose end another service awaits, is a job. When it has ended it is
    finished, and it is run again only if its description changes, or if it failed and another service waits for
    its success. With C(x-bonneville.ttl) its VM is removed that long after its end; a folder C(_done ...) in the
    fleet's folder then is the record that it was done.
  - A container that depends on one that failed is not started, and is named in the error.
  - When a template is rebuilt with another image of the same name, the containers of that image are replaced. All
    others stay on the older generation. A warning names them, and O(recreate) replaces them.
seealso:
  - module: bonneville.vsphere.instant_clone_container
  - module: bonneville.vsphere.photon_template
  - module: bonneville.vsphere.container_vm_info
  - module: community.docker.docker_compose_v2
"""

EXAMPLES = r"""
- name: Make vSphere match a fleet's directory
  bonneville.vsphere.container_fleet:
    project_src: fleets/shop
    template: photon
    owner: git.example.com/platform/fleets

- name: See what would be done, and keep it for the review
  bonneville.vsphere.container_fleet:
    project_src: fleets/shop
    template: photon
    owner: git.example.com/platform/fleets
    prune: true
  check_mode: true
  register: planned

- name: Write the plan
  ansible.builtin.copy:
    content: "{{ planned.plan | to_nice_json }}"
    dest: plan.json
    mode: "0644"

- name: After the review, do just that
  bonneville.vsphere.container_fleet:
    project_src: fleets/shop
    template: photon
    owner: git.example.com/platform/fleets
    prune: true
    expected_plan: "{{ planned.plan_sha256 }}"

- name: Remove a fleet
  bonneville.vsphere.container_fleet:
    name: shop
    owner: git.example.com/platform/fleets
    state: absent
"""

RETURN = r"""
actions:
  description:
    - What was done, or would be in check mode, in the plan's order. What was taken back, or not begun after a failure,
      is not among it.
  returned: always
  type: list
  elements: dict
  sample:
    - {action: create, name: shop-web-0, reason: it does not exist}
plan:
  description:
    - What was to be done, as a document that has the schema of C(docs/plan.schema.json). Secret values are not in it.
  returned: on success, with V(plan_differs), and when a part of the plan failed
  type: dict
  sample: {schema: 1, fleet: shop, counts: {create: 1, update: 0, recreate: 0, remove: 0, unchanged: 3}}
plan_sha256:
  description: SHA-256 over the plan as JSON with sorted keys and without blanks.
  returned: on success, with V(plan_differs), and when a part of the plan failed
  type: str
  sample: 9f2a6f0d2f1d0f7cf5f3f4a15a2f9b1c8e6f0b7a4d3c2b1a0f9e8d7c6b5a4f3e
summary:
  description: The plan in one line.
  returned: on success, with V(plan_differs), and when a part of the plan failed
  type: str
  sample: + 3 create, ~ 1 recreate (image), - 1 remove, = 12 unchanged
services:
  description: Each service in short, by its name.
  returned: on success, and when a part of the plan failed
  type: dict
  sample:
    web: {replicas: 3, running: 3, healthy: 3, state: done, why: null}
containers:
  description:
    - Every container of the fleet's services, as M(bonneville.vsphere.container_vm_info) tells it. In check mode those
      that stand now.
  returned: on success, and when a part of the plan failed
  type: list
  elements: dict
  sample:
    - name: shop-web-0
      phase: running
      vm: {moid: vm-42, name: shop-web-0, host: esx1.example.com, ip: 192.0.2.17, power: poweredOn}
orphans:
  description: Containers of services that the files name no longer, where they were not pruned.
  returned: on success, and when a part of the plan failed
  type: list
  elements: dict
  sample:
    - {name: shop-cron, service: cron, moid: vm-40}
error_code:
  description: Kind of the failure, a stable word, such as V(locked), V(plan_differs) or V(dependency_failed).
  returned: on failure
  type: str
  sample: locked
timings:
  description: Seconds that the task took in all.
  returned: success
  type: dict
  sample: {total: 4.2}
"""

from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._argspec import CONNECTION, ArgSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet import report
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.compose import LIBRARIES, load, outline
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.deploy import deploy_fleet
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.desired import ABSENT, read_fleet
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import Project
from ansible_collections.bonneville.vsphere.plugins.module_utils._run import Context, Result, run

_TEXTS = {"type": "list", "elements": "str"}

FLEET = ArgSpec(
    options={
        "project_src": {"type": "path"},
        "files": {**_TEXTS, "default": []},
        "name": {"type": "str"},
        "variables": {"type": "dict", "default": {}},
        "profiles": {**_TEXTS, "default": []},
        "ignore_unsupported": {**_TEXTS, "default": []},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "template": {"type": "str"},
        "network": {"type": "str"},
        "template_folder": {"type": "str", "default": "bonneville-templates"},
        "folder": {"type": "str"},
        "datacenter": {"type": "str"},
        "datastore": {"type": "str"},
        "resource_pool": {"type": "str"},
        "owner": {"type": "str", "default": ""},
        "digest_key": {"type": "str", "no_log": True},
        "prune": {"type": "bool", "default": False},
        "max_prune": {"type": "int", "default": 10},
        "allow_empty": {"type": "bool", "default": False},
        "remove_volumes": {"type": "bool", "default": False},
        "allowed_folders": _TEXTS,
        "allowed_datastores": _TEXTS,
        "allowed_networks": _TEXTS,
        "allowed_templates": _TEXTS,
        "expected_plan": {"type": "str"},
        "recreate": {"type": "bool", "default": False},
        "comparisons": {"type": "dict"},
        "on_failure": {"type": "str", "choices": ["keep", "remove"], "default": "remove"},
        "timeout": {"type": "int", "default": 300},
        "healthy_wait_timeout": {"type": "int", "default": 300},
        "lock_timeout": {"type": "int", "default": 300},
        "clones_per_template": {"type": "int", "default": 8},
    },
    required_if=(("state", "present", ("project_src",)),),
    required_one_of=(("name", "project_src"),),
    secret=("variables",),
)


def main() -> None:
    run(CONNECTION.merge(FLEET), reconcile, libraries=LIBRARIES)


def reconcile(context: Context) -> Result:
    params = context.params

    def read(directory: str) -> Project:
        given: dict[str, Any] = {"name": params["name"] or "", "variables": params["variables"]}
        if params["state"] == ABSENT:
            return outline(directory, params["files"], **given)
        kinds = {name: params[name] for name in ("profiles", "ignore_unsupported")}
        return load(directory, params["files"], **given, **kinds)

    fleet = read_fleet(params, read)
    with context.session() as session:
        done = deploy_fleet(session, fleet, guard=context.apply, progress=context.progress)
    report.check(done)
    for text in report.warnings(done):
        context.warn(text)
    before, after = report.difference(done)
    return Result(
        changed=report.changed(done),
        actions=report.actions(done),
        before=before,
        after=after,
        values=report.values(done),
    )


if __name__ == "__main__":
    main()
