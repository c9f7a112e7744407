"""Distinctive secrets, and a search for them wherever they must not be."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import socket
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

SYSLOG = Path("/dev/log")


@dataclass(frozen=True, kw_only=True)
class Planted:
    """Secrets by what they are. ``known`` are the lab's own, which are distinctive, too."""

    values: Mapping[str, str]

    @classmethod
    def of(cls, *names: str, **known: str) -> Planted:
        return cls(values={**{name: f"planted-{name}-{secrets.token_hex(12)}" for name in names}, **known})

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    def found_in(self, data: bytes | str) -> set[str]:
        """The names of the secrets that stand in some data, plainly or written in another alphabet."""
        raw = data.encode() if isinstance(data, str) else data
        return {name for name, value in self.values.items() if any(form in raw for form in _forms(value))}

    def found_below(self, *places: Path, since: float = 0.0) -> set[tuple[str, str]]:
        """The names of the secrets in files, and the files; what nobody wrote to since then is left out."""
        found: set[tuple[str, str]] = set()
        for file in _files(places, since):
            with suppress(OSError):
                found |= {(name, str(file)) for data in _written(file) for name in self.found_in(data)}
        return found


@dataclass
class Watch:
    """What was seen while something ran: the command lines of all processes, and what was said to the system's log."""

    planted: Planted
    lines: set[bytes] = field(default_factory=set)
    logged: bytes = b""

    @property
    def found(self) -> set[str]:
        return self.planted.found_in(b"\n".join(self.lines)) | self.planted.found_in(self.logged)


@contextmanager
def watching(planted: Planted) -> Iterator[Watch]:
    """Look at every process's command line, and listen where the system's log would, for the time of the block."""
    watch, over = Watch(planted=planted), threading.Event()
    threads = [threading.Thread(target=_watch_processes, args=(watch, over))]
    log: socket.socket | None = None
    if not SYSLOG.exists() and os.access(SYSLOG.parent, os.W_OK):
        log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        log.bind(str(SYSLOG))
        log.settimeout(0.1)
        threads.append(threading.Thread(target=_listen, args=(watch, log, over)))
    for thread in threads:
        thread.start()
    try:
        yield watch
    finally:
        over.set()
        for thread in threads:
            thread.join()
        if log is not None:
            log.close()
            SYSLOG.unlink()


def _watch_processes(watch: Watch, over: threading.Event) -> None:
    while not over.wait(0.05):
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with suppress(OSError):
                    watch.lines.add(Path(entry.path, "cmdline").read_bytes())


def _listen(watch: Watch, log: socket.socket, over: threading.Event) -> None:
    while not over.is_set():
        with suppress(TimeoutError):
            watch.logged += log.recv(1 << 16) + b"\n"


def _files(places: Iterable[Path], since: float) -> Iterator[Path]:
    for place in places:
        for directory, _unused, names in os.walk(place):
            for name in names:
                with suppress(OSError):
                    about = os.lstat(os.path.join(directory, name))
                    if stat.S_ISREG(about.st_mode) and about.st_ctime >= since:
                        yield Path(directory, name)


def _written(file: Path) -> Iterator[bytes]:
    """What was ever written to a file: a disk of gigabytes is mostly holes."""
    with file.open("rb") as content:
        at, end = 0, os.fstat(content.fileno()).st_size
        while at < end:
            try:
                at = os.lseek(content.fileno(), at, os.SEEK_DATA)
            except OSError:
                return  # nothing but a hole is left
            hole = os.lseek(content.fileno(), at, os.SEEK_HOLE)
            yield os.pread(content.fileno(), hole - at, at)
            at = hole


def _forms(value: str) -> Iterator[bytes]:
    raw = value.encode()
    yield raw
    yield quote(value, safe="").encode()
    yield binascii.hexlify(raw)
    # In base64 a text looks different after 0, 1 or 2 other bytes; its ends hang on what is beside it.
    for before in range(3):
        coded = base64.b64encode(b"x" * before + raw)
        yield coded[4 if before else 0 : (len(raw) + before) // 3 * 4]
