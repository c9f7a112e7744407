"""Look for a secret where docker guests could have it: in their processes' memory, and in their files."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

_BLOCK = 1 << 24
_KERNELS = ("[vvar", "[vsyscall", "[vdso")


def forms(username: str, password: str) -> list[bytes]:
    """A password as it stands in clear, and inside base64, where it may begin at any of three places."""
    found = [password.encode(), base64.b64encode(f"{username}:{password}".encode()).rstrip(b"=")]
    for skipped in range(3):
        text = base64.b64encode(b"x" * skipped + password.encode())
        # The first and the last characters hold bits of what stands beside it.
        found.append(text[4 if skipped else 0 : len(text) // 4 * 4 - 4])
    return found


def guest_processes() -> list[int]:
    """Processes of this machine with a file system and a table of processes of their own. Needs root."""
    ours = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "pid")]
    found = []
    for entry in os.listdir("/proc"):
        with suppress(OSError):
            if entry.isdigit() and all(
                os.readlink(f"/proc/{entry}/ns/{kind}") != own for kind, own in zip(("mnt", "pid"), ours, strict=True)
            ):
                found.append(int(entry))
    return found


def in_memory(pid: int, patterns: Sequence[bytes]) -> set[bytes]:
    """Which of the patterns a process has in memory that it can read."""
    found: set[bytes] = set()
    with (
        suppress(OSError),
        open(f"/proc/{pid}/maps", encoding="utf-8") as maps,
        open(f"/proc/{pid}/mem", "rb", 0) as mem,
    ):
        for line in maps:
            span, rights, *rest = line.split(maxsplit=5)
            if not rights.startswith("r") or (rest[3:] and rest[3].startswith(_KERNELS)):
                continue
            begin, end = (int(part, 16) for part in span.split("-"))
            found |= set(_in_stream(_pieces(mem.fileno(), begin, end), patterns))
    return found


def in_file(path: Path, patterns: Sequence[bytes]) -> set[bytes]:
    with path.open("rb") as file:
        return set(_in_stream(iter(lambda: file.read(_BLOCK), b""), patterns))


def in_files(folder: Path, patterns: Sequence[bytes]) -> dict[str, set[bytes]]:
    """Which of the patterns are in which regular files of a folder and the folders in it."""
    found: dict[str, set[bytes]] = {}
    for inside, _unused, files in os.walk(folder):
        for path in (Path(inside, name) for name in files):
            with suppress(OSError):
                if path.is_file() and not path.is_symlink() and (hits := in_file(path, patterns)):
                    found[str(path)] = hits
    return found


def _pieces(handle: int, begin: int, end: int) -> Iterator[bytes]:
    while begin < end:
        try:
            block = os.pread(handle, min(_BLOCK, end - begin), begin)
        except OSError:
            return
        if not block:
            return
        begin += len(block)
        yield block


def _in_stream(blocks: Iterable[bytes], patterns: Sequence[bytes]) -> Iterator[bytes]:
    longest = max(map(len, patterns))
    rest = b""
    for block in blocks:
        content = rest + block
        yield from (pattern for pattern in patterns if pattern in content)
        rest = content[-longest:]
