# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a run tells how far it is, while it runs. A module has no way to print, so it writes into a pipe.

The action plugin of a bulk module makes the pipe, names it in the module's
environment, and shows what comes out of it. Without a reader nothing is told.
"""

from __future__ import annotations

import json
import os
from typing import Protocol

VARIABLE = "BONNEVILLE_PROGRESS"
"""The environment variable that names the pipe."""


class Progress(Protocol):
    """Tells one thing. A ``tally`` replaces the one before it; any other text is a milestone of its own."""

    def __call__(self, text: str, *, tally: bool = False) -> None: ...


def silent(text: str, *, tally: bool = False) -> None:
    """Tells nobody."""


class Pipe:
    """The module's end. What cannot be written at once is left out: no run waits for its audience."""

    def __init__(self) -> None:
        self._handle = _open(os.environ.get(VARIABLE, ""))

    def __call__(self, text: str, *, tally: bool = False) -> None:
        if self._handle is None:
            return
        line = json.dumps({"text": text, "tally": tally}).encode() + b"\n"
        try:
            os.write(self._handle, line)
        except BlockingIOError:
            return
        except OSError:  # the reader is gone
            self._handle = None


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK) if path else None
    except OSError:
        return None
