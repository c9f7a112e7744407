# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes that outlive the container: disks of their own, made ready once, mounted at every boot.

A volume is a Docker volume whose place is a directory on its disk. So Docker
itself copies into an empty one what the image has, and knows ``ro`` and ``nocopy``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from ..disks import KEY_VOLUMES, Disks
from . import places
from .engine import Engine, EngineError, engine_problem
from .problem import Problem
from .rpc import GuestRpc, RpcError
from .shell import journal, run
from .unixhttp import HttpError

_POLL = 0.25
# The disks are attached once the clone stands; a host may be busy with many.
_DISKS_WITHIN = 180.0
_DEVICE_WITHIN = 30.0
_LONG = 600.0  # for a file system's own repair
# On a disk on which mkfs was begun: what stands there is ours, and worth nothing yet. So far before its end,
# since mkfs clears both ends first, and leaves this place alone.
_BEGUN = b"bonneville.vsphere makes a file system here\n".ljust(512, b"\0")
_BEGUN_AT = -1024 * 1024
# Beside it mkfs makes lost+found, which some programs take for somebody's data.
_DATA = "_data"


def wait(rpc: GuestRpc, names: Sequence[str]) -> dict[str, str]:
    """The uuids of these volumes' disks, once the host says that they are attached. Raises Problem."""
    until = time.monotonic() + _DISKS_WITHIN
    while True:
        try:
            text = rpc.get(KEY_VOLUMES)
        except RpcError as error:
            journal(str(error))
            text = None
        if text:
            found = Disks.decode(text).volumes
            if not set(names) - found.keys():
                return {name: found[name] for name in names}
        if time.monotonic() > until:
            missing = ", ".join(names)
            raise Problem("volume_missing", f"no disk was attached for {missing} within {_DISKS_WITHIN:.0f} s")
        time.sleep(_POLL)


def mount(volumes: Mapping[str, str]) -> None:
    """Mount every volume's disk, made ready first if it is blank. Raises Problem."""
    for name, uuid in volumes.items():
        device = _device(name, uuid)
        kind = _kind(name, device)
        if not kind:
            _format(name, device)
            kind = "ext4"
        where = _place(name)
        os.makedirs(where, mode=0o700, exist_ok=True)
        if os.path.ismount(where):
            continue
        _do(name, ["mount", "-t", kind, device, where], what=f"its {kind} file system cannot be mounted")
        os.makedirs(f"{where}/{_DATA}", mode=0o755, exist_ok=True)


def offer(engine: Engine, volumes: Mapping[str, str]) -> None:
    """Make the mounted volumes Docker's, by their names. Raises Problem."""
    for name in volumes:
        try:
            engine.create_volume(name, f"{_place(name)}/{_DATA}")
        except (EngineError, HttpError) as error:
            raise engine_problem(error, "volume_unusable") from error


def release(volumes: Mapping[str, str]) -> None:
    """Unmount them, so that all is on the disks when the power goes."""
    for name in volumes:
        where = _place(name)
        if os.path.ismount(where):
            done = run(["umount", where])
            if done.code:
                journal(f"volume {name}: {done.said}")
                os.sync()


def _place(name: str) -> str:
    return f"{places.VOLUMES}/{name}"


def _device(name: str, uuid: str) -> str:
    """The disk's own name in the guest. Guests may see others' disks by other names."""
    device = f"/dev/disk/by-id/wwn-0x{uuid.replace('-', '').lower()}"
    until = time.monotonic() + _DEVICE_WITHIN
    while not os.path.exists(device):
        if time.monotonic() > until:
            raise Problem("volume_missing", f"the disk of volume {name} is not there as {device}")
        time.sleep(_POLL)
    return device


def _kind(name: str, device: str) -> str:
    """The disk's file system; empty for a disk with nothing on it. Raises Problem for anything else."""
    probed = run(["blkid", "-p", "-o", "export", device])
    if probed.code not in (0, 2):
        raise Problem("volume_unusable", f"volume {name}: cannot tell what is on its disk: {probed.said}")
    facts = dict(line.split("=", 1) for line in probed.out.decode("utf-8", "replace").splitlines() if "=" in line)
    if facts.get("USAGE") == "filesystem" and facts.get("TYPE"):
        return facts["TYPE"]
    if probed.code == 0 and (signature := facts.get("TYPE") or facts.get("PTTYPE")):
        raise Problem("volume_unusable", f"volume {name}: its disk holds {signature}, which is no file system")
    with open(device, "rb", buffering=0) as disk:
        head = disk.read(1024 * 1024)
        disk.seek(_BEGUN_AT, os.SEEK_END)
        begun = disk.read(len(_BEGUN)) == _BEGUN
    if begun or not head.strip(b"\0"):
        return ""
    raise Problem("volume_unusable", f"volume {name}: its disk is not blank, and what is on it is not known")


def _format(name: str, device: str) -> None:
    """Make a file system; one that was begun and not ended is begun again."""
    _mark(device, _BEGUN)
    options = "nodiscard,lazy_itable_init=1,lazy_journal_init=1"
    _do(name, ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", options, device], what="cannot make a file system on its disk")
    _mark(device, bytes(len(_BEGUN)))


def _mark(device: str, mark: bytes) -> None:
    with open(device, "r+b", buffering=0) as disk:
        disk.seek(_BEGUN_AT, os.SEEK_END)
        disk.write(mark)
        os.fsync(disk.fileno())


def _do(name: str, command: list[str], *, what: str) -> None:
    done = run(command, timeout=_LONG)
    if done.code:
        raise Problem("volume_unusable", f"volume {name}: {what}: {done.said}")
