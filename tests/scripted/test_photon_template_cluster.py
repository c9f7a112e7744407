"""A template and its cluster: hosts that come and go, and what DRS and HA would do with template VMs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import find_compute
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.overrides import exempt, read_overrides
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import wait_for_tasks

from tests.scripted.template_support import IMAGE, READS, Template, actions, good, make_folder
from tests.support.containers import clone_containers
from tests.support.lab import Lab, running_lab
from tests.support.modules import run_module
from tests.support.vsphere import SECONDS, Site, connected

_numbers = itertools.count()


@pytest.fixture(scope="module")
def wide_lab() -> Iterator[Lab]:
    with running_lab(guests="scripted", hosts=8, arguments=("--clusters", "2")) as lab:
        yield lab


@pytest.fixture
def session(wide_lab: Lab) -> Iterator[Session]:
    with connected(wide_lab) as one:
        yield one


@pytest.fixture
def template(wide_lab: Lab) -> Iterator[Template]:
    one = Template(lab=wide_lab, name=f"wide{next(_numbers)}")
    make_folder(wide_lab, one.folder)
    yield one
    good(one.absent(force=True))
    assert not wide_lab.state()["violations"]


def cluster(session: Session, lab: Lab) -> Any:
    """The cluster that templates are made on."""
    found = find_compute(session, datacenter=Site.of(session, lab).datacenter, path=lab.ready["cluster"])
    return session.managed("ClusterComputeResource", found.moid)


def done(session: Session, task: Any) -> None:
    state = wait_for_tasks(session, {"": task}, deadline=Deadline(SECONDS))[""]
    assert state.ok, state


def move_host(session: Session, host: Any, to: Any) -> None:
    """Take a host out of its cluster and into another one, as an administrator does."""
    done(session, host.EnterMaintenanceMode_Task(timeout=5))
    done(session, to.MoveInto_Task([host]))
    done(session, host.ExitMaintenanceMode_Task(timeout=5))


def test_the_vm_of_a_host_that_left_goes_and_one_in_use_is_kept(template: Template, session: Session) -> None:
    home = cluster(session, template.lab)
    (other,) = [one for one in home.parent.childEntity if one._moId != home._moId and "Cluster" in type(one).__name__]
    hosts = {host.name: host for host in home.host}
    names = sorted(hosts)[:3]
    frozen = template.as_frozen(template.built())
    clones = clone_containers(session, template.lab, frozen, "stays", replicas=2, folder="clones-left")
    good(template.absent(state="parked", hosts=names[1:]))
    template.control(clones["stays-1"], "power-off")
    for name in names[1:]:
        move_host(session, hosts[name], other)
    try:
        foretold = good(template.run(check=True))
        left = template.built()
        assert actions(left) == actions(foretold)
        assert sorted(actions(left)) == [
            ("leave", f"{template.name}@{names[2]}"),
            ("retire", f"{template.name}@{names[1]}"),
        ]
        assert all(one["reason"].startswith("its host left the cluster") for one in left["actions"])
        assert [one["clones"] for one in left["template"]["retired"]] == [["stays-1"]]
        assert not template.built()["changed"]
    finally:
        for name in names[1:]:
            move_host(session, hosts[name], home)
    assert sorted(action for action, _ in actions(template.built())) == ["clone", "import"]


# DRS and HA ---------------------------------------------------------------------


def enable(session: Session, lab: Lab, *, drs: bool, ha: bool) -> None:
    change = vim.cluster.ConfigSpecEx(
        drsConfig=vim.cluster.DrsConfigInfo(enabled=drs), dasConfig=vim.cluster.DasConfigInfo(enabled=ha)
    )
    done(session, cluster(session, lab).ReconfigureComputeResource_Task(spec=change, modify=True))


def overrides(session: Session, lab: Lab) -> tuple[set[str], set[str]]:
    config = cluster(session, lab).configurationEx
    drs = {one.key._moId for one in config.drsVmConfig if one.enabled is False}
    ha = {one.key._moId for one in config.dasVmConfig if one.dasSettings.restartPriority == "disabled"}
    return drs, ha


def test_template_vms_are_exempted_from_drs_and_ha(template: Template, session: Session) -> None:
    enable(session, template.lab, drs=True, ha=True)
    built = template.built()
    moids = {one["moid"] for one in built["template"]["hosts"]}
    drs, ha = overrides(session, template.lab)
    assert moids <= drs & ha
    template.lab.reset_calls()
    assert not template.built()["changed"]
    assert set(template.lab.calls()) <= READS


def test_what_was_not_exempted_is_when_it_may_be(template: Template, session: Session) -> None:
    enable(session, template.lab, drs=True, ha=True)
    with template.denied("Host.Inventory.EditCluster"):
        built = template.built()
        assert "Host.Inventory.EditCluster" in str(built["warnings"])
        assert not template.built()["changed"]
    moids = {one["moid"] for one in built["template"]["hosts"]}
    assert not moids & overrides(session, template.lab)[0]
    foretold = good(template.run(check=True))
    exempted = template.built()
    assert actions(exempted) == actions(foretold)
    assert {action for action, _ in actions(exempted)} == {"exempt"}
    assert exempted["diff"]["before"] != exempted["diff"]["after"]
    assert moids <= set.intersection(*overrides(session, template.lab))
    assert {one["moid"] for one in exempted["template"]["hosts"]} == moids
    assert not template.built()["changed"]


def test_overrides_that_another_run_made_meanwhile(template: Template, session: Session) -> None:
    """What was read before is no longer so: one VM has its overrides by now, the others none."""
    enable(session, template.lab, drs=False, ha=False)
    moids = sorted(one["moid"] for one in template.built()["template"]["hosts"])
    enable(session, template.lab, drs=True, ha=True)
    place = find_compute(
        session, datacenter=Site.of(session, template.lab).datacenter, path=template.lab.ready["cluster"]
    )
    before = read_overrides(session, [place])[place.moid]
    assert all(before.lacking(moid) for moid in moids)
    assert exempt(session, place, moids[:1], known=before, deadline=Deadline(SECONDS)) is None
    assert exempt(session, place, moids, known=before, deadline=Deadline(SECONDS)) is None
    assert exempt(session, place, moids, known=before, deadline=Deadline(SECONDS)) is None
    assert set(moids) <= set.intersection(*overrides(session, template.lab))


def test_a_cluster_without_drs_and_ha_is_left_alone(template: Template, session: Session) -> None:
    enable(session, template.lab, drs=False, ha=False)
    template.lab.reset_calls()
    with template.denied("Host.Inventory.EditCluster"):
        template.built()
    assert "ReconfigureComputeResource_Task" not in template.lab.calls()


# A host fails ---------------------------------------------------------------------


def test_a_host_that_restarts_in_the_middle_of_a_deploy_is_mended_and_the_deploy_finished(template: Template) -> None:
    template.built()
    victim = template.vm(1)
    deploy = {
        **template.lab.connection,
        "name": f"web-{template.name}",
        "template": template.name,
        "template_folder": template.folder,
        "image": IMAGE,
        "replicas": 6,
        "state": "started",
    }

    def fail_when_cloning() -> None:
        while "InstantClone_Task" not in template.lab.calls():
            time.sleep(0.01)
        template.lab.control("POST", f"/hosts/{template.hosts[1]}/restart")

    template.lab.reset_calls()
    with (
        template.lab.fault(method="InstantClone_Task", task=True, delay_ms=500, times=-1),
        ThreadPoolExecutor() as pool,
    ):
        failure = pool.submit(fail_when_cloning)
        broken = run_module("instant_clone_container", deploy, environment=template.lab.environment)
        failure.result()
    assert not template.vms()[victim]["frozen"]
    if broken.get("failed"):
        assert broken["error_code"] != "error", broken["msg"]
    repaired = template.built()
    assert [name for _, name in actions(repaired)] == [victim]
    assert template.vms()[victim]["frozen"]
    good(run_module("instant_clone_container", deploy, environment=template.lab.environment))
    vms = {name: vm for name, vm in template.lab.vms().items() if name.startswith(f"{deploy['name']}-")}
    assert sorted(vms) == [f"{deploy['name']}-{number}" for number in range(6)]
    assert all(vm["power"] == "poweredOn" for vm in vms.values())
    again = good(run_module("instant_clone_container", deploy, environment=template.lab.environment))
    assert not again["changed"]
