# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""vCenter's faults and the network's errors, in words.

The only place that knows them by name. Everything else wraps what it does in
:func:`explaining`, or hands a task's fault to :func:`explain`.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from xml.parsers.expat import ExpatError

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    ApiUnsupported,
    BonnevilleError,
    CapacityShort,
    CertificateUntrusted,
    InUse,
    InvalidOption,
    LoginRefused,
    NotFound,
    PermissionMissing,
    SessionLost,
    TaskFailed,
    Unreachable,
    VsphereFault,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._privileges import granting
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vmodl


class Words(NamedTuple):
    """How one fault is told: its error class, and defaults for why and what next; ``{message}`` is vCenter's word."""

    kind: type[BonnevilleError]
    why: str
    next_step: str


_CAPACITY = "Free some, add hosts or datastores, or ask for fewer VMs"
_RETRY = "Wait until it is done, then run again"

# By the fault's class name, most derived first: the first class of a fault's own line of descent that is listed counts.
WORDS: dict[str, Words] = {
    "InvalidLogin": Words(
        LoginRefused, "the user name or password is wrong", "Check vcenter_username and vcenter_password"
    ),
    "NoPermission": Words(PermissionMissing, "{privilege} is missing{on}", ""),
    "NotAuthenticated": Words(SessionLost, "the session has ended", "Run again"),
    "SecurityError": Words(SessionLost, "the session has ended: {message}", "Run again"),
    "DuplicateName": Words(InUse, "the name {name} is taken", "Choose another name, or remove what bears it"),
    "ManagedObjectNotFound": Words(NotFound, "it does not exist, or not any more{on}", "Run again"),
    "AlreadyExists": Words(InUse, "it exists already", "Run again"),
    "NotFound": Words(NotFound, "{message}", ""),
    "InsufficientMemoryResourcesFault": Words(
        CapacityShort, "memory: {requested} bytes asked, {unreserved} unreserved", _CAPACITY
    ),
    "InsufficientCpuResourcesFault": Words(CapacityShort, "CPU: {message}", _CAPACITY),
    "InsufficientStorageSpace": Words(CapacityShort, "the datastore has too little space", _CAPACITY),
    "NoDiskSpace": Words(CapacityShort, "datastore {datastore} is full", _CAPACITY),
    "InsufficientResourcesFault": Words(CapacityShort, "too few resources: {message}", _CAPACITY),
    "TaskInProgress": Words(InUse, "another task works on it", _RETRY),
    "ResourceInUse": Words(InUse, "it is in use: {message}", _RETRY),
    "FileLocked": Words(InUse, "file {file} is locked", "Detach it from the VM that holds it"),
    "FileAlreadyExists": Words(InUse, "file {file} exists already", "Remove it, or choose another name"),
    "FileNotFound": Words(NotFound, "file {file} does not exist", ""),
    "CannotAccessFile": Words(VsphereFault, "file {file} cannot be read or written", "Check the datastore"),
    "FileFault": Words(VsphereFault, "file {file}: {message}", "Check the datastore"),
    "InvalidDatastorePath": Words(InvalidOption, "{message}", "Write it as '[datastore] folder/file'"),
    "InvalidDatastore": Words(VsphereFault, "the datastore cannot be used: {message}", "Check the datastore"),
    "InvalidName": Words(InvalidOption, "vCenter does not accept the name {name}", "Choose another name"),
    "InvalidPowerState": Words(TaskFailed, "it is {existing}", "Run again, or see who else works on this VM"),
    "ToolsUnavailable": Words(TaskFailed, "VMware Tools do not run in the guest", ""),
    "InvalidState": Words(TaskFailed, "its state does not allow this now: {message}", "Run again"),
    "DisallowedMigrationDeviceAttached": Words(
        TaskFailed, "a device is attached that forbids this: {message}", "Remove this device from the template VM"
    ),
    "RequestCanceled": Words(TaskFailed, "someone cancelled the task", "Run again"),
    "HostConnectFault": Words(VsphereFault, "the host does not answer: {message}", "Check the host in vCenter"),
    "HostCommunication": Words(VsphereFault, "the host does not answer: {message}", "Check the host in vCenter"),
    "MethodNotFound": Words(ApiUnsupported, "this endpoint has no method {method}", "vCenter 6.7 or newer is needed"),
    "NotSupported": Words(ApiUnsupported, "vCenter does not support this here: {message}", ""),
    "InvalidArgument": Words(VsphereFault, "vCenter does not accept {property}: {message}", ""),
}


def fault_name(fault: Any) -> str:
    """``DuplicateName`` for a fault of that type or a localised wrapper of one."""
    return str(_inner(fault).__class__.__name__).rpartition(".")[2]


def is_fault(fault: Any, *names: str) -> bool:
    """Whether a fault is of one of these types, or of one derived from them."""
    return any(cls.__name__.rpartition(".")[2] in names for cls in type(_inner(fault)).__mro__)


def explain(error: Any, *, what: str, obj: str = "", next_step: str = "") -> BonnevilleError:
    """The error of our tree for any fault or network error.

    ``next_step`` replaces the general one, except where a fault means the
    session or the connection and not the object.
    """
    if isinstance(error, BonnevilleError):
        return error
    error = _inner(error)
    if vmodl is not None and isinstance(error, vmodl.MethodFault):
        return _explain_fault(error, what=what, obj=obj, next_step=next_step)
    return _explain_network(error, what=what, obj=obj)


