# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring an OVA into vCenter by an NFC lease: one VM, or after any failure none.

While the lease is held vCenter keeps the VM half made; ``HttpNfcLeaseAbort``
makes it remove it. vCenter ends a lease that hears nothing for its timeout
(300 s), so a thread of its own reports progress, tied to the clock and not to bytes.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    OvaInvalid,
    TaskFailed,
    Unreachable,
    VsphereFault,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explain, explaining
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.ova import Ova, OvaPart, PartReader
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.ova_pull import pull_disks
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Network
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim, vmodl
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

# Seconds in which a host has to take or answer something; thick disks are zeroed before the answer.
_HTTP_SECONDS = 300.0
_HEARTBEAT_SECONDS = 15.0
_LONGEST_WAIT = 30.0

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ImportPlace:
    """Where the VM goes, by managed object ids."""

    host: str
    pool: str
    folder: str
    datastore: str
    network: Network


def import_ova(
    session: Session,
    *,
    ova: Ova,
    name: str,
    place: ImportPlace,
    bios_uuid: str,
    extra_config: Mapping[str, str],
    seconds: float,
    progress: Progress,
    pull: bool = False,
) -> str:
    """Import ``ova`` as a powered-off VM with thin disks and return its managed object id.

    Every network of the OVA is mapped to ``place.network``. ``extra_config`` and
    ``bios_uuid`` are on the VM from its first moment, so that a run that dies
    leaves a VM that says whose it is. ``seconds`` bounds the wait for the lease and the upload.
    With ``pull`` the host gets an OVA of the web by itself.

    Raises OvaInvalid, VsphereFault, Unreachable and whatever a fault means; then no VM is left.
    """
    what = f"Cannot import {ova.path} as"
    deadline = Deadline(seconds)
    with explaining(what, obj=name):
        result = _import_spec(session, ova=ova, name=name, place=place)
        config = result.importSpec.configSpec
        config.uuid = bios_uuid
        config.extraConfig = [
            *(config.extraConfig or []),
            *(vim.option.OptionValue(key=key, value=value) for key, value in extra_config.items()),
        ]
        lease = session.managed("ResourcePool", place.pool).ImportVApp(
            spec=result.importSpec,
            folder=session.managed("Folder", place.folder),
            host=session.managed("HostSystem", place.host),
        )
        try:
            info = _ready(session, lease=lease, what=what, name=name, deadline=deadline)
            with _heartbeat(lease) as report:
                if pull and ova.content:
                    pull_disks(
                        session,
                        lease=lease,
                        ova=ova,
                        origin=ova.content.origin,
                        items=result.fileItem,
                        info=info,
                        deadline=deadline,
                        progress=progress,
                    )
                else:
                    upload = _Upload(session, ova=ova, report=report, progress=progress, deadline=deadline)
                    upload.send(result.fileItem, info)
                    ova.finish()
            _complete(lease)
        except BaseException:
            # Fails when the lease is over already (vCenter removes the VM then by itself) or vCenter is gone (the
            # marks tell the next run). The failure that led here is what the user is told.
            with suppress(Exception):
                lease.HttpNfcLeaseAbort()
            raise
    return str(info.entity._moId)


def _import_spec(session: Session, *, ova: Ova, name: str, place: ImportPlace) -> Any:
    network = session.managed(place.network.place.kind, place.network.moid)
    params = vim.OvfManager.CreateImportSpecParams(
        entityName=name,
        hostSystem=session.managed("HostSystem", place.host),
        diskProvisioning="thin",
        networkMapping=[vim.OvfManager.NetworkMapping(name=given, network=network) for given in ova.networks],
        # The WSDL wants these; empty means the default.
        locale="",
        deploymentOption="",
        propertyMapping=[],
    )
    result = session.content.ovfManager.CreateImportSpec(
        ovfDescriptor=ova.descriptor,
        resourcePool=session.managed("ResourcePool", place.pool),
        datastore=session.managed("Datastore", place.datastore),
        cisp=params,
    )
    if result.error:
        raise OvaInvalid(
            "Cannot use the OVA",
            obj=ova.path,
            why="vCenter refuses its descriptor: " + "; ".join(str(error.msg) for error in result.error),
            next_step="Use an OVA for this version of vSphere, or make a VM of it yourself and give that as source.vm",
            details={"warnings": [str(warning.msg) for warning in result.warning or ()]},
        )
    if not isinstance(result.importSpec, vim.vm.VmImportSpec):
        raise OvaInvalid(
            "Cannot use the OVA",
            obj=ova.path,
            why="it holds a vApp of several VMs",
            next_step="Use an OVA with a single VM",
        )
    unknown = sorted(item.path for item in result.fileItem if item.path not in ova.parts)
    if unknown:
        raise OvaInvalid(
            "Cannot use the OVA", obj=ova.path, why=f"'{unknown[0]}' is not in it", next_step="Download the OVA again"
        )
    return result


