from __future__ import annotations

import http.client
import socket
import ssl
from typing import Any
from xml.parsers.expat import ExpatError

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils import _errors as errors
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import (
    WORDS,
    explain,
    explaining,
    fault_name,
    is_fault,
    message,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim, vmodl

VM = vim.VirtualMachine("vm-7", None)  # without a connection, so that its name cannot be read
SAID = "A word of vCenter"


def make(name: str, /, **fields: Any) -> Any:
    """A fault by its name, with what vCenter says beside it."""
    for place in (vim.fault, vmodl.fault):
        if hasattr(place, name):
            return getattr(place, name)(**{"msg": f"{SAID}.", **fields})
    raise AssertionError(f"pyVmomi knows no fault {name}")


# Every fault that has words: its fields, and what is said of it after "Cannot do it 'thing': ".
TOLD: dict[str, tuple[dict[str, Any], str]] = {
    "InvalidLogin": ({}, "the user name or password is wrong. Check vcenter_username and vcenter_password."),
    "NoPermission": (
        {"object": VM, "privilegeId": "VirtualMachine.Provisioning.Clone"},
        "the privilege VirtualMachine.Provisioning.Clone is missing on VirtualMachine vm-7. "
        "Grant it to the user's role, which the playbook bonneville.vsphere.create_role can make.",
    ),
    "NotAuthenticated": ({"object": VM, "privilegeId": "System.View"}, "the session has ended. Run again."),
    "SecurityError": ({}, f"the session has ended: {SAID}. Run again."),
    "DuplicateName": ({"name": "web", "object": VM}, "the name web is taken. Choose another name, or remove what"),
    "ManagedObjectNotFound": (
        {"obj": VM},
        "it does not exist, or not any more on VirtualMachine vm-7. Run again.",
    ),
    "AlreadyExists": ({"name": "web"}, "it exists already. Run again."),
    "NotFound": ({}, f"{SAID}."),
    "InsufficientMemoryResourcesFault": (
        {"unreserved": 10, "requested": 20},
        "memory: 20 bytes asked, 10 unreserved. Free some",
    ),
    "InsufficientCpuResourcesFault": ({"unreserved": 10, "requested": 20}, f"CPU: {SAID}. Free some"),
    "InsufficientStorageSpace": ({}, "the datastore has too little space. Free some"),
    "NoDiskSpace": ({"datastore": "fast", "file": "f"}, "datastore fast is full. Free some"),
    "InsufficientResourcesFault": ({}, f"too few resources: {SAID}. Free some"),
    "TaskInProgress": ({}, "another task works on it. Wait until it is done"),
    "ResourceInUse": ({}, f"it is in use: {SAID}. Wait until it is done"),
    "FileLocked": ({"file": "[ds] a.vmdk"}, "file [ds] a.vmdk is locked. Detach it"),
    "FileAlreadyExists": ({"file": "[ds] a.vmdk"}, "file [ds] a.vmdk exists already. Remove it"),
    "FileNotFound": ({"file": "[ds] a.vmdk"}, "file [ds] a.vmdk does not exist."),
    "CannotAccessFile": ({"file": "[ds] a.vmdk"}, "file [ds] a.vmdk cannot be read or written. Check the datastore."),
    "FileFault": ({"file": "[ds] a.vmdk"}, f"file [ds] a.vmdk: {SAID}. Check the datastore."),
    "InvalidDatastorePath": ({"datastorePath": "a"}, f"{SAID}. Write it as '[datastore] folder/file'."),
    "InvalidDatastore": ({}, f"the datastore cannot be used: {SAID}. Check the datastore."),
    "InvalidName": ({"name": "a/b"}, "vCenter does not accept the name a/b. Choose another name."),
    "InvalidPowerState": (
        {"requestedState": "poweredOn", "existingState": "poweredOff"},
        "it is poweredOff. Run again",
    ),
    "ToolsUnavailable": ({}, "VMware Tools do not run in the guest."),
    "InvalidState": ({}, f"its state does not allow this now: {SAID}. Run again."),
    "DisallowedMigrationDeviceAttached": (
        {},
        f"a device is attached that forbids this: {SAID}. Remove this device from the template VM.",
    ),
    "RequestCanceled": ({}, "someone cancelled the task. Run again."),
    "HostConnectFault": ({}, f"the host does not answer: {SAID}. Check the host in vCenter."),
    "HostCommunication": ({}, f"the host does not answer: {SAID}. Check the host in vCenter."),
    "MethodNotFound": (
        {"receiver": VM, "method": "vim.VirtualMachine.instantClone"},
        "this endpoint has no method vim.VirtualMachine.instantClone. vCenter 6.7 or newer is needed.",
    ),
    "NotSupported": ({}, f"vCenter does not support this here: {SAID}."),
    "InvalidArgument": ({"invalidProperty": "spec.name"}, f"vCenter does not accept spec.name: {SAID}."),
}


@pytest.mark.parametrize("name", WORDS)
def test_every_fault_with_words_is_told(name: str) -> None:
    fields, told = TOLD[name]
    error = explain(make(name, **fields), what="Cannot do it", obj="thing")
    assert type(error) is WORDS[name].kind
    assert error.message.startswith(f"Cannot do it 'thing': {told}")
    assert error.details == {"fault": name, "fault_message": SAID}


@pytest.mark.parametrize("name", WORDS)
def test_a_fault_that_says_nothing_is_told_whole(name: str) -> None:
    fields = {key: value for key, value in TOLD[name][0].items() if key in ("object", "receiver", "obj")}
    error = explain(make(name, msg=None, **fields), what="Cannot do it", obj="thing")
    assert type(error) is WORDS[name].kind
    assert "{" not in error.message
    assert "None" not in error.message
    assert ": ." not in error.message


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("HostNotConnected", errors.VsphereFault),
        ("InsufficientHostMemoryCapacityFault", errors.CapacityShort),
        ("InvalidHostState", errors.TaskFailed),
        ("NotEnoughLicenses", errors.VsphereFault),
        ("VmConfigFault", errors.VsphereFault),
    ],
)
def test_other_faults_have_their_bases_words_or_their_own_name(name: str, kind: type) -> None:
    error = explain(make(name), what="Cannot do it")
    assert type(error) is kind
    assert SAID in error.message


