"""A host goes into maintenance mode and comes back, while containers run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

from tests.scripted.template_support import IMAGE, READS, Template, actions, good, make_folder
from tests.support.containers import clone_containers
from tests.support.lab import Lab, small_lab
from tests.support.modules import run_module, run_playbook

_numbers = itertools.count()
PLAYBOOKS = Path(__file__).parents[2] / "playbooks"


@pytest.fixture(scope="module")
def scripted_lab() -> Iterator[Lab]:
    """A lab of these tests' own: a host's maintenance concerns whatever is on it, other tests' templates as well."""
    with small_lab() as lab:
        yield lab


@pytest.fixture
def template(scripted_lab: Lab) -> Iterator[Template]:
    """A template that is frozen on every host."""
    one = Template(lab=scripted_lab, name=f"hm{next(_numbers)}")
    make_folder(scripted_lab, one.folder)
    yield one
    scripted_lab.control("POST", f"/hosts/{one.hosts[0]}/exit-maintenance")
    good(one.absent(force=True))
    state = scripted_lab.state()
    assert (state["sessions"], state["violations"]) == (0, [])


@pytest.fixture
def parked(template: Template, session: Session) -> dict[str, str]:
    """Three containers, one on each host, and the first host's template VM powered off; the containers' moids."""
    frozen = template.as_frozen(template.built())
    service = f"web-{template.name}"
    clones = clone_containers(session, template.lab, frozen, service, replicas=3, folder=f"clones-{template.name}")
    good(template.absent(state="parked", hosts=template.hosts[:1]))
    return clones


def maintain(template: Template, *, check: bool = False, **options: Any) -> dict[str, Any]:
    given = {**template.lab.connection, "host": template.hosts[0], **options}
    return run_module("host_maintenance", given, check=check, environment=template.lab.environment)


def hosts(template: Template, names: Any) -> dict[str, str]:
    return {name: template.lab.vms()[name]["host"] for name in names}


def test_containers_move_and_keep_running_and_the_host_comes_back(template: Template, parked: dict[str, str]) -> None:
    before = template.lab.vms()
    foretold = good(maintain(template, check=True))
    assert hosts(template, parked) == {name: before[name]["host"] for name in parked}
    done = good(maintain(template))
    assert done["actions"] == foretold["actions"]
    assert done["diff"] == foretold["diff"]
    moved, kept, also_kept = sorted(parked)
    assert [(one["action"], one["name"]) for one in done["actions"]] == [
        ("migrate", moved),
        ("enter_maintenance", template.hosts[0]),
    ]
    after = template.lab.vms()
    assert after[moved]["host"] == done["actions"][0]["to"] != template.hosts[0]
    assert all(after[name]["power"] == "poweredOn" and after[name]["moid"] == parked[name] for name in parked)
    assert [after[name]["host"] for name in (kept, also_kept)] == template.hosts[1:]
    template.lab.reset_calls()
    assert not good(maintain(template))["changed"]
    assert set(template.lab.calls()) <= READS
    back = good(maintain(template, state="in_service"))
    assert actions(back) == [("exit_maintenance", template.hosts[0])]
    assert not good(maintain(template, state="in_service"))["changed"]
    assert actions(template.built()) == [("boot", template.vm(0))]


def test_a_template_vm_that_is_not_parked_is_told_and_nothing_done(template: Template) -> None:
    template.built()
    before = template.stands()
    for check in (True, False):
        refused = maintain(template, check=check)
        assert refused["error_code"] == "in_use"
        assert template.vm(0) in refused["msg"]
        assert "parked" in refused["msg"]
    assert template.stands() == before


def test_without_migration_containers_are_told(template: Template, parked: dict[str, str]) -> None:
    refused = maintain(template, migrate=False)
    assert refused["error_code"] == "in_use"
    assert refused["container_vms"] == [sorted(parked)[0]]


def test_a_vm_that_cannot_be_moved_keeps_the_host_in_service(template: Template, parked: dict[str, str]) -> None:
    with template.lab.fault(method="RelocateVM_Task", task=True, fault="InsufficientMemoryResourcesFault"):
        failed = maintain(template)
    assert failed["error_code"] == "capacity_short"
    assert sorted(parked)[0] in failed["msg"]
    assert not failed["changed"]
    assert good(maintain(template))["changed"]


def test_with_nowhere_to_go_nothing_is_begun(template: Template, parked: dict[str, str]) -> None:
    template.lab.control("POST", "/switch", {"host_memory_free_mb": 16})
    try:
        refused = maintain(template)
    finally:
        template.lab.control("POST", "/switch", {"host_memory_free_mb": 65536})
    assert refused["error_code"] == "capacity_short"
    assert hosts(template, parked)[sorted(parked)[0]] == template.hosts[0]


@pytest.mark.parametrize("privilege", ["Resource.HotMigrate", "Host.Config.Maintenance"])
def test_a_missing_privilege_is_named_before_anything_moves(
    template: Template, parked: dict[str, str], privilege: str
) -> None:
    with template.denied(privilege):
        refused = maintain(template)
    assert refused["error_code"] == "permission_missing"
    assert privilege in refused["msg"]
    assert hosts(template, parked)[sorted(parked)[0]] == template.hosts[0]


# The playbook -----------------------------------------------------------------------


def play(template: Template, **variables: Any) -> None:
    options = {
        f"photon_template_{name}": value
        for name, value in template.given({}).items()
        if name not in template.lab.connection
    }
    known = {
        "host_maintenance_host": template.hosts[0],
        "host_maintenance_template_folder": template.folder,
        **options,
        **variables,
    }
    done = run_playbook(PLAYBOOKS / "host_maintenance.yml", environment=template.lab.environment, variables=known)
    assert done.code == 0, done.output


def test_the_playbook_parks_moves_and_brings_back(template: Template, session: Session) -> None:
    frozen = template.as_frozen(template.built())
    clones = clone_containers(
        session, template.lab, frozen, f"web-{template.name}", replicas=3, folder=f"clones-{template.name}"
    )
    play(template)
    assert template.vms()[template.vm(0)]["power"] == "poweredOff"
    assert template.hosts[0] not in hosts(template, clones).values()
    assert not good(maintain(template))["changed"]
    play(template, host_maintenance_state="in_service")
    assert template.vms()[template.vm(0)]["frozen"]
    assert not good(maintain(template, state="in_service"))["changed"]


def test_the_playbook_replaces_what_it_does_not_move(template: Template, tmp_path: Path) -> None:
    template.built()
    folder = f"replaced-{template.name}"
    make_folder(template.lab, folder)
    deploy = {
        "name": f"web-{template.name}",
        "template": template.name,
        "template_folder": template.folder,
        "folder": folder,
        "image": IMAGE,
        "replicas": 3,
    }
    good(
        run_module(
            "instant_clone_container", {**template.lab.connection, **deploy}, environment=template.lab.environment
        )
    )
    names = [f"web-{template.name}-{n}" for n in range(3)]
    before = template.lab.vms()
    tasks = tmp_path / "deploy.yml"
    tasks.write_text(yaml.safe_dump([{"bonneville.vsphere.instant_clone_container": deploy}]))
    play(
        template,
        host_maintenance_containers="replace",
        host_maintenance_redeploy=str(tasks),
        host_maintenance_folder=folder,
    )
    after = template.lab.vms()
    assert template.hosts[0] not in hosts(template, names).values()
    replaced = [name for name in names if after[name]["moid"] != before[name]["moid"]]
    assert replaced == [name for name in names if before[name]["host"] == template.hosts[0]]
