# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet's directory on the controller: the one way to its files, which never leads out of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.places import (
    DIRECTORY,
    FILE,
    MISSING,
    OUTSIDE,
    UNREADABLE,
    Found,
    Look,
)

# More than any spec can carry; it keeps a wrong path from filling the memory.
_LARGEST = 4 * 2**20


def inside(directory: str) -> Look:
    """A function that looks at paths below ``directory``, after all symbolic links are followed."""
    root = Path(os.path.realpath(directory))

    def look(path: str) -> Found:
        if "\0" in path:
            return Found(state=UNREADABLE, why="its name holds a NUL character")
        if path.startswith("~"):
            return Found(state=OUTSIDE)
        real = Path(os.path.realpath(root / path))
        if real != root and root not in real.parents:
            return Found(state=OUTSIDE)
        try:
            return _look(real)
        except (FileNotFoundError, NotADirectoryError):
            return Found(state=MISSING)
        except OSError as error:
            return Found(state=UNREADABLE, why=error.strerror or str(error))

    return look


def _look(real: Path) -> Found:
    # The path is resolved; a link that appears in its place meanwhile is not followed. A FIFO would block.
    descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        about = os.fstat(descriptor)
        if stat.S_ISDIR(about.st_mode):
            return Found(state=DIRECTORY)
        if not stat.S_ISREG(about.st_mode):
            return Found(state=UNREADABLE, why="it is no regular file")
        if about.st_size > _LARGEST:
            return Found(state=UNREADABLE, why=f"it has {about.st_size} bytes, more than {_LARGEST}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return Found(state=FILE, content=file.read(), executable=bool(about.st_mode & stat.S_IXUSR))
    finally:
        os.close(descriptor)
