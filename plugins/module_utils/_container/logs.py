# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ends of containers' logs, read from the datastores: no network into any guest is needed."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import split_path
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

# Bytes from the end: the first look suits most logs, the second bounds what one costs.
_LOOKS = (64 * 1024, 1024 * 1024)
_BLOCK = 64 * 1024
# A server that ignores the range and sends the whole file is listened to as far as this.
_LONGEST = 64 * 1024 * 1024
_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


@dataclass(frozen=True, kw_only=True)
class Log:
    """The last lines of a log, oldest first. ``reason`` says why there are none; an empty log is reason enough."""

    lines: tuple[str, ...] = ()
    reason: str = ""
    missing: bool = False


def read_logs(session: Session, vms: Iterable[ContainerVm], *, datacenter: str, lines: int) -> dict[str, Log]:
    """As :func:`last_lines`, of container VMs, by their moids."""
    paths = {vm.moid: vm.log_path for vm in vms}
    found = last_lines(session, paths.values(), datacenter=datacenter, lines=lines)
    return {moid: found[path] for moid, path in paths.items()}


def last_lines(session: Session, paths: Iterable[str], *, datacenter: str, lines: int) -> dict[str, Log]:
    """The last ``lines`` lines of each file, by its datastore path (``[datastore] directory/file``), side by side.

    What cannot be read is empty, and its ``reason`` says why; a file that does
    not exist is ``missing``. Bytes that are not UTF-8 are replaced.

    Args:
        datacenter: the inventory path of the datacenter that the datastores are in.

    Raises: Unreachable.
    """
    wanted = list(dict.fromkeys(paths))
    read = session.in_parallel(lambda path: _last_lines(session, path, datacenter=datacenter, lines=lines), wanted)
    return dict(zip(wanted, read, strict=True))


def tail(data: bytes, *, lines: int, whole: bool) -> tuple[str, ...]:
    """The last lines of a log's last bytes; unless they are the ``whole`` log, the first line is a part of one."""
    found = [line.removesuffix("\r") for line in data.decode(errors="replace").split("\n")]
    if found[-1] == "":
        found.pop()  # the end of the last line
    if not whole and len(found) > 1:
        found.pop(0)
    return tuple(found[-lines:]) if lines > 0 else ()


def _last_lines(session: Session, path: str, *, datacenter: str, lines: int) -> Log:
    try:
        split_path(path)
    except ValueError:
        return Log(reason="it is not known where the log file is")
    found: tuple[str, ...] = ()
    for size in _LOOKS:
        answer = _ask(session, path, datacenter=datacenter, size=size)
        try:
            if answer.status == 416:  # an empty file has no last bytes
                return Log()
            if answer.status not in (200, 206):
                return _refused(answer.status)
            data, whole = _end(answer, size)
        except OSError as error:
            return Log(reason=f"reading it was cut off: {error}")
        finally:
            answer.close()
        found = tail(data, lines=lines, whole=whole)
        if whole or len(found) >= lines:
            break
    return Log(lines=found)


def _ask(session: Session, path: str, *, datacenter: str, size: int) -> Any:
    datastore, file = split_path(path)
    query = urlencode({"dcPath": datacenter, "dsName": datastore}, quote_via=quote)
    return session.http("GET", f"/folder/{quote(file)}?{query}", headers={"Range": f"bytes=-{size}"}, stream=True)


def _end(answer: Any, size: int) -> tuple[bytes, bool]:
    """The last bytes of an answer, and whether nothing stands before them. Raises: OSError when it breaks off."""
    import urllib3

    blocks: deque[bytes] = deque()
    kept = dropped = 0
    try:
        for block in answer.stream(_BLOCK):
            blocks.append(block)
            kept += len(block)
            while kept - len(blocks[0]) >= size:
                dropped += len(blocks[0])
                kept -= len(blocks.popleft())
            if dropped > _LONGEST:
                raise OSError(f"vCenter sends the whole file, which is over {_LONGEST >> 20} MiB")
    except urllib3.exceptions.HTTPError as error:
        raise OSError(str(error)) from error
    match = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    begins = int(match[1]) if answer.status == 206 and match else 0
    return b"".join(blocks), begins + dropped == 0


def _refused(status: int) -> Log:
    if status == 404:
        return Log(reason="there is no log file", missing=True)
    if status in (401, 403):
        return Log(reason=f"vCenter refuses it (HTTP {status}); the privilege Datastore.Browse may be missing")
    return Log(reason=f"vCenter answers HTTP {status}")
