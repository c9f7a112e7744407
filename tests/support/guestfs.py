"""What stands inside docker guests, seen from the machine that they run on: files, and what processes were given."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_NOT_FILES = {"proc", "sys", "dev"}


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A guest by its hostname. ``pid`` is that of its init, as the machine counts."""

    name: str
    pid: int
    group: str

    @property
    def places(self) -> tuple[Path, ...]:
        """All of its file system, what is in memory and on volumes included."""
        root = Path(f"/proc/{self.pid}/root")
        return tuple(Path(entry.path) for entry in os.scandir(root) if entry.name not in _NOT_FILES)

    def given(self) -> bytes:
        """The command lines and environments of all its processes, those of its container included."""
        return b"\n".join(_read(pid, "cmdline") + _read(pid, "environ") for pid in _pids() if self.group in _group(pid))


def guests() -> Iterator[Guest]:
    """All docker guests of this machine, frozen ones included."""
    for pid in _pids():
        if _read(pid, "cmdline").startswith(b"/usr/sbin/init\0") and _is_first(pid):
            with suppress(OSError):
                name = Path(f"/proc/{pid}/root/etc/hostname").read_text().strip()
                yield Guest(name=name, pid=pid, group=_container(_group(pid)))


def _pids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())


def _read(pid: int, file: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""


def _group(pid: int) -> str:
    return _read(pid, "cgroup").decode(errors="replace")


def _container(group: str) -> str:
    """The id of the container that a guest is, out of its control groups' names."""
    found = re.search(r"[0-9a-f]{64}", group)
    return found[0] if found else group


def _is_first(pid: int) -> bool:
    """Whether it is the first process of a PID namespace of its own."""
    for line in _read(pid, "status").splitlines():
        if line.startswith(b"NSpid:"):
            numbers = line.split()[1:]
            return len(numbers) > 1 and numbers[-1] == b"1"
    return False
