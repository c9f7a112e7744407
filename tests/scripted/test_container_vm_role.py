"""A role of exactly what is needed: every module works under it, and nothing in it is for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._privileges import TASKS, needed
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import wait_for_tasks

from tests.support.archives import save_image
from tests.support.lab import ROOT, Lab, running_lab
from tests.support.modules import run_module, run_playbook
from tests.support.vsphere import SECONDS, connected

Run = Callable[..., dict[str, Any]]
ANSIBLE = "VSPHERE.LOCAL\\ansible"
# What vSphere's documents ask for where the lab need not: a full clone's disks, exemptions where a cluster has DRS, and
# an OVA that a host gets by itself.
NOT_ASKED_HERE = {"VirtualMachine.Config.AddNewDisk", "Host.Inventory.EditCluster", "VApp.PullFromUrls"}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab of this module's own, since a user that lacks privileges lacks them everywhere."""
    with running_lab(guests="scripted", hosts=2) as lab:
        yield lab


@pytest.fixture
def run(lab: Lab) -> Run:
    def call(module: str, **options: Any) -> dict[str, Any]:
        check = options.pop("check", False)
        return run_module(module, {**lab.connection, **options}, check=check, environment=lab.environment)

    return call


def privileges_of(lab: Lab, name: str) -> set[str]:
    """A role's privileges as vCenter has them, less those that it gives to all."""
    with connected(lab) as session:
        (role,) = [one for one in session.content.authorizationManager.roleList if one.name == name]
        return {one for one in role.privilege if not one.startswith("System.")}


def who_has(lab: Lab, name: str) -> list[tuple[str, bool, bool]]:
    with connected(lab) as session:
        manager = session.content.authorizationManager
        (role,) = [one for one in manager.roleList if one.name == name]
        return [(one.principal, one.group, one.propagate) for one in manager.RetrieveRolePermissions(role.roleId)]


def did(result: dict[str, Any]) -> list[str]:
    assert not result.get("failed"), result["msg"]
    return [one["action"] for one in result["actions"]]


def refused(result: dict[str, Any], code: str) -> str:
    assert result.get("failed"), result
    assert result["error_code"] == code
    message: str = result["msg"]
    return message


def test_a_role_is_made_given_changed_and_removed(run: Run, lab: Lab) -> None:
    options: dict[str, Any] = {"name": "Some", "tasks": ["containers"], "principal": ANSIBLE}
    foretold = run("container_vm_role", **options, check=True)
    assert did(foretold) == ["create", "grant"]
    made = run("container_vm_role", **options)
    assert (did(made), made["diff"]) == (["create", "grant"], foretold["diff"])
    assert privileges_of(lab, "Some") == set(TASKS["containers"])
    assert who_has(lab, "Some") == [(ANSIBLE, False, True)]
    assert did(run("container_vm_role", **{**options, "principal": ANSIBLE.upper()})) == []
    assert did(run("container_vm_role", **{**options, "tasks": ["containers", "volumes"]})) == ["update"]
    assert privileges_of(lab, "Some") == needed(["containers", "volumes"])
    assert did(run("container_vm_role", **options)) == ["update"]
    assert privileges_of(lab, "Some") == set(TASKS["containers"])

    assert ANSIBLE in refused(run("container_vm_role", name="Some", state="absent"), "in_use")
    assert "Some" in refused(run("container_vm_role", name="Other", principal=ANSIBLE), "in_use")
    with connected(lab) as session:
        manager = session.content.authorizationManager
        (role,) = [one for one in manager.roleList if one.name == "Some"]
        (permission,) = manager.RetrieveRolePermissions(role.roleId)
        manager.RemoveEntityPermission(permission.entity, permission.principal, permission.group)
    assert did(run("container_vm_role", name="Some", state="absent", check=True)) == ["remove"]
    assert did(run("container_vm_role", name="Some", state="absent")) == ["remove"]
    assert did(run("container_vm_role", name="Some", state="absent")) == []


def test_a_role_of_somebody_else_is_left_as_it_is(run: Run, lab: Lab) -> None:
    before = privileges_of(lab, "Admin")
    for state in ("present", "absent"):
        assert "somebody else's" in refused(run("container_vm_role", name="Admin", state=state), "invalid_option")
    assert privileges_of(lab, "Admin") == before