def _ready(session: Session, *, lease: Any, what: str, name: str, deadline: Deadline) -> Any:
    """Wait by property until the lease is ready, and return its info."""
    query = vmodl.query.PropertyCollector
    spec = query.FilterSpec(
        objectSet=[query.ObjectSpec(obj=lease)],
        propSet=[query.PropertySpec(type=vim.HttpNfcLease, pathSet=["state", "error", "info"])],
    )
    seen: dict[str, Any] = {"state": "silent", "error": None, "info": None}
    collector = session.content.propertyCollector.CreatePropertyCollector()
    try:
        collector.CreateFilter(spec=spec, partialUpdates=False)
        version = ""
        while seen["state"] not in ("ready", "error") and not deadline.passed:
            longest = min(_LONGEST_WAIT, session.connection.call_timeout / 2, deadline.remaining())
            options = query.WaitOptions(maxWaitSeconds=max(1, int(longest)))
            with session.waiting:
                update = collector.WaitForUpdatesEx(version=version, options=options)
            if update is None:
                continue
            version = update.version
            for change in (c for f in update.filterSet for o in f.objectSet for c in o.changeSet):
                seen[change.name] = change.val
    finally:
        with suppress(Exception):
            collector.DestroyPropertyCollector()
    if seen["error"] is not None:
        raise explain(seen["error"], what=what, obj=name)
    if seen["state"] != "ready" or seen["info"] is None:
        raise VsphereFault(
            what,
            obj=name,
            why=f"vCenter's lease for the upload was '{seen['state']}' after {deadline.seconds:.0f} s",
            next_step="See the import task in vCenter",
        )
    return seen["info"]


def _complete(lease: Any) -> None:
    """End the import; of a call whose answer was lost the lease tells whether it was heard."""
    try:
        lease.HttpNfcLeaseComplete()
    except (OSError, http.client.HTTPException):
        if lease.state != "done":
            raise


class _Report:
    """What the heartbeat tells vCenter, and what it learned."""

    def __init__(self) -> None:
        self.percent = 0
        self.trouble: BonnevilleError | None = None


@contextmanager
def _heartbeat(lease: Any) -> Iterator[_Report]:
    """Keep a lease alive for the time of the block."""
    report = _Report()
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(_HEARTBEAT_SECONDS):
            try:
                lease.HttpNfcLeaseProgress(percent=report.percent)
            except Exception as error:  # a thread has nobody to raise to: the upload fails with it
                trouble = explain(error, what="Lost the lease to upload the OVA")
                # A lease outlives some silence; one that is over says so itself.
                if not isinstance(trouble, Unreachable):
                    report.trouble = trouble
                    return

    thread = threading.Thread(target=beat, name="ova-import-heartbeat", daemon=True)
    thread.start()
    try:
        yield report
    finally:
        stop.set()
        thread.join()


class _Upload:
    """The OVA's disks on their way: counts for the heartbeat, and ends when the lease or the time is over."""

    def __init__(self, session: Session, *, ova: Ova, report: _Report, progress: Progress, deadline: Deadline) -> None:
        self._session = session
        self._ova = ova
        self._report = report
        self._progress = progress
        self._deadline = deadline
        self._sent = 0
        self._total = 1

    def send(self, items: Any, info: Any) -> None:
        urls = {device.importKey: device.url for device in info.deviceUrl}
        self._total = max(1, sum(self._ova.parts[item.path].size for item in items))
        # A download has its parts in the order in which they stand.
        for item in sorted(items, key=lambda item: self._ova.parts[item.path].offset):
            if item.deviceId not in urls:
                raise VsphereFault("Cannot upload", obj=item.path, why="vCenter offers no place for it")
            # A host that is asked directly says "*" for itself.
            self._send(item, urls[item.deviceId].replace("*", self._session.connection.hostname, 1))

    def _send(self, item: Any, url: str) -> None:
        part = self._ova.parts[item.path]
        with _Sending(ova=self._ova, part=part, on_read=self._count) as body:
            answer = self._put("PUT" if item.create else "POST", url, body=body, size=part.size)
            if answer.status >= 300:
                raise VsphereFault(
                    "Cannot upload",
                    obj=item.path,
                    why=f"{urlsplit(url).netloc} answered {answer.status} {answer.reason} after {body.done} bytes",
                    next_step="Check the free space of the datastore and the events of the host",
                )
            body.verify()

    def _put(self, method: str, url: str, *, body: Any, size: int) -> Any:
        headers = {"Content-Type": "application/x-vnd.vmware-streamVmdk", "Content-Length": str(size)}
        try:
            answer = self._session.http(method, url, headers=headers, body=body, timeout=_HTTP_SECONDS)
        except Unreachable as error:
            # A host hangs up on an upload whose lease is over.
            raise self._report.trouble or error from error
        if self._report.trouble:
            raise self._report.trouble
        return answer

    def _count(self, size: int) -> None:
        if self._report.trouble:
            raise self._report.trouble
        if self._deadline.passed:
            raise TaskFailed(
                "Cannot upload the OVA",
                obj=self._ova.path,
                why=f"{self._report.percent} % were sent in {self._deadline.seconds:.0f} s",
                next_step="Raise timeout",
            )
        self._sent += size
        percent = self._sent * 100 // self._total
        if percent // 10 > self._report.percent // 10:
            self._progress(f"uploaded {percent} % of {self._total / (1 << 20):.0f} MiB")
        self._report.percent = percent


class _Sending(PartReader):
    """A part that tells how much of it was read."""

    def __init__(self, *, ova: Ova, part: OvaPart, on_read: Callable[[int], None]) -> None:
        super().__init__(ova=ova, part=part)
        self._on_read = on_read

    def read(self, size: int = -1) -> bytes:
        block = super().read(size)
        self._on_read(len(block))
        return block
