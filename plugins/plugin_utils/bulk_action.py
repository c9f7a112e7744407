# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugins around the bulk modules: how far a task is, shown while it runs, and a table at its end."""

from __future__ import annotations

import json
import os
import select
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible import constants
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.display import Display
from ansible_collections.bonneville.vsphere.plugins.module_utils._progress import VARIABLE
from ansible_collections.bonneville.vsphere.plugins.plugin_utils.private_action import PrivateAction, more_environment
from ansible_collections.bonneville.vsphere.plugins.plugin_utils.table import table

# A short task tells nothing on its way; a long one no more often than one reads.
_FIRST_AFTER = 2.0
_TALLY_EVERY = 2.0
_SWITCH = "bonneville_vsphere_progress"


class BulkAction(PrivateAction):
    """Runs the module of its own name, and tells how it goes.

    Silent where nobody would see it or wants to: with ``no_log``, with
    ``async``, over a connection to another host, and where the variable
    ``bonneville_vsphere_progress`` is false.
    """

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        if not self._is_wanted(task_vars or {}):
            return super().run(tmp, task_vars)
        with _audience(self._task) as told:
            result = super().run(tmp, task_vars)
        if told() and result.get("containers"):
            for line in table(result["containers"]):
                Display().display(line)
        return result

    def _is_wanted(self, task_vars: Mapping[str, Any]) -> bool:
        wanted = self._templar.template(task_vars.get(_SWITCH, True))
        local = self._connection.transport == "local"
        silent = self._task.async_val or self._task.no_log
        return bool(local and not silent and boolean(wanted, strict=False))


@contextmanager
def _audience(task: Any) -> Iterator[Any]:
    """A pipe, named in the task's environment, and a thread that shows what comes; whether anything was shown."""
    with tempfile.TemporaryDirectory(prefix="bonneville-", dir=constants.DEFAULT_LOCAL_TMP) as folder:
        path = os.path.join(folder, "progress")
        os.mkfifo(path, 0o600)
        # For reading and writing: so it neither waits for a writer nor ends when one leaves.
        pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        show = _Show(pipe)
        thread = threading.Thread(target=show.run, name="progress", daemon=True)
        thread.start()
        try:
            with more_environment(task, {VARIABLE: path}):
                yield lambda: show.shown
        finally:
            os.write(pipe, b"\n")  # an empty line is the end
            thread.join()
            os.close(pipe)


class _Show:
    """Reads lines of the pipe until an empty one, and shows them at a reader's pace."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._began = time.monotonic()
        self._last = self._began + _FIRST_AFTER - _TALLY_EVERY
        self._tally = ""
        self.shown = False

    def run(self) -> None:
        rest = b""
        while True:
            select.select([self._pipe], [], [], self._patience())
            *lines, rest = (rest + self._read()).split(b"\n")
            for line in lines:
                if not line:
                    return
                self._take(line)
            if self._tally and self._patience() == 0:
                self._say(self._tally)

    def _read(self) -> bytes:
        try:
            return os.read(self._pipe, 65536)
        except BlockingIOError:
            return b""

    def _take(self, line: bytes) -> None:
        told = json.loads(line)
        if told["tally"]:
            self._tally = str(told["text"])
        elif time.monotonic() - self._began >= _FIRST_AFTER:
            self._say(str(told["text"]))

    def _patience(self) -> float | None:
        """How long the tally that stands may still wait; None without one."""
        return max(0.0, self._last + _TALLY_EVERY - time.monotonic()) if self._tally else None

    def _say(self, text: str) -> None:
        self.shown = True
        self._tally = ""
        self._last = time.monotonic()
        Display().display(f"  [{self._last - self._began:4.0f} s] {text}")