def test_a_fault_without_words_is_named() -> None:
    assert explain(make("Timedout"), what="Cannot do it").message == f"Cannot do it: vCenter says Timedout: {SAID}."
    assert explain(make("Timedout", msg=""), what="Cannot do it").message == "Cannot do it: vCenter says Timedout."


def test_several_missing_privileges_are_all_named() -> None:
    lack = vim.fault.NoPermission.EntityPrivileges(entity=VM, privilegeIds=["A.One", "B.Two"])
    error = explain(make("NoPermission", missingPrivileges=[lack]), what="Cannot do it")
    assert error.message.startswith("Cannot do it: the privilege A.One, the privilege B.Two is missing")


def test_details_and_reasons_are_said_once() -> None:
    more = [vmodl.LocalizableMessage(key="k", message="The disk is full."), vmodl.LocalizableMessage(key="k")]
    assert (
        message(make("GenericVmConfigFault", faultMessage=more, reason="too old")) == f"{SAID} The disk is full too old"
    )
    assert message(make("SystemError", reason=SAID)) == SAID


def test_a_localised_fault_is_unwrapped() -> None:
    wrapped = vmodl.MethodFault  # what a server's LocalizedMethodFault holds
    inner = make("DuplicateName", msg="", name="web", object=VM)
    local = type("LocalizedMethodFault", (), {"fault": inner, "localizedMessage": SAID})()
    assert isinstance(inner, wrapped)
    assert fault_name(local) == "DuplicateName"
    assert is_fault(local, "VimFault")
    assert explain(local, what="Cannot do it").details["fault_message"] == SAID


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("DuplicateName",), True),
        (("VimFault",), True),
        (("TaskInProgress", "DuplicateName"), True),
        (("NotFound",), False),
    ],
)
def test_is_fault(names: tuple[str, ...], expected: bool) -> None:
    assert is_fault(make("DuplicateName"), *names) is expected


def test_the_callers_next_step_comes_first_but_for_a_lost_session() -> None:
    assert explain(make("InvalidState"), what="Cannot", next_step="Do this").next_step == "Do this"
    assert explain(make("NotAuthenticated"), what="Cannot", next_step="Do this").next_step == "Run again"


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "unable to get local issuer certificate"
    return error


@pytest.mark.parametrize(
    ("error", "kind", "why"),
    [
        (untrusted(), errors.CertificateUntrusted, "not trusted: unable to get local issuer certificate"),
        (ssl.SSLError(1, "wrong version number"), errors.Unreachable, "TLS cannot be agreed on: "),
        (socket.gaierror(-2, "Name or service not known"), errors.Unreachable, "cannot be resolved: Name or service"),
        (TimeoutError("timed out"), errors.Unreachable, "it did not answer in time"),
        (ConnectionRefusedError(111, "Connection refused"), errors.Unreachable, "Connection refused"),
        (ConnectionResetError(104, "Connection reset by peer"), errors.Unreachable, "Connection reset by peer"),
        (http.client.RemoteDisconnected("Remote end closed"), errors.Unreachable, "Remote end closed"),
        (http.client.HTTPException("503 Service Unavailable"), errors.Unreachable, "not available (HTTP 503)"),
        (http.client.IncompleteRead(b"ab"), errors.Unreachable, "IncompleteRead"),
        (ExpatError("no element found"), errors.Unreachable, "cut off: no element found"),
        (OSError("Tunnel connection failed: 407"), errors.Unreachable, "Tunnel connection failed: 407"),
        (ConnectionAbortedError(), errors.Unreachable, "ConnectionAbortedError"),
    ],
)
def test_every_network_error_is_told(error: BaseException, kind: type, why: str) -> None:
    told = explain(error, what="Cannot reach vCenter", obj="vc")
    assert type(told) is kind
    assert told.message.startswith("Cannot reach vCenter 'vc': ")
    assert why in told.message
    assert told.next_step


def test_explaining_chains_the_cause_and_lets_others_pass() -> None:
    with pytest.raises(errors.InUse) as told, explaining("Cannot do it", obj="web"):
        raise make("DuplicateName", name="web")
    assert is_fault(told.value.__cause__, "DuplicateName")
    known = errors.NotFound("Cannot find")
    with pytest.raises(errors.NotFound) as same, explaining("Cannot do it"):
        raise known
    assert same.value is known
    assert explain(known, what="Cannot do it") is known
    with pytest.raises(ValueError, match="ours"), explaining("Cannot do it"):
        raise ValueError("ours")
