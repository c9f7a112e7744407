# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A failure as the controller is to hear it."""

from __future__ import annotations

import errno

from ..protocol import MESSAGE_LIMIT, ProtocolError, Reason, clip


class Problem(Exception):
    """A failure with one of the protocol's reason codes and a sentence for the user."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def reason(self) -> Reason:
        return Reason(code=self.code, message=clip(str(self), MESSAGE_LIMIT))


def as_problem(error: Exception) -> Problem:
    """Any exception as a Problem; an unforeseen one is ``internal`` and names its type."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ProtocolError):
        return Problem(error.code, str(error))
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return Problem("disk_full", f"no space left on the guest's disk ({error.filename or 'unknown file'})")
    return Problem("internal", f"{type(error).__name__}: {error}")


# What the Engine and runc say, in words of theirs that have been stable since Docker 1.13.
_ENGINE_SAYS = (
    (("no space left on device",), "disk_full"),
    (("port is already allocated", "address already in use"), "port_conflict"),
    (("exec format error", "no matching manifest for", "does not match the specified platform"), "wrong_architecture"),
    (("executable file not found", "exec: "), "command_not_found"),
)


def of_engine(message: str, otherwise: str) -> Problem:
    """The Engine's error text as a Problem; ``otherwise`` is the code where the text names no known cause."""
    lower = message.lower()
    for signs, code in _ENGINE_SAYS:
        if any(sign in lower for sign in signs):
            return Problem(code, message)
    return Problem(otherwise, message)
