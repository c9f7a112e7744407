# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files on datastores, written and removed by vCenter's datastore access: HTTP below ``/folder``."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Protocol
from urllib.parse import quote, urlencode

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    NotFound,
    PermissionMissing,
    SessionLost,
    VsphereFault,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import split_path
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

# Seconds in which vCenter has to take or answer something; it may first have to allocate the file.
_HTTP_SECONDS = 300.0


class Source(Protocol):
    """What is uploaded: bytes in the order in which they are read."""

    def read(self, size: int = -1, /) -> bytes: ...


def url_of(path: str, *, datacenter: str) -> str:
    """Where a file (``[datastore] directory/file``) is reached, below vCenter's own address.

    ``datacenter`` is the inventory path of the datacenter that the datastore is in.
    """
    datastore, inside = split_path(path)
    return f"/folder/{quote(inside)}?{urlencode({'dcPath': datacenter, 'dsName': datastore}, quote_via=quote)}"


def upload(session: Session, path: str, content: Source | bytes, *, size: int, datacenter: str) -> None:
    """Write a file of ``size`` bytes; its directory has to exist, a file of that name is replaced.

    Raises: PermissionMissing, NotFound, VsphereFault, Unreachable, and whatever ``content`` raises.
    """
    body = io.BytesIO(content) if isinstance(content, bytes) else content
    answer = session.http(
        "PUT",
        url_of(path, datacenter=datacenter),
        headers={"Content-Type": "application/octet-stream", "Content-Length": str(size)},
        body=body,
        timeout=_HTTP_SECONDS,
    )
    if answer.status >= 300:
        raise _refused("Cannot upload", path, answer)


def delete(session: Session, path: str, *, datacenter: str) -> bool:
    """Remove a file; False where there is none. Raises: PermissionMissing, VsphereFault, Unreachable."""
    answer = session.http("DELETE", url_of(path, datacenter=datacenter))
    if answer.status == 404:
        return False
    if answer.status >= 300:
        raise _refused("Cannot remove the file", path, answer)
    return True


def delete_if_possible(session: Session, path: str, *, datacenter: str) -> None:
    """Remove a file behind a failure, which is what the user is told."""
    with suppress(BonnevilleError):
        delete(session, path, datacenter=datacenter)


def _refused(what: str, path: str, answer: object) -> BonnevilleError:
    status, reason = int(answer.status), str(answer.reason or "")  # type: ignore[attr-defined]
    if status == 401:
        return SessionLost(what, obj=path, why="the session has ended", next_step="Run again")
    if status == 403:
        return PermissionMissing(
            what,
            obj=path,
            why="the privilege Datastore.FileManagement is missing on the datastore",
            next_step="Grant this privilege to the user's role",
            details={"privileges": ["Datastore.FileManagement"]},
        )
    if status == 404:
        return NotFound(what, obj=path, why="its directory does not exist", next_step="Run again")
    return VsphereFault(
        what,
        obj=path,
        why=f"vCenter answered {status} {reason}".rstrip(),
        next_step="Check the free space of the datastore and the events of its hosts",
        details={"http_status": status},
    )
