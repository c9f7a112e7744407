# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the agent begins, and which of its lives this is."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from ..protocol import AGENT_VERSION
from . import places, record
from .guest import Stopped
from .rpc import GuestRpc, RpcError
from .shell import journal


def main(arguments: list[str]) -> int:
    """``--version``, ``thaw`` (by itself, after the freeze), or nothing: as the unit starts it."""
    if arguments == ["--version"]:
        sys.stdout.write(f"{AGENT_VERSION}\n")
        return 0
    os.umask(0o077)
    os.makedirs(places.RUN, mode=0o700, exist_ok=True)
    signal.signal(signal.SIGTERM, _stop)
    try:
        _live(GuestRpc())
    except Stopped:
        return 0
    except RpcError as error:
        journal(str(error))
        return 1


def _live(rpc: GuestRpc) -> NoReturn:
    # Imported where needed: a thaw does not pay for what only a template does.
    if os.path.exists(places.FREEZE) and "thaw" not in sys.argv[1:]:
        from .freeze import across

        across(rpc)
    if os.path.exists(places.FREEZE) or os.path.exists(places.THAW):
        from .thaw import resume

        resume(rpc)
    own = record.load()
    if own is not None:
        from .boot import again

        again(rpc, own)
    from .prepare import serve

    serve(rpc)


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped
