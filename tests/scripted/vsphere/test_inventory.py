"""What stands, read at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.templates import seats
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import NotFound, PermissionMissing
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import (
    OFF,
    ON,
    Scope,
    read_scope,
    read_vms,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import find_datacenter, find_folder
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Folder
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

from tests.support.lab import Lab, running_lab
from tests.support.vsphere import FrozenTemplate, Site, connected

NOWHERE = "vm-0"


@pytest.fixture(scope="module")
def tree(scripted_lab: Lab) -> Iterator[Lab]:
    """The lab with VMs in a folder, and in folders of it."""
    places = {"top": "tree", "left": "tree/a", "right": "tree/b", "deep": "tree/b/c", "beside": "treetop"}
    for name, folder in places.items():
        scripted_lab.control("POST", "/vms", {"name": name, "folder": folder})
    scripted_lab.control("POST", "/vms", {"name": "deep", "folder": "tree/a"})
    scripted_lab.control("POST", "/vms/top/reconfigure", {"lab.mark": "kept"})
    yield scripted_lab
    for vm in scripted_lab.state()["vms"]:
        if vm["folder"].startswith("tree"):
            scripted_lab.control("POST", f"/vms/{vm['moid']}/destroy")


def folder(session: Session, path: str) -> Folder:
    return find_folder(session, datacenter=find_datacenter(session), path=path)


def names(scope: Scope) -> list[str]:
    return sorted(f"{vm.folder}/{vm.name}" for vm in scope.vms)


# What is read ------------------------------------------------------------------------


def test_a_folder_is_read_with_those_in_it(tree: Lab, session: Session) -> None:
    scope = read_scope(session, folders=[folder(session, "tree")])
    assert names(scope) == ["tree/a/deep", "tree/a/left", "tree/b/c/deep", "tree/b/right", "tree/top"]
    assert sorted(scope.folders.values()) == ["tree", "tree/a", "tree/b", "tree/b/c"]
    assert [vm.name for vm in scope.in_folder("tree/b")] == ["deep", "right"]
    assert [vm.name for vm in scope.in_folder("tree/b", recursive=False)] == ["right"]
    assert len(scope.named("deep")) == 2
    assert {scope.host_name(vm.host) for vm in scope.vms} <= set(tree.ready["hosts"])
    assert [store.name for store in scope.datastores.values()] == [tree.ready["datastore"]]


def test_a_folder_is_read_alone(tree: Lab, session: Session) -> None:
    assert names(read_scope(session, folders=[folder(session, "tree")], recursive=False)) == ["tree/top"]


def test_several_folders_are_read_at_once(tree: Lab, session: Session) -> None:
    scope = read_scope(session, folders=[folder(session, "tree/a"), folder(session, "treetop")])
    assert names(scope) == ["tree/a/deep", "tree/a/left", "treetop/beside"]


def test_a_folder_within_another_is_read_once(tree: Lab, session: Session) -> None:
    scope = read_scope(session, folders=[folder(session, "tree"), folder(session, "tree/b")])
    assert len(scope.vms) == 5
    assert scope.in_folder("tree/b/c")[0].name == "deep"


def test_vms_are_read_by_themselves(tree: Lab, session: Session) -> None:
    (moid,) = [vm["moid"] for vm in tree.state()["vms"] if vm["name"] == "beside"]
    scope = read_scope(session, folders=[folder(session, "tree/a")], vms=[moid, moid])
    beside = scope.vm(moid)
    assert beside is not None
    assert beside.folder is None
    assert (beside.host in scope.hosts, beside.datastores[0] in scope.datastores) == (True, True)


def test_clusters_hosts_and_datastores_are_read(tree: Lab, session: Session) -> None:
    site = Site.of(session, tree)
    of_cluster = read_scope(session, computes=[site.compute])
    assert sorted(host.name for host in of_cluster.hosts.values()) == tree.ready["hosts"]
    assert {host.compute for host in of_cluster.hosts.values()} == {site.compute.moid}
    assert site.datastore.moid in of_cluster.datastores
    of_host = read_scope(session, hosts=[site.compute.hosts[1]])
    assert set(of_host.hosts) == {site.compute.hosts[1]}
    assert site.datastore.moid in of_host.datastores
    of_store = read_scope(session, datastores=[site.datastore.moid])
    assert set(of_store.datastores) == {site.datastore.moid}
    assert (of_store.vms, of_store.hosts) == ((), {})


def test_nothing_asked_is_nothing_read(tree: Lab, session: Session) -> None:
    tree.reset_calls()
    assert read_scope(session) == Scope()
    assert read_vms(session, []) == {}
    assert tree.calls() == {}


def test_a_vm_is_what_vcenter_says(tree: Lab, session: Session, frozen_template: FrozenTemplate) -> None:
    moid = frozen_template.moids[0]
    facts = read_vms(session, [moid])[moid]
    (told,) = [vm for vm in tree.state()["vms"] if vm["moid"] == moid]
    assert (facts.name, facts.power, facts.frozen, facts.tools_running) == (told["name"], ON, True, False)
    assert (facts.bios_uuid, facts.instance_uuid) == (told["bios_uuid"], told["instance_uuid"])
    assert dict(facts.extra_config) == told["extra_config"]
    assert (facts.cpus, facts.memory_mb, facts.connected, facts.is_template) == (2, 2048, True, False)
    assert facts.vmx_path == f"[{tree.ready['datastore']}] {told['name']}/{told['name']}.vmx"
    assert facts.boot_time is not None
    (off,) = [vm for vm in read_scope(session, folders=[folder(session, "tree")]).vms if vm.name == "top"]
    assert (off.power, off.ip, off.boot_time, off.extra_config["lab.mark"]) == (OFF, "", None, "kept")


def test_hosts_and_datastores_are_what_vcenter_says(tree: Lab, session: Session) -> None:
    site = Site.of(session, tree)
    scope = read_scope(session, computes=[site.compute])
    for host in scope.hosts.values():
        assert host.in_service
        assert host.memory_mb == 64 << 10
        assert 0 < host.memory_free_mb < host.memory_mb
        assert site.network.moid in host.networks
    store = scope.datastores[site.datastore.moid]
    assert store.name == tree.ready["datastore"]
    assert store.accessible
    assert 0 < store.free_bytes <= store.capacity_bytes


@pytest.mark.parametrize(
    ("operation", "back", "trouble"),
    [
        ("maintenance", "exit-maintenance", "it is in maintenance mode"),
        ("disconnect", "reconnect", "it is disconnected from vCenter"),
    ],
)
def test_a_host_out_of_service_says_why(operation: str, back: str, trouble: str) -> None:
    with running_lab(guests="scripted", hosts=2) as lab, connected(lab) as session:
        site = Site.of(session, lab)

        def troubles() -> dict[str, str]:
            scope = read_scope(session, computes=[site.compute])
            return {host.name: host.trouble for host in scope.hosts.values()}

        lab.control("POST", f"/hosts/DC0_C0_H1/{operation}")
        assert troubles() == {"DC0_C0_H0": "", "DC0_C0_H1": trouble}
        lab.control("POST", f"/hosts/DC0_C0_H1/{back}")
        assert troubles() == {"DC0_C0_H0": "", "DC0_C0_H1": ""}


def test_the_frozen_template_offers_a_seat_on_every_host(session: Session, frozen_template: FrozenTemplate) -> None:
    found = seats(read_scope(session, folders=[folder(session, frozen_template.folder)]), frozen_template.name)
    assert [trouble.message for trouble in found.troubles] == []
    assert {seat.host_name: seat.moid for seat in found.usable} == dict(frozen_template.vms)
    assert all(dict(seat.images) == dict(frozen_template.images) for seat in found.usable)


# What is gone ---------------------------------------------------------------------------


def test_a_scope_that_is_gone(session: Session) -> None:
    with pytest.raises(NotFound, match="Cannot read the inventory"):
        read_scope(session, folders=[Folder(moid="group-0", path="gone")])


def test_vms_that_are_gone_are_left_out(tree: Lab, session: Session) -> None:
    wanted = [vm["moid"] for vm in tree.state()["vms"] if vm["folder"].startswith("tree/a")]
    assert set(read_vms(session, [*wanted, NOWHERE])) == set(wanted)


@pytest.fixture
def unreadable(scripted_lab: Lab) -> Iterator[None]:
    """The user sees what there is, and may read none of it."""
    scripted_lab.control("POST", "/switch", {"deny": ["System.Read"]})
    yield
    scripted_lab.control("POST", "/switch", {"deny": []})


@pytest.mark.usefixtures("unreadable")
def test_a_vm_that_may_not_be_read_does_not_pass_for_somebody_elses(tree: Lab, session: Session) -> None:
    words = (
        r"Cannot read the inventory: the privilege System\.Read is missing on VirtualMachine '.*' \(vm-\d+\)\. Grant"
    )
    with pytest.raises(PermissionMissing, match=words):
        read_scope(session, folders=[folder(session, "tree")])


# The cost -------------------------------------------------------------------------------


def cost_of_reading_others(vms: int) -> tuple[dict[str, int], int, dict[str, Any]]:
    """The calls of a read of two VMs among many, of one of all of them, and the state that they leave."""
    with running_lab(guests="scripted", hosts=3, arguments=("--vms", str(vms))) as lab, connected(lab) as session:
        for name in ("mine-0", "mine-1"):
            lab.control("POST", "/vms", {"name": name, "folder": "mine"})
        mine, others, compute = folder(session, "mine"), folder(session, "others"), Site.of(session, lab).compute
        lab.reset_calls()
        assert len(read_scope(session, folders=[mine], computes=[compute]).vms) == 2
        small = lab.calls()
        lab.reset_calls()
        assert len(read_scope(session, folders=[others]).vms) == vms
        return small, sum(lab.calls().values()), lab.state()


def test_a_scope_costs_the_same_in_a_larger_inventory() -> None:
    few, all_of_few, left = cost_of_reading_others(20)
    many, all_of_many, left_by_many = cost_of_reading_others(600)
    assert few == many == {"RetrievePropertiesEx": 1}
    assert (all_of_few, all_of_many) == (1, 2)  # one, and one more for each further 500 objects
    for state in (left, left_by_many):
        assert (state["views"], state["collectors"]) == (0, 0)
