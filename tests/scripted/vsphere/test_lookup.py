"""From names to objects, and what is said of names that do not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    Ambiguous,
    InUse,
    InvalidOption,
    NotFound,
    PermissionMissing,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import (
    ensure_folder,
    find_by_uuid,
    find_compute,
    find_datacenter,
    find_datastore,
    find_folder,
    find_folder_or_none,
    find_hosts,
    find_network,
    find_pool,
    find_vm,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Datacenter
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import wait_for_tasks

from tests.support.lab import Lab, running_lab
from tests.support.vsphere import SECONDS, connected

Find = Callable[..., Any]


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Lab, Session, Datacenter]]:
    """Two clusters, and things that have the same name, or lie in folders, or both."""
    with (
        running_lab(guests="scripted", hosts=2, arguments=("--clusters", "2")) as lab,
        connected(lab) as session,
    ):
        dc0 = session.content.searchIndex.FindByInventoryPath("DC0")
        regions = session.content.rootFolder.CreateFolder("regions")
        for region in ("north", "south"):
            regions.CreateFolder(region).CreateDatacenter("DC1")
        make_port_group(session, dc0.networkFolder.CreateFolder("lans"), "web-lan")
        dc0.datastoreFolder.CreateFolder("fast")
        move(session, dc0.datastoreFolder.childEntity, "LocalDS_0", into=dc0.datastoreFolder, folder="fast")
        rack = dc0.hostFolder.CreateFolder("rack")
        other = dc0.hostFolder.CreateFolder("other rack")
        spec = vim.cluster.ConfigSpecEx()
        for folder in (rack, other):
            folder.CreateClusterEx(name="twin", spec=spec)
        cluster = rack.CreateClusterEx(name="lone", spec=spec)
        cluster.resourcePool.CreateResourcePool(name="deep", spec=pool_spec())
        pools = session.content.searchIndex.FindByInventoryPath("DC0/host/DC0_C0/Resources")
        pools.CreateResourcePool(name="gold", spec=pool_spec()).CreateResourcePool(name="inner", spec=pool_spec())
        for name in ("esx.a.example", "esx.b.example"):
            add_host(session, dc0.hostFolder, name)
        for folder in ("here", "there"):
            lab.control("POST", "/vms", {"name": "web", "folder": folder})
        lab.control("POST", "/vms", {"name": "single", "folder": "here/below"})
        yield lab, session, find_datacenter(session, "DC0")


def pool_spec() -> Any:
    allocation = vim.ResourceAllocationInfo(
        reservation=0, limit=-1, expandableReservation=True, shares=vim.SharesInfo(level="normal", shares=0)
    )
    return vim.ResourceConfigSpec(cpuAllocation=allocation, memoryAllocation=allocation)


def move(session: Session, children: Any, name: str, *, into: Any, folder: str) -> None:
    (child,) = [child for child in children if child.name == name]
    (target,) = [one for one in into.childEntity if one.name == folder]
    end(session, target.MoveIntoFolder_Task([child]))


def make_port_group(session: Session, folder: Any, name: str) -> None:
    config = vim.dvs.VmwareDistributedVirtualSwitch.ConfigSpec(name=f"switch of {name}")
    end(session, folder.CreateDVS_Task(vim.DistributedVirtualSwitch.CreateSpec(configSpec=config)))
    (switch,) = [one for one in folder.childEntity if one.name == f"switch of {name}"]
    port_group = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(name=name, type="earlyBinding", numPorts=8)
    end(session, switch.AddDVPortgroup_Task([port_group]))


def add_host(session: Session, folder: Any, name: str) -> None:
    end(session, folder.AddStandaloneHost_Task(spec=vim.host.ConnectSpec(hostName=name, force=True), addConnected=True))


def end(session: Session, task: Any) -> None:
    state = wait_for_tasks(session, {"": task}, deadline=Deadline(SECONDS))[""]
    assert state.ok, state.fault


def named(session: Session, kind: str, moid: str) -> str:
    return str(session.managed(kind, moid).name)


# Found ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("find", "kind", "given", "name"),
    [
        (find_network, "Network", "VM Network", "VM Network"),
        (find_network, "DistributedVirtualPortgroup", "lans/web-lan", "web-lan"),
        (find_network, "DistributedVirtualPortgroup", "web-lan", "web-lan"),
        (find_datastore, "Datastore", "fast/LocalDS_0", "LocalDS_0"),
        (find_datastore, "Datastore", "LocalDS_0", "LocalDS_0"),
        (find_compute, "ComputeResource", "DC0_C1", "DC0_C1"),
        (find_compute, "ComputeResource", "rack/twin", "twin"),
        (find_compute, "ComputeResource", "lone", "lone"),
        (find_compute, "ComputeResource", "esx.a.example", "esx.a.example"),
        (find_pool, "ResourcePool", "DC0_C1", "Resources"),
        (find_pool, "ResourcePool", "DC0_C0/gold", "gold"),
        (find_pool, "ResourcePool", "DC0_C0/gold/inner", "inner"),
        (find_pool, "ResourcePool", "DC0_C0/Resources/gold", "gold"),
        (find_pool, "ResourcePool", "lone/deep", "deep"),
        (find_folder, "Folder", "here/below", "below"),
        (find_folder, "Folder", "/here/", "here"),
        (find_folder, "Folder", "", "vm"),
    ],
)
def test_found(site: tuple[Lab, Session, Datacenter], find: Find, kind: str, given: str, name: str) -> None:
    _, session, datacenter = site
    assert named(session, kind, find(session, datacenter=datacenter, path=given).moid) == name


@pytest.mark.parametrize("given", ["here/web", "there/web", "here/below/single", "single"])
def test_a_vm_is_found(site: tuple[Lab, Session, Datacenter], given: str) -> None:
    lab, session, datacenter = site
    moid = find_vm(session, datacenter=datacenter, path=given)
    (vm,) = [vm for vm in lab.state()["vms"] if vm["moid"] == moid]
    assert f"{vm['folder']}/{vm['name']}".endswith(given)


@pytest.mark.parametrize("given", ["regions/north/DC1", "/regions/north/DC1/", "DC0", "/DC0"])
def test_a_datacenter_is_found(site: tuple[Lab, Session, Datacenter], given: str) -> None:
    _, session, _ = site
    found = find_datacenter(session, given)
    assert found.path == given.strip("/")
    assert named(session, "Datacenter", found.moid) == found.name


def test_the_only_datacenter_needs_no_name(session: Session) -> None:
    found = find_datacenter(session)
    assert (found.name, found.path) == ("DC0", "DC0")


def test_a_distributed_port_group_knows_its_switch(site: tuple[Lab, Session, Datacenter]) -> None:
    _, session, datacenter = site
    found = find_network(session, datacenter=datacenter, path="web-lan")
    group = session.managed("dvs.DistributedVirtualPortgroup", found.moid)
    assert (found.kind, found.portgroup_key) == ("distributed", group.key)
    assert found.switch_uuid == group.config.distributedVirtualSwitch.uuid


def test_a_cluster_knows_its_pool_and_hosts(site: tuple[Lab, Session, Datacenter]) -> None:
    _, session, datacenter = site
    found = find_compute(session, datacenter=datacenter, path="DC0_C0")
    assert named(session, "ResourcePool", found.pool) == "Resources"
    assert [named(session, "HostSystem", host) for host in found.hosts] == ["DC0_C0_H0", "DC0_C0_H1"]


def test_hosts_are_found_short_or_full(site: tuple[Lab, Session, Datacenter]) -> None:
    _, session, datacenter = site
    names = ["DC0_C1_H0", "esx.b.example", "DC0_C0_H1", "DC0_C0_H1"]
    hosts, computes = find_hosts(session, datacenter=datacenter, names=names)
    assert [host.name for host in hosts] == ["DC0_C1_H0", "esx.b.example", "DC0_C0_H1"]
    assert [computes[host.compute].name for host in hosts] == ["DC0_C1", "esx.b.example", "DC0_C0"]


def test_vms_are_found_by_uuid(site: tuple[Lab, Session, Datacenter]) -> None:
    lab, session, _ = site
    (vm,) = [vm for vm in lab.state()["vms"] if vm["name"] == "single"]
    nobody = "564d0000-0000-0000-0000-000000000000"
    assert find_by_uuid(session, [vm["bios_uuid"], nobody]) == {vm["bios_uuid"]: (vm["moid"],), nobody: ()}
    assert find_by_uuid(session, [vm["instance_uuid"]], instance=True) == {vm["instance_uuid"]: (vm["moid"],)}
    assert find_by_uuid(session, []) == {}


# Not found -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("find", "given", "words"),
    [
        (find_network, "VM network", r"Cannot find the network 'VM network': .*in DC0\. Perhaps 'VM Network' is meant"),
        (find_network, "web_lan", r"Perhaps 'web-lan' is meant"),
        (find_network, "zzz", r"There are 'DC0_DVPG0', "),
        (find_datastore, "LocalDS_1", r"Cannot find the datastore 'LocalDS_1'.*Perhaps 'LocalDS_0' is meant"),
        (find_datastore, "fast", r"Cannot find the datastore 'fast'"),
        (find_compute, "DC0_C2", r"Cannot find the cluster 'DC0_C2'.*Perhaps 'DC0_C[01]' or 'DC0_C[01]' is meant"),
        (find_compute, "rack", r"Cannot find the cluster 'rack'"),
        (find_pool, "DC0_C0/gild", r"Cannot find the resource pool 'DC0_C0/gild'.*Perhaps 'DC0_C0/gold'"),
        (find_folder, "hear", r"Cannot find the folder 'hear'.*Perhaps .*'here'"),
        (find_folder, "here/web", r"Cannot find the folder 'here/web'"),
        (find_vm, "sinlge", r"Cannot find the VM 'sinlge'.*Perhaps 'single' is meant"),
        (find_vm, "there/single", r"Cannot find the VM 'there/single'"),
    ],
)
def test_not_found(site: tuple[Lab, Session, Datacenter], find: Find, given: str, words: str) -> None:
    _, session, datacenter = site
    with pytest.raises(NotFound, match=words):
        find(session, datacenter=datacenter, path=given)


def test_a_datacenter_is_not_found(site: tuple[Lab, Session, Datacenter]) -> None:
    _, session, _ = site
    with pytest.raises(NotFound, match=r"Cannot find the datacenter 'DC9'.*Perhaps 'DC0' is meant"):
        find_datacenter(session, "DC9")
    with pytest.raises(NotFound, match=r"Cannot find the datacenter 'regions'.*There are 'DC0', 'regions/north/DC1'"):
        find_datacenter(session, "regions")


def test_a_host_is_not_found(site: tuple[Lab, Session, Datacenter]) -> None:
    _, session, datacenter = site
    with pytest.raises(NotFound, match=r"Cannot find the host 'DC0_C0_H7'.*Perhaps 'DC0_C0_H"):
        find_hosts(session, datacenter=datacenter, names=["DC0_C0_H0", "DC0_C0_H7"])


def test_a_folder_that_is_not_there_can_be_asked_for(site: tuple[Lab, Session, Datacenter]) -> None:
    _, session, datacenter = site
    assert find_folder_or_none(session, datacenter=datacenter, path="here/nothing") is None


@pytest.mark.parametrize("path", ["a//b", "../other", "a/./b"])
def test_a_path_that_cannot_be_meant(site: tuple[Lab, Session, Datacenter], path: str) -> None:
    _, session, datacenter = site
    with pytest.raises(InvalidOption, match="a part of it is empty or a dot"):
        find_folder(session, datacenter=datacenter, path=path)


# Ambiguous ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("find", "given", "words"),
    [
        (find_vm, "web", "Cannot tell which VM is meant 'web': 2 folders have one of this name"),
        (find_compute, "twin", "Cannot tell which cluster is meant 'twin': 2 folders have one of this name"),
        (find_pool, "twin", "Cannot tell which resource pool is meant 'twin'"),
    ],
)
def test_ambiguous(site: tuple[Lab, Session, Datacenter], find: Find, given: str, words: str) -> None:
    _, session, datacenter = site
    with pytest.raises(Ambiguous, match=words):
        find(session, datacenter=datacenter, path=given)


def test_a_datacenter_is_ambiguous(site: tuple[Lab, Session, Datacenter]) -> None:
    _, session, _ = site
    with pytest.raises(Ambiguous, match=r"'DC1': there are regions/north/DC1, regions/south/DC1\. Name one by"):
        find_datacenter(session, "DC1")
    with pytest.raises(Ambiguous, match=r"which datacenter is meant: there are DC0, regions/north/DC1"):
        find_datacenter(session)


def test_a_host_is_ambiguous(site: tuple[Lab, Session, Datacenter]) -> None:
    _, session, datacenter = site
    with pytest.raises(Ambiguous, match=r"'esx': there are esx\.a\.example, esx\.b\.example\. Give the full name"):
        find_hosts(session, datacenter=datacenter, names=["esx"])


# Folders that are made ------------------------------------------------------------------


def test_a_folder_is_made_with_those_above_it(scripted_lab: Lab, session: Session) -> None:
    datacenter = find_datacenter(session)
    made = ensure_folder(session, datacenter=datacenter, path="made/of/three")
    assert made.path == "made/of/three"
    assert ensure_folder(session, datacenter=datacenter, path="/made/of/three") == made
    assert [folder for folder in scripted_lab.state()["folders"] if folder.startswith("made")] == [
        "made",
        "made/of",
        "made/of/three",
    ]


def test_a_folder_that_stands_costs_one_call(scripted_lab: Lab, session: Session) -> None:
    datacenter = find_datacenter(session)
    scripted_lab.reset_calls()
    assert ensure_folder(session, datacenter=datacenter, path="others").path == "others"
    assert scripted_lab.calls() == {"FindByInventoryPath": 1}


def test_somebody_who_makes_the_same_folder_is_no_trouble(scripted_lab: Lab, session: Session) -> None:
    """Between our look and our call somebody makes it, and vCenter says DuplicateName."""
    datacenter = find_datacenter(session)
    scripted_lab.reset_calls()
    with (
        connected(scripted_lab) as other,
        scripted_lab.fault(method="CreateFolder", delay_ms=300),
        ThreadPoolExecutor() as pool,
    ):
        ours = pool.submit(ensure_folder, session, datacenter=datacenter, path="raced")
        while "CreateFolder" not in scripted_lab.calls():
            pass
        theirs = ensure_folder(other, datacenter=datacenter, path="raced")
        assert ours.result() == theirs
    assert scripted_lab.calls()["CreateFolder"] == 2


def test_a_vm_that_has_the_folders_name(scripted_lab: Lab, session: Session) -> None:
    scripted_lab.control("POST", "/vms", {"name": "occupied", "folder": "others"})
    with pytest.raises(InUse, match=r"Cannot create the folder 'others/occupied': the name occupied is taken"):
        ensure_folder(session, datacenter=find_datacenter(session), path="others/occupied")
    scripted_lab.control("POST", "/vms/occupied/destroy")


def test_without_the_privilege_no_folder_is_made(scripted_lab: Lab, session: Session) -> None:
    scripted_lab.control("POST", "/switch", {"deny": ["Folder.Create"]})
    try:
        with pytest.raises(PermissionMissing, match=r"the privilege Folder\.Create is missing on Folder 'vm' \("):
            ensure_folder(session, datacenter=find_datacenter(session), path="forbidden")
    finally:
        scripted_lab.control("POST", "/switch", {"deny": []})


def test_a_lookup_costs_the_same_in_a_larger_inventory(site: tuple[Lab, Session, Datacenter]) -> None:
    lab, session, datacenter = site
    lab.reset_calls()
    find_network(session, datacenter=datacenter, path="VM Network")
    find_datastore(session, datacenter=datacenter, path="fast/LocalDS_0")
    find_compute(session, datacenter=datacenter, path="DC0_C0")
    find_vm(session, datacenter=datacenter, path="here/web")
    assert lab.calls() == {"FindByInventoryPath": 4, "RetrievePropertiesEx": 1}
