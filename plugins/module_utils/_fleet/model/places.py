# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fleet's own files, through a function that is handed in: nothing else on the controller is ever read. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import mistake
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Mark

FILE, DIRECTORY, MISSING, OUTSIDE, UNREADABLE = "file", "directory", "missing", "outside", "unreadable"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is at a path: ``state`` is FILE, DIRECTORY, MISSING, OUTSIDE or UNREADABLE; ``why`` tells of the last."""

    state: str
    content: bytes = field(default=b"", repr=False)
    executable: bool = False
    why: str = ""


# From a path, relative to the fleet's directory or absolute, to what is there after all symbolic links.
Look = Callable[[str], Found]


def need_file(look: Look, path: str, mark: Mark | None, *, role: str) -> Found:
    """A file that has to be there; raises InvalidOption, which names it and what asks for it.

    Args:
        role: what the file is, for example ``env_file of service 'web'``.
    """
    found = look(path)
    if found.state == FILE:
        return found
    raise mistake(f"Cannot use {role}", path, mark, *_REASONS.get(found.state, (found.why, "Make it readable")))


def need_text(look: Look, path: str, mark: Mark | None, *, role: str) -> str:
    """The text of a file that has to be there; raises InvalidOption."""
    return as_text(need_file(look, path, mark, role=role).content, path, mark, role=role)


def as_text(content: bytes, path: str, mark: Mark | None, *, role: str) -> str:
    """A file's content as text; raises InvalidOption where it is none."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise mistake(f"Cannot use {role}", path, mark, "it is not UTF-8 text", "Save it as UTF-8") from error


_REASONS = {
    MISSING: ("there is no such file in the fleet's directory", "Add the file, or correct the path"),
    DIRECTORY: ("it is a directory", "Name a file"),
    OUTSIDE: (
        "it leaves the fleet's directory, where all of a fleet's files have to be",
        "Copy the file into the fleet's directory",
    ),
}
