"""The pure corners of reading, looking up and devices."""

from __future__ import annotations

import http.client
import ssl
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    InvalidOption,
    PermissionMissing,
    SessionLost,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.collect import Read, read
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import (
    Disk,
    Hardware,
    directory_of,
    is_on,
    network_backing,
    nic_on,
    normal,
    split_path,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import HostFacts, folder_paths
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import clean_path, unknown
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Network
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim, vmodl
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.transport import bracketed, is_transient

NETWORKS = {
    "standard": Network(moid="network-1", name="lan", kind="standard"),
    "distributed": Network(
        moid="dvportgroup-1", name="lan", kind="distributed", portgroup_key="dvportgroup-1", switch_uuid="50 1c"
    ),
    "opaque": Network(moid="network-o1", name="lan", kind="opaque", opaque_id="o1", opaque_type="nsx.LogicalSwitch"),
}


# Paths -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [("", ""), ("/", ""), ("a", "a"), ("/a/b/", "a/b"), (" a / b ", "a/b"), ("a%2fb", "a%2fb")],
)
def test_clean_path(given: str, expected: str) -> None:
    assert clean_path(given) == expected


@pytest.mark.parametrize("given", ["a//b", "a/./b", "../a", "a/ /b"])
def test_a_path_that_cannot_be_meant(given: str) -> None:
    with pytest.raises(InvalidOption):
        clean_path(given)


@pytest.mark.parametrize(
    ("given", "directory", "spelled", "parts"),
    [
        ("[ds] a/b.vmdk", "[ds] a", "[ds] a/b.vmdk", ("ds", "a/b.vmdk")),
        ("[ds]a/b.vmdk", "[ds] a", "[ds] a/b.vmdk", ("ds", "a/b.vmdk")),
        ("[fast one] b.vmdk", "[fast one] ", "[fast one] b.vmdk", ("fast one", "b.vmdk")),
    ],
)
def test_datastore_paths(given: str, directory: str, spelled: str, parts: tuple[str, str]) -> None:
    assert (directory_of(given), normal(given), split_path(given)) == (directory, spelled, parts)


@pytest.mark.parametrize("given", ["a/b.vmdk", "[] a", ""])
def test_no_datastore_path(given: str) -> None:
    with pytest.raises(ValueError, match="not a datastore path"):
        split_path(given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("vc", "vc"), ("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "[2001:db8::1]"), ("[::1]", "[::1]")],
)
def test_addresses_in_urls(given: str, expected: str) -> None:
    assert bracketed(given) == expected


# Names that nothing has ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "known", "where", "words"),
    [
        ("wbe", ["web", "db"], "DC0", "Cannot find the VM 'wbe': there is none of this name in DC0. Perhaps 'web' is"),
        ("WEB", ["web"], "", "there is none of this name. Perhaps 'web' is meant."),
        ("x", ["b", "a"], "", "There are 'a', 'b'."),
        ("x", [f"vm{n:02}" for n in range(20)], "", "'vm11' and 8 more."),
        ("x", [], "", "There is none at all that this user may see."),
        ("", [], "DC0", "Cannot find the VM: there is none in DC0."),
    ],
)
def test_what_is_said_of_an_unknown_name(name: str, known: list[str], where: str, words: str) -> None:
    assert words in unknown("VM", name, known, where=where).message


def test_folder_paths_follow_their_parents_in_any_order() -> None:
    def folder(moid: str, name: str, parent: str) -> Read:
        values = {"name": name, "parent": SimpleNamespace(_moId=parent)}
        return Read(kind="Folder", moid=moid, managed=None, values=values)

    folders = [folder("3", "c", "2"), folder("2", "b", "1"), folder("4", "d", "9"), folder("5", "e", "4")]
    assert folder_paths(folders, {"1": ""}) == {"1": "", "2": "b", "3": "b/c"}


