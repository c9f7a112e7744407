# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A VM with its one container: how it starts, is followed, and ends. Both starts of the agent meet here."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import asdict, replace
from types import TracebackType
from typing import Any, NoReturn

from ..protocol import KEY_KEY, KEY_START, ContainerStatus
from . import container, places, state, unseal, volumes
from .discovery import Discovery
from .engine import Engine, EngineError
from .follow import Follower
from .logport import LogFollower, LogPort, persisted
from .problem import Problem, as_problem
from .record import Record
from .report import Reporter
from .rpc import GuestRpc, RpcError
from .shell import journal
from .unixhttp import HttpError

_TICK = 1.0
# A key of its own is for later updates: made when the neighbours' clones have had their start.
_CALM_AFTER = 10.0
_KEEP_EVERY = 5.0
# What the wall clock may do between two ticks; more is a suspended VM's, and costs one status where it is not.
_SUSPENDED_AFTER = 5.0


class Stopped(BaseException):
    """SIGTERM: the guest is being shut down. Raised in the main thread, wherever it is."""


class Guest:
    """The container of ``record``, its log and its status."""

    def __init__(
        self,
        rpc: GuestRpc,
        engine: Engine,
        reporter: Reporter,
        record: Record,
        *,
        discovery: Discovery | None = None,
    ) -> None:
        self._rpc = rpc
        self._engine = engine
        self._reporter = reporter
        self.record = record
        self._discovery = discovery
        # Whichever was written last; the file is gone or torn at worst.
        log = max(record.log, state.load(places.LOGGED) or {}, key=lambda one: int(one.get("bytes", 0)))
        self._since = str(log.get("since", ""))
        self._kept: dict[str, Any] | None = None
        self._port = LogPort(
            record.log_max_bytes, written=int(log.get("bytes", 0)), capped=bool(log.get("capped", False))
        )
        reporter.log_from(self._port.status)
        reporter.refused_to(self._refused)
        self._log: LogFollower | None = None
        self._follower: Follower | None = None
        self._lock = threading.Lock()
        self._stopping = False
        self._running = False
        self._logged = ""  # the start whose output is being followed

    def __enter__(self) -> Guest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Stopped):
            self._stop()

    def _refused(self, text: str) -> None:
        journal(text)
        self._port.notice(text)

    def follow(self) -> None:
        """Listen for the container's events; to be called before it is started, so that none is missed."""
        self._log = LogFollower(self._engine, self.record.container, self._port, tty=self.record.tty, since=self._since)
        self._kept = persisted(self._port, self._log)
        self._follower = Follower(self._engine, self.record.container, self._look, self._lost)
        self._follower.begin()

    def start(self) -> None:
        """Start the container and report what came of it, good or bad."""
        self._reporter.phase("starting")
        try:
            container.start(self._engine, self.record.container)
        except Problem as problem:
            self._fail(problem)
            return
        self.look()

    def look(self) -> None:
        """Read the container and report it: now, or when dockerd answers again."""
        try:
            self._look()
        except Problem:
            if self._follower:
                self._follower.again()

    def _look(self) -> ContainerStatus | None:
        """Read the container, report it, and remember what the next boot needs; None once it is gone.

        Raises Problem, which is reported, when dockerd does not tell.
        """
        with self._lock:
            try:
                found = container.inspect(self._engine, self.record.container)
            except Problem as problem:
                self._running = False
                self._fail(problem)
                if isinstance(problem, container.Gone):
                    return None
                raise
            now = container.status_of(found, self.record.image_status)
            phase = container.phase_of(now)
            self._running = phase == "running"
            if self._log and now.started_at not in ("", self._logged):
                self._logged = now.started_at
                self._log.started()
                self._found(container.process_of(found))
            if not self._running and self._discovery:
                self._discovery.at(container="")
            if self._stopping:
                self._reporter.change(container=now)
                return now
            if not self._running and self._log:
                # Who hears of the end finds the whole output.
                self._log.drain()
            self._reporter.phase(phase, container.reason_of(now), container=now)
            self._remember(now, ran=self._running)
            return now

    def _found(self, process: container.Process | None) -> None:
        """Each start gives the container another process, and may give it another address on the bridge."""
        if process is None:
            return
        self._reporter.runs(process.ended)
        if self._discovery:
            self._discovery.at(container=process.bridge_address)

    def _remember(self, now: ContainerStatus, *, ran: bool) -> None:
        reason = container.reason_of(now)
        fresh = replace(
            self.record,
            ran=ran,
            last=asdict(now),
            reason=asdict(reason) if reason else None,
            log=persisted(self._port, self._log),
        )
        if fresh != self.record:
            self.record = fresh
            try:
                fresh.save()
            except OSError as error:
                # A full disk must not end the agent; the container's own state is in the Engine.
                journal(f"{as_problem(error)}")

    def _fail(self, problem: Problem) -> None:
        self._reporter.phase("failed", problem.reason())

    def _lost(self, problem: Problem) -> None:
        self._running = False
        self._fail(problem)

    def stay(self) -> NoReturn:
        """Live with the container until SIGTERM: obey new start tokens while it does not run."""
        calm = time.monotonic() + _CALM_AFTER
        settled = False
        keep, ticked = 0.0, time.time()
        while True:
            ticked, before = time.time(), ticked
            if ticked - before > _SUSPENDED_AFTER:
                # Who resumed the VM waits for a status that is newer than the last one.
                self._reporter.again()
            if time.monotonic() > keep:
                keep = time.monotonic() + _KEEP_EVERY
                self._keep()
            if not settled and time.monotonic() > calm:
                settled = True
                os.sync()
                self._make_key()
            if not self._running:
                self._obey()
            if self._discovery:
                self._discovery.look()
            time.sleep(_TICK)

    def _keep(self) -> None:
        """Put on disk how far the log is, apart from the record: of one not durable, a power loss may leave nothing."""
        log = persisted(self._port, self._log)
        if self._kept in (None, log):
            return
        self._kept = log
        try:
            state.save(places.LOGGED, log, durable=False)
        except OSError as error:
            journal(f"{as_problem(error)}")

    def _obey(self) -> None:
        if self.ordered() and self.record.container:
            self.start()

    def ordered(self) -> bool:
        """Whether the host has given an order to start that was not followed yet; from here on it is."""
        try:
            token = self._rpc.get(KEY_START)
        except RpcError as error:
            journal(str(error))
            return False
        if not token or token == self.record.start_token:
            return False
        # Remembered first: a container that takes the VM down with it is not started for ever.
        self.record = replace(self.record, start_token=token)
        try:
            self.record.save()
        except OSError as error:
            journal(f"{as_problem(error)}")
        return True

    def _make_key(self) -> None:
        try:
            self._rpc.set(KEY_KEY, unseal.make_key())
        except (Problem, RpcError) as error:
            journal(f"no key of this VM's own: {error}")

    def _stop(self) -> None:
        """The guest is being shut down: what ``docker stop`` does, and the last status."""
        self._stopping = True
        before = self._reporter.status
        now = self._read()
        ran = now is not None and container.phase_of(now) == "running"
        if ran:
            self._reporter.phase("stopping", container=now)
            try:
                self._engine.stop(self.record.container, self.record.stop_timeout)
            except (EngineError, HttpError) as error:
                journal(f"docker stop: {error}")
            now = self._read()
        with self._lock:
            if self._log:
                self._log.drain()
            # Why it failed, or ended by itself before, stays true; that it was stopped is no failure.
            self._reporter.phase("stopped", None if ran else before.reason, container=now or before.container)
            volumes.release(self.record.volumes)
            if now is not None:
                # It is to run again after the next boot, if it did until now.
                self._remember(now, ran=ran)
        self._reporter.close()

    def _read(self) -> ContainerStatus | None:
        if not self.record.container:
            return None
        try:
            return container.read(self._engine, self.record.container, self.record.image_status)
        except Problem as problem:
            journal(str(problem))
            return None