@contextmanager
def explaining(what: str, *, obj: str = "", next_step: str = "") -> Iterator[None]:
    """Raise whatever vCenter or the network says inside the block as an error of our tree, the cause chained."""
    faults: tuple[type[BaseException], ...] = (OSError, http.client.HTTPException, ExpatError)
    if vmodl is not None:
        faults += (vmodl.MethodFault,)
    try:
        yield
    except faults as error:
        raise explain(error, what=what, obj=obj, next_step=next_step) from error


def _inner(fault: Any) -> Any:
    """A LocalizedMethodFault has the fault itself in ``fault`` and its text beside it; pyVmomi unwraps most of them."""
    if type(fault).__name__.rpartition(".")[2] != "LocalizedMethodFault" or fault.fault is None:
        return fault
    inner = fault.fault
    if not inner.msg:
        inner.msg = fault.localizedMessage
    return inner


def _explain_fault(fault: Any, *, what: str, obj: str, next_step: str) -> BonnevilleError:
    name = fault_name(fault)
    for cls in type(fault).__mro__:
        words = WORDS.get(cls.__name__.rpartition(".")[2])
        if words:
            break
    else:
        said = message(fault)
        words = Words(VsphereFault, f"vCenter says {name}" + (f": {said}" if said else ""), "")
    why = words.why.format_map(_Facts(fault)).rstrip(": ")
    if words.kind is SessionLost:
        next_step = ""
    if words.kind is PermissionMissing:
        next_step = next_step or granting(_missing(fault))
    return words.kind(
        what,
        obj=obj,
        why=why,
        next_step=next_step or words.next_step,
        details={"fault": name, "fault_message": message(fault)},
    )


class _Facts(dict[str, str]):
    """What a fault carries, looked up by the placeholders of ``WORDS`` only when a text names them."""

    def __init__(self, fault: Any) -> None:
        super().__init__()
        self._fault = fault

    def __missing__(self, key: str) -> str:
        special: dict[str, Callable[[Any], str]] = {"message": message, "on": _on, "privilege": _privilege}
        if key in special:
            return special[key](self._fault)
        names = {"existing": "existingState", "property": "invalidProperty"}
        value = getattr(self._fault, names.get(key, key), None)
        return str(value) if value not in (None, "") else "(not named)"


def message(fault: Any) -> str:
    """vCenter's own sentence and its details, without pyVmomi's dump of the whole object."""
    said = [str(getattr(fault, "msg", "") or "").strip()]
    for extra in getattr(fault, "faultMessage", None) or []:
        said.append(str(extra.message or "").strip())
    reason = getattr(fault, "reason", None)
    if isinstance(reason, str):
        said.append(reason.strip())
    return " ".join(dict.fromkeys(part.rstrip(".") for part in said if part)).strip()


def _missing(fault: Any) -> list[str]:
    """The privileges that a NoPermission names, if any."""
    missing = [
        str(privilege)
        for lack in getattr(fault, "missingPrivileges", None) or []
        for privilege in getattr(lack, "privilegeIds", None) or []
    ]
    named = missing or [str(getattr(fault, "privilegeId", "") or "")]
    return [name for name in dict.fromkeys(named) if name]


def _privilege(fault: Any) -> str:
    return ", ".join(f"the privilege {name}" for name in _missing(fault)) or "a privilege"


def _on(fault: Any) -> str:
    """`` on VirtualMachine 'web-1' (vm-42)``: the one extra call that a failure is worth."""
    entity = getattr(fault, "object", None) or getattr(fault, "obj", None)
    if entity is None:
        return ""
    kind = type(entity).__name__.rpartition(".")[2]
    try:
        name = entity.name
    except Exception:  # the right to read its name may be what is missing
        name = ""
    return f" on {kind} '{name}' ({entity._moId})" if name else f" on {kind} {entity._moId}"


def _explain_network(error: BaseException, *, what: str, obj: str) -> BonnevilleError:
    reason = str(error) or type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        return CertificateUntrusted(
            what,
            obj=obj,
            why=f"its TLS certificate is not trusted: {error.verify_message}",
            next_step="Name the CA's file in SSL_CERT_FILE or REQUESTS_CA_BUNDLE, or set validate_certs to false",
        )
    if isinstance(error, ssl.SSLError):
        return Unreachable(
            what, obj=obj, why=f"TLS cannot be agreed on: {reason}", next_step="Check vcenter_port and the proxy"
        )
    if isinstance(error, socket.gaierror):
        return Unreachable(
            what,
            obj=obj,
            why=f"the name cannot be resolved: {error.strerror}",
            next_step="Check vcenter_hostname and DNS",
        )
    if isinstance(error, ExpatError):
        why = f"its answer is not vCenter's, or was cut off: {reason}"
    elif isinstance(error, TimeoutError):
        why = "it did not answer in time"
    elif isinstance(error, http.client.HTTPException) and reason.startswith("503"):
        why = "its service is not available (HTTP 503)"
    elif isinstance(error, http.client.HTTPException) and reason[:3].isdigit():
        why = f"it answers with HTTP {reason}"
    else:
        why = getattr(error, "strerror", None) or reason
    return Unreachable(
        what, obj=obj, why=why, next_step="Check that vCenter is up and that this controller reaches it, then run again"
    )