def test_a_principal_is_named_as_vcenter_knows_it(run: Run) -> None:
    told = refused(run("container_vm_role", principal="ansible@vsphere.local"), "invalid_option")
    assert "DOMAIN\\name" in told


def test_who_may_not_make_a_role_is_told_so(run: Run, lab: Lab) -> None:
    with lab.fault(method="AddAuthorizationRole", fault="NoPermission", privilege="Authorization.ModifyRoles"):
        told = refused(run("container_vm_role", name="Mine"), "permission_missing")
    assert "Authorization.ModifyRoles" in told
    assert "create_role" not in told, "it is sent in a circle"


FLEET = """
services:
  db: {image: "registry.example/web:1", volumes: ["data:/data"]}
  web: {image: "registry.example/web:1", depends_on: [db], deploy: {replicas: 2}}
volumes: {data: {}}
"""


def test_all_modules_work_under_the_role_and_need_all_of_it(run: Run, lab: Lab, tmp_path: Path) -> None:
    made = run_playbook(ROOT / "playbooks" / "create_role.yml", environment=lab.environment)
    assert made.code == 0, made.output
    granted = privileges_of(lab, "Container VMs")
    lab.control("POST", "/switch", {"grant": sorted(granted)})
    try:
        use_everything(run, lab, tmp_path)
        asked = set(lab.state()["privileges"])
    finally:
        lab.control("POST", "/switch", {"grant": []})
    assert granted - asked <= NOT_ASKED_HERE, "the role has what nothing asked for"


def relocate(lab: Lab, *, vm: str, beside: str) -> None:
    """As an admin does: to the host of another VM."""
    with connected(lab) as session:
        there = session.managed("VirtualMachine", beside).runtime.host
        task = session.managed("VirtualMachine", vm).RelocateVM_Task(spec=vim.vm.RelocateSpec(host=there))
        assert wait_for_tasks(session, {"move": task}, deadline=Deadline(SECONDS))["move"].ok


def use_everything(run: Run, lab: Lab, directory: Path) -> None:
    """A life of a template with all that is to be had, of a service, and of a fleet with a volume."""
    template = {
        "name": "photon",
        "source": {"ova": lab.ready["ova"]},
        "accept_eula": True,
        "cluster": lab.ready["cluster"],
        "datastore": lab.ready["datastore"],
        "network": lab.ready["network"],
        "images": ["registry.example/web:1"],
        "image_archives": [str(save_image(directory / "image.tar"))],
        "cpus": 4,
        "memory_mb": 4096,
        "memory_reservation_mb": 1024,
        "disk_gb": 64,
        "timeout": 120,
    }
    assert did(run("photon_template", **template))
    moved, other = sorted(lab.vms("bonneville-templates").values(), key=lambda vm: str(vm["name"]))
    assert did(run("photon_template", name="photon", state="parked", hosts=[moved["host"]]))
    relocate(lab, vm=moved["moid"], beside=other["moid"])
    assert "move" in did(run("photon_template", **template))

    service = {"name": "web", "replicas": 2, "template": "photon", "image": "registry.example/web:1"}
    assert did(run("instant_clone_container", **service))
    assert did(run("instant_clone_container", **service, env={"GREETING": "hello"}))
    told = run("container_vm_info", service="web", logs=5)
    assert [one["name"] for one in told["containers"]] == ["web-0", "web-1"]
    assert did(run("container_vm_absent", service="web"))

    (directory / "compose.yaml").write_text(FLEET)
    fleet = {"project_src": str(directory), "name": "shop", "template": "photon"}
    assert did(run("container_fleet", **fleet))
    lab.control("POST", "/vms/shop-db/move?folder=others")
    assert did(run("container_fleet", **fleet)) == ["move"]
    host = lab.vms()["shop-db"]["host"]
    assert did(run("photon_template", name="photon", state="parked", hosts=[host]))
    assert did(run("host_maintenance", host=host, state="maintenance"))
    assert did(run("host_maintenance", host=host, state="in_service"))
    assert did(run("container_fleet", **fleet, state="absent", remove_volumes=True))
    assert did(run("photon_template", name="photon", state="absent"))
