# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small JSON files: whole or not at all, and for root only."""

from __future__ import annotations

import json
import os
from typing import Any


def load(path: str) -> dict[str, Any] | None:
    """The object in ``path``; None where there is none, or a torn one."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except (FileNotFoundError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def save(path: str, data: dict[str, Any], *, durable: bool = True) -> None:
    """Replace ``path`` whole; ``durable`` waits for the disk, so that a power loss leaves the old or the new one."""
    write(path, json.dumps(data, separators=(",", ":")).encode(), mode=0o600, durable=durable)


def write(path: str, content: bytes, *, mode: int, durable: bool = True) -> None:
    """Replace ``path`` with ``content``, by renaming."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(folder, mode=0o700 if folder.endswith("/bonneville") else 0o755)
    fresh = path + ".new"
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(handle, "wb") as file:
        os.fchmod(handle, mode)
        file.write(content)
        file.flush()
        if durable:
            os.fsync(handle)
    os.replace(fresh, path)


def remove(path: str) -> None:
    """Remove ``path`` if it is there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
