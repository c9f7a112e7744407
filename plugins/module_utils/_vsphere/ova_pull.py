# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An OVA's disks, got by the ESXi host itself from the web server (vSphere's pull mode, since 6.7).

Nothing is uploaded from here. The controller reads the OVA as well, to know
that the whole is what was promised, and compares each disk's digest with the
one of what the host received: the host alone could be given something else.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import ApiUnsupported, OvaInvalid, TaskFailed
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explain
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.ova import Ova, PartReader
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import wait_for_tasks

_WHAT = "The host cannot get the OVA"
_TLS_SECONDS = 10.0
_PUSH = "Have the host reach this address (its firewall's httpClient included), or set source.transfer to push"


def pull_disks(
    session: Session,
    *,
    lease: Any,
    ova: Ova,
    origin: str,
    items: Any,
    info: Any,
    deadline: Deadline,
    progress: Callable[[str], None],
) -> None:
    """Have the host of a lease that is ready get its disks from ``origin``, and see that they are the OVA's.

    Raises ApiUnsupported where the lease offers no pull mode, OvaInvalid,
    TaskFailed and whatever a fault means; the lease is still to be ended.
    """
    if not lease.capabilities.pullModeSupported:
        raise ApiUnsupported(
            _WHAT,
            obj=ova.path,
            why="vCenter offers no pull mode for this host",
            next_step="Set source.transfer to push",
        )
    keys = {device.importKey: device.key for device in info.deviceUrl}
    lease.HttpNfcLeaseSetManifestChecksumType([vim.KeyValue(key=key, value="sha256") for key in keys.values()])
    thumbprint = _thumbprint(origin, ova)
    task = lease.HttpNfcLeasePullFromUrls_Task([_source(item, origin, thumbprint) for item in items])
    # Not where redirections led to: such an address may be signed, and is then a secret.
    progress(f"the host gets {ova.path}")
    digests = _read_along(ova, items=items, task=task, deadline=deadline, progress=progress)
    ova.finish()
    state = wait_for_tasks(session, {"": task}, deadline=deadline)[""]
    if not state.ok:
        raise state.error(_WHAT, obj=ova.path, next_step=_PUSH)
    received = {entry.key: entry for entry in lease.HttpNfcLeaseGetManifest()}
    for item in items:
        _compare(ova, item.path, digests[item.path], received.get(keys.get(item.deviceId)))


def _thumbprint(url: str, ova: Ova) -> str:
    """The SHA-1 of a server's certificate as vSphere writes it, empty without TLS.

    A host has no authorities to verify it by. What it gets is verified by its digest afterwards.
    """
    parts = urlsplit(url)
    if parts.scheme != "https":
        return ""
    try:
        pem = ssl.get_server_certificate((parts.hostname or "", parts.port or 443), timeout=_TLS_SECONDS)
    except OSError as error:
        raise OvaInvalid(
            "Cannot see the certificate of the OVA's server",
            obj=ova.path,
            why=str(error),
            next_step="Let this task reach it without a proxy, or set source.transfer to push",
        ) from error
    return hashlib.sha1(ssl.PEM_cert_to_DER_cert(pem), usedforsecurity=False).digest().hex(":").upper()


def _source(item: Any, origin: str, thumbprint: str) -> Any:
    return vim.HttpNfcLease.SourceFile(
        targetDeviceId=item.deviceId,
        url=origin,
        memberName=item.path,
        create=item.create,
        sslThumbprint=thumbprint or None,
    )


def _read_along(
    ova: Ova, *, items: Any, task: Any, deadline: Deadline, progress: Callable[[str], None]
) -> dict[str, dict[str, str]]:
    """The digests of the disks by their names, as they are read here; ends early when the host fails."""
    total = max(1, sum(ova.parts[item.path].size for item in items))
    read, tenths = 0, 0
    digests = {}
    # A download has its parts in the order in which they stand.
    for item in sorted(items, key=lambda item: ova.parts[item.path].offset):
        # SHA-1 is what hosts tell that know no other, of bytes whose SHA-256 is known here.
        hashes = {"sha1": hashlib.sha1(usedforsecurity=False), "sha256": hashlib.sha256()}
        with PartReader(ova=ova, part=ova.parts[item.path]) as part:
            for block in part:
                for one in hashes.values():
                    one.update(block)
                read += len(block)
                if read * 10 // total > tenths:
                    tenths = read * 10 // total
                    _check_going_on(task, ova)
                    progress(f"read {tenths * 10} % of {total / (1 << 20):.0f} MiB beside the host")
                if deadline.passed:
                    raise TaskFailed(
                        _WHAT, obj=ova.path, why=f"{deadline.seconds:.0f} s are over", next_step="Raise timeout"
                    )
            part.verify()
        digests[item.path] = {name: one.hexdigest() for name, one in hashes.items()}
    return digests


def _check_going_on(task: Any, ova: Ova) -> None:
    info = task.info
    if info.state == "error":
        raise explain(info.error, what=_WHAT, obj=ova.path, next_step=_PUSH)


def _compare(ova: Ova, name: str, wanted: Mapping[str, str], entry: Any) -> None:
    told = {(entry.checksumType or "").lower(): entry.checksum, "sha1": entry.sha1} if entry else {}
    found = {algorithm: digest.lower() for algorithm, digest in told.items() if algorithm in wanted and digest}
    if not found:
        raise OvaInvalid(
            "Cannot trust the OVA",
            obj=ova.path,
            why=f"the host tells no digest of '{name}', so what it got is not known",
            next_step="Set source.transfer to push",
        )
    for algorithm, digest in found.items():
        if digest != wanted[algorithm]:
            raise OvaInvalid(
                "Cannot use the OVA",
                obj=ova.path,
                why=f"the host got '{name}' with another {algorithm} than this task did",
                next_step="See what the address serves to the host, or set source.transfer to push",
                details={"part": name, "expected": wanted[algorithm], "found": digest},
            )
