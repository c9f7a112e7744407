# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps the status and publishes it, on change only, beside the work and never in its way."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..protocol import KEY_STATUS, LogStatus, Reason, Status
from .rpc import GuestRpc, RpcError
from .shell import journal

_AGAIN = 1.0
_FIRST_STEPS = 0.1
# The Engine unmounts and takes addresses back before it tells of an end.
_END_TOLD = 5.0


class Reporter:
    """The one status of this agent.

    A thread of its own calls the RPC with the newest status; what was overtaken
    before it could be sent is left out, its time stays in ``timings``.
    """

    def __init__(self, rpc: GuestRpc, *, role: str, nonce: str, phase: str, begun: float | None = None) -> None:
        self._rpc = rpc
        self._begun = time.monotonic() if begun is None else begun
        self._status = Status(role=role, nonce=nonce, boot=os.urandom(16).hex(), seq=0, time=0.0, phase=phase)
        self._log: Callable[[], LogStatus | None] = lambda: None
        self._refused: Callable[[str], None] = journal
        self._ended: Callable[[], bool] = lambda: False
        self._changed = threading.Condition()
        self._wanted = 0
        self._sent = 0
        self._closing = False
        self._sent_running = False
        self._thread = threading.Thread(target=self._publish, name="report", daemon=True)
        self._thread.start()
        self.phase(phase)

    @property
    def status(self) -> Status:
        return self._status

    def log_from(self, log: Callable[[], LogStatus | None]) -> None:
        """Read the log's size from ``log`` at each publishing; its growth alone is no change."""
        self._log = log

    def runs(self, ended: Callable[[], bool]) -> None:
        """Ask ``ended`` of the container's process before it is first said to run."""
        self._ended = ended

    def refused_to(self, tell: Callable[[str], None]) -> None:
        """Say by ``tell`` that the host takes no status: guestinfo is then no way to say it."""
        self._refused = tell

    def phase(self, phase: str, reason: Reason | None = None, **changes: Any) -> None:
        """Enter a phase; ``timings`` has the first entry into each."""
        timings = {phase: round(time.monotonic() - self._begun, 3), **self._status.timings}
        self.change(phase=phase, reason=reason, timings=timings, **changes)

    def change(self, **changes: Any) -> None:
        """Change fields of the status, and publish it if it differs."""
        with self._changed:
            fresh = replace(self._status, **changes)
            if fresh != self._status or not self._wanted:
                self._status = fresh
                self._wanted += 1
                self._changed.notify_all()

    def again(self) -> None:
        """Publish although nothing changed."""
        with self._changed:
            self._wanted += 1
            self._changed.notify_all()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until the newest status is out; False when it could not be sent in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._sent >= self._wanted, timeout)

    def close(self) -> None:
        """Send what is left, and end the thread: nothing of ours may be on its way while the VM freezes."""
        self.flush()
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout=15.0)

    def _news(self, known: int) -> Callable[[], bool]:
        return lambda: self._closing or self._wanted > known

    def _publish(self) -> None:
        told = False
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._sent < self._wanted)
                if self._closing:
                    return
                if self._status.phase == "running" and not self._sent_running:
                    # Who starts a process that ends at once is to hear of its end, not that it ran.
                    self._changed.wait_for(lambda: self._closing or self._status.phase != "running", _FIRST_STEPS)
                    if self._ended():
                        self._changed.wait_for(self._news(self._wanted), _END_TOLD)
                    self._sent_running = True
                number = self._wanted
                self._status = replace(self._status, seq=self._status.seq + 1, time=time.time(), log=self._log())
                status = self._status
            try:
                self._rpc.set(KEY_STATUS, status.encode())
                told = False
            except RpcError as error:
                if not told:
                    self._refused(f"the host does not take this VM's status ({error}); guestinfo may be disabled")
                told = True
                with self._changed:
                    self._changed.wait_for(self._news(number), _AGAIN)
                continue
            with self._changed:
                self._sent = number
                self._changed.notify_all()
