# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""This process in a few words, by which another one on the same machine can tell that it has died.

Where it runs is told by what no two machines share, and no two boots, nor two
containers whose processes do not see each other. What is not told by Linux is not known.
"""

from __future__ import annotations

import hashlib
import os
import socket
from contextlib import suppress
from pathlib import Path

_PREFIX = "process "
_START = 19  # a process's start, in ticks since the boot, among the fields after its name
_OVER = frozenset({"Z", "X", "x"})


def mine() -> str:
    """This process; empty where the system does not tell enough."""
    here, start = _here(), _state(os.getpid())[1]
    return f"{_PREFIX}{here} {os.getpid()} {start}" if here and start else ""


def is_here(text: str) -> bool:
    """Whether it is a process of this machine, as ``mine`` said it there, dead or not."""
    words = text.removeprefix(_PREFIX).split(" ")
    return text.startswith(_PREFIX) and len(words) == 3 and words[1].isdecimal() and words[0] == _here() != ""


def has_died(text: str) -> bool:
    """Whether a process is known to have died; False for any other text, and for what cannot be known from here."""
    if not is_here(text):
        return False
    _unused, pid, start = text.removeprefix(_PREFIX).split(" ")
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # it is there, and somebody else's
    state, begun = _state(int(pid))
    # Where /proc does not show other users' processes it may be the one.
    return state in _OVER or bool(begun and begun != start)


def _here() -> str:
    """The machine, its boot, and the processes that see each other there; empty where that is not told."""
    try:
        told = [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")]
    except OSError:
        return ""
    # A controller may be a clone of another one, that was running: what it was given of its own tells them apart.
    cards = sorted(device.with_name("address") for device in Path("/sys/class/net").glob("*/device"))
    for path in (Path("/etc/machine-id"), *cards):
        with suppress(OSError):
            told.append(path.read_text().strip())
    return hashlib.sha256("\n".join([*told, socket.gethostname()]).encode()).hexdigest()[:16]


def _state(pid: int) -> tuple[str, str]:
    """A process's state and start as /proc has them; empty where it does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "", ""
    # The name in parentheses may hold anything.
    fields = stat.rpartition(")")[2].split()
    return (fields[0], fields[_START]) if len(fields) > _START else ("", "")
