# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run one of the guest's own commands, and speak to the journal."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root"}


@dataclass(frozen=True, kw_only=True)
class Done:
    """A finished command; ``said`` is its error text, or its output where that is empty."""

    code: int
    out: bytes
    err: bytes

    @property
    def said(self) -> str:
        return (self.err.strip() or self.out.strip()).decode("utf-8", "replace")


def run(argv: list[str], *, data: bytes = b"", timeout: float | None = 30.0) -> Done:
    """Run ``argv`` with ``data`` on its standard input; a missing or hanging command is a failed one, never raised."""
    try:
        # In a guest there is no AnsibleModule, whose run_command pylint would rather see.
        # pylint: disable-next=ansible-bad-function
        done = subprocess.run(argv, input=data, capture_output=True, env=ENVIRONMENT, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return Done(code=124, out=b"", err=f"{argv[0]} did not end within {timeout} s".encode())
    except OSError as error:
        return Done(code=127, out=b"", err=f"{argv[0]}: {error.strerror}".encode())
    return Done(code=done.returncode, out=done.stdout, err=done.stderr)


def journal(message: str) -> None:
    """Say something to whoever reads the unit's journal."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
