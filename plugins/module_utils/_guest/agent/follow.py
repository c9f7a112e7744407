# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Follows the container by the Engine's event stream and keeps its status true."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..protocol import ContainerStatus
from .engine import Engine, EngineError
from .problem import Problem
from .shell import journal
from .unixhttp import HttpError, Response

_KINDS = ["start", "die", "oom", "health_status", "pause", "unpause", "stop", "kill", "restart", "destroy"]
_AGAIN = 1.0


class Follower:
    """Calls ``look`` after every event of the container, and whenever the stream had to be opened anew.

    ``look`` inspects and reports; what it finds is the truth, an event only says
    when. It returns None where there is nothing left to follow, and raises Problem
    where the Engine does not tell: then it is called again when the Engine does.
    """

    def __init__(
        self,
        engine: Engine,
        container: str,
        look: Callable[[], ContainerStatus | None],
        lost: Callable[[Problem], None],
    ) -> None:
        self._engine = engine
        self._container = container
        self._look = look
        self._lost = lost
        self._subscribed = threading.Event()
        self._stream: Response | None = None
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)

    def begin(self) -> None:
        """Subscribe; returns when no event can be missed any more (or dockerd is away, which is reported)."""
        self._thread.start()
        self._subscribed.wait(5.0)

    def again(self) -> None:
        """Look as soon as the Engine answers, also without an event."""
        self._subscribed.set()
        if self._stream:
            self._stream.close()

    def _run(self) -> None:
        while True:
            try:
                with self._engine.events(self._container, _KINDS) as stream:
                    self._stream = stream
                    first = not self._subscribed.is_set()
                    self._subscribed.set()
                    # The first look is the starter's own.
                    if not first and self._look() is None:
                        return
                    if not self._listen(stream):
                        return
            except (HttpError, EngineError, Problem) as error:
                journal(f"events: {error}")
            time.sleep(_AGAIN)
            try:
                self._engine.wait()
            except Problem as problem:
                self._lost(problem)

    def _listen(self, stream: Response) -> bool:
        """Look after each event until the stream ends; False when there is nothing left to follow."""
        return all(not line.strip() or self._look() is not None for line in stream.lines())
