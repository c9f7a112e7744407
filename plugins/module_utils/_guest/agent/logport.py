# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The container's output to the VM's serial port, whose file the host keeps beside the VM."""

from __future__ import annotations

import os
import stat
import termios
import threading
from collections.abc import Iterator
from typing import Any

from ..protocol import LogStatus
from . import places
from .engine import Engine, EngineError
from .shell import journal
from .unixhttp import HttpError

# Room for the closing notice within the cap.
_NOTICE_ROOM = 200
_FRAME = 8


class LogPort:
    """Writes bytes to the port up to a cap; a serial port cannot be truncated from inside, so that is the end.

    ``written`` and ``capped`` are what earlier boots left.
    """

    def __init__(self, limit: int, *, written: int = 0, capped: bool = False, device: str = places.SERIAL) -> None:
        self._limit = limit
        self._written = written
        self._capped = capped
        self._lock = threading.Lock()
        self._handle = _open(device)

    @property
    def there(self) -> bool:
        """Whether the VM has the port at all."""
        return self._handle is not None

    @property
    def capped(self) -> bool:
        return self._capped

    def status(self) -> LogStatus | None:
        """For the agent's status; None without a port."""
        return LogStatus(bytes=self._written, capped=self._capped) if self.there else None

    def write(self, data: bytes) -> bool:
        """Write whole lines; False once the cap was reached (by this call or before)."""
        with self._lock:
            if self._handle is None or self._capped:
                return False
            if self._written + len(data) <= self._limit - _NOTICE_ROOM:
                self._out(data)
                return True
            room = max(0, self._limit - _NOTICE_ROOM - self._written)
            # End at a whole line where there is one.
            cut = data.rfind(b"\n", 0, room) + 1 or room
            notice = f"\n[bonneville: log_max_bytes of {self._limit} reached, no more output is kept]\n"
            self._out(data[:cut])
            self._out(notice.encode() if self._limit > _NOTICE_ROOM else b"")
            self._capped = True
            return False

    def notice(self, text: str) -> None:
        """A line of the agent's own."""
        self.write(f"[bonneville: {text}]\n".encode())

    def _out(self, data: bytes) -> None:
        if self._handle is None:
            raise AssertionError("the port is open by now")
        view = memoryview(data)
        while view:
            try:
                done = os.write(self._handle, view)
            except OSError as error:
                journal(f"log port: {error.strerror}")
                return
            self._written += done
            view = view[done:]


def _open(device: str) -> int | None:
    """The port in raw mode (the line discipline would turn every line's end into two bytes); None without hardware."""
    try:
        # Without O_NONBLOCK an open may wait for a carrier for ever.
        handle = os.open(device, os.O_WRONLY | os.O_NOCTTY | os.O_APPEND | os.O_NONBLOCK)
    except OSError:
        return None
    os.set_blocking(handle, True)
    if not stat.S_ISCHR(os.fstat(handle).st_mode):
        return handle
    try:
        mode = termios.tcgetattr(handle)
        mode[0] = mode[1] = mode[3] = 0
        mode[4] = mode[5] = termios.B115200
        termios.tcsetattr(handle, termios.TCSANOW, mode)
    except termios.error:
        # The kernel makes nodes for ports that the machine does not have.
        os.close(handle)
        return None
    return handle


class LogFollower:
    """Copies one container's output to the port, over its restarts and the agent's, without a line twice.

    The Engine stamps each line; ``since`` is the last stamp that was written.
    """

    def __init__(self, engine: Engine, container: str, port: LogPort, *, tty: bool, since: str = "") -> None:
        self._engine = engine
        self._container = container
        self._port = port
        self._tty = tty
        self.since = since
        self._wake = threading.Event()
        self._caught_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)

    def started(self) -> None:
        """The container runs (again): follow it."""
        if not self._port.there or self._port.capped:
            return
        self._caught_up.clear()
        self._wake.set()
        if not self._thread.is_alive():
            self._thread.start()

    def drain(self, timeout: float = 2.0) -> None:
        """The container ended: wait until its last line is in the port, so that a reader of the exit finds it."""
        if self._thread.is_alive():
            self._caught_up.wait(timeout)

    def _run(self) -> None:
        while not self._port.capped:
            self._wake.wait()
            self._wake.clear()
            try:
                self._copy()
            except EngineError as error:
                self._port.notice(f"the container's output cannot be read: {error}")
            except HttpError as error:
                journal(f"log: {error}")
            if not self._wake.is_set():
                self._caught_up.set()
        self._caught_up.set()

    def _copy(self) -> None:
        resume = self.since
        with self._engine.logs(self._container, since=_seconds(resume), follow=True) as stream:
            for stamp, line in stamped(stream.pieces(), tty=self._tty):
                # "since" includes its own moment. Later equal stamps are parts of one long line.
                if stamp <= resume:
                    continue
                if not self._port.write(line):
                    return
                self.since = max(self.since, stamp)


def stamped(pieces: Iterator[bytes], *, tty: bool) -> Iterator[tuple[str, bytes]]:
    """Take the Engine's log stream apart into (time stamp, line with its end).

    Without a TTY it comes in frames of an 8-byte header (stream, size) each; one
    frame is one line, or a part of a very long one, each with its stamp.
    """
    rest = b""
    for piece in pieces:
        data = rest + piece
        begin = 0
        while True:
            if tty:
                body, end = begin, data.find(b"\n", begin) + 1
            else:
                body = begin + _FRAME
                end = body + int.from_bytes(data[begin + 4 : body], "big") if body <= len(data) else 0
            if not end or end > len(data):
                break
            yield _stamp(data[body:end])
            begin = end
        rest = data[begin:]
    if tty and rest:
        yield _stamp(rest)


def _stamp(line: bytes) -> tuple[str, bytes]:
    stamp, _unused, text = line.partition(b" ")
    return stamp.decode("ascii", "replace"), text


def _seconds(stamp: str) -> str:
    """An Engine's time stamp (RFC 3339, UTC, nanoseconds) as the ``since`` of its own API: seconds and nanoseconds."""
    if not stamp:
        return ""
    import calendar
    import time

    whole, _unused, fraction = stamp.removesuffix("Z").partition(".")
    return f"{calendar.timegm(time.strptime(whole, '%Y-%m-%dT%H:%M:%S'))}.{fraction or '0'}"


def persisted(port: LogPort, follower: LogFollower | None) -> dict[str, Any]:
    """What the next boot has to know."""
    status = port.status()
    if status is None:
        return {}
    return {"bytes": status.bytes, "capped": status.capped, "since": follower.since if follower else ""}