# Rights -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (vim.fault.NoPermission(privilegeId="System.Read"), PermissionMissing),
        (vim.fault.NotAuthenticated(privilegeId="System.Read"), SessionLost),
        (vmodl.fault.SystemError(reason="the host is away"), None),
    ],
)
def test_a_property_that_may_not_be_seen_fails_the_read(fault: Any, kind: type | None) -> None:
    """The answer of a vCenter at which the user may see a VM's name and nothing else."""
    vm = vim.VirtualMachine("vm-1", None)
    collector = vmodl.query.PropertyCollector
    name = vmodl.DynamicProperty(name="name", val="web")
    missing = collector.MissingProperty(path="config.extraConfig", fault=fault)
    content = collector.ObjectContent(obj=vm, propSet=[name], missingSet=[missing])
    answer = collector.RetrieveResult(objects=[content])
    asked = SimpleNamespace(RetrievePropertiesEx=lambda specs, options: answer)
    session: Any = SimpleNamespace(content=SimpleNamespace(propertyCollector=asked))

    def everything() -> list[Read]:
        properties = {"VirtualMachine": ("name", "config.extraConfig")}
        return list(read(session, start=[(vm, ())], properties=properties, what="Cannot read VMs"))

    if kind is None:
        assert [one.get("name") for one in everything()] == ["web"]
    else:
        with pytest.raises(kind, match="Cannot read VMs"):
            everything()


# Hosts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "trouble"),
    [
        ({}, ""),
        ({"power": "unknown"}, ""),
        ({"connection": "notResponding"}, "it does not answer vCenter"),
        ({"connection": "disconnected", "maintenance": True}, "it is disconnected from vCenter"),
        ({"power": "poweredOff"}, "it is powered off"),
        ({"power": "standBy"}, "it is in standby"),
        ({"maintenance": True}, "it is in maintenance mode"),
    ],
)
def test_why_a_host_is_out_of_service(changes: dict[str, Any], trouble: str) -> None:
    given: dict[str, Any] = {
        "moid": "host-1",
        "name": "esx",
        "compute": "domain-c1",
        "connection": "connected",
        "power": "poweredOn",
        "maintenance": False,
        "memory_mb": 100,
        "memory_used_mb": 130,
        "datastores": (),
        "networks": (),
    }
    host = HostFacts(**{**given, **changes})
    assert (host.trouble, host.in_service) == (trouble, not trouble)
    assert host.memory_free_mb == 0


# Devices -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("on", NETWORKS)
def test_a_nic_knows_its_network(kind: str, on: str) -> None:
    nic = vim.vm.device.VirtualVmxnet3(key=4000, backing=network_backing(NETWORKS[on]), macAddress="00:50:56:00:00:01")
    assert is_on(nic, NETWORKS[kind]) is (kind == on)
    moved = nic_on(nic, NETWORKS[kind], mac="00:50:56:00:00:02")
    assert is_on(moved, NETWORKS[kind])
    assert (moved.key, moved.addressType, moved.macAddress) == (4000, "manual", "00:50:56:00:00:02")
    assert is_on(nic, NETWORKS[on])  # the VM's own device is left as it was
    assert nic.macAddress == "00:50:56:00:00:01"


def test_a_nic_that_stays_where_it_is() -> None:
    nic = vim.vm.device.VirtualVmxnet3(key=4000, backing=network_backing(NETWORKS["opaque"]))
    assert nic_on(nic, None).backing is nic.backing


@pytest.mark.parametrize(
    ("files", "fcd", "foreign"),
    [
        (("[ds] web/web.vmdk", "[ds] photon/photon.vmdk"), "", False),
        (("[ds] web/web-000001.vmdk",), "", False),
        (("[ds] web/data.vmdk",), "id-1", True),
        (("[ds] elsewhere/data.vmdk",), "", True),
        (("[other] web/data.vmdk",), "", True),
        ((), "", True),
    ],
)
def test_disks_that_destroy_must_not_take_along(files: tuple[str, ...], fcd: str, foreign: bool) -> None:
    disk = Disk(key=2000, label="disk", uuid="", capacity_bytes=1, files=files, fcd_id=fcd)
    vm = Hardware(
        vm="vm-1",
        name="web",
        vmx_path="[ds] web/web.vmx",
        host="host-1",
        disks=(disk,),
        nics=(),
        serial_ports=(),
        devices=(),
    )
    assert (vm.foreign_disks == (disk,)) is foreign


# The network's moods -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionResetError(), True),
        (BrokenPipeError(), True),
        (http.client.RemoteDisconnected(), True),
        (http.client.IncompleteRead(b""), True),
        (ssl.SSLEOFError(), True),
        (http.client.HTTPException("503 Service Unavailable"), True),
        (http.client.HTTPException("502 Bad Gateway"), True),
        (http.client.HTTPException("404 Not Found"), False),
        (ConnectionRefusedError(), False),
        (TimeoutError(), False),
        (ssl.SSLCertVerificationError(), False),
    ],
)
def test_what_passes(error: BaseException, expected: bool) -> None:
    assert is_transient(error) is expected
