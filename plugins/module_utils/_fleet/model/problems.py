# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with Compose files, gathered so that all of it is told at once. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    InvalidOption,
    Several,
    Unsupported,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Mark


def mistake(
    what: str, obj: str, mark: Mark | None, why: str, next_step: str, *, key: str = "", service: str = ""
) -> InvalidOption:
    """What is written cannot be meant: the error that names the file and the line."""
    return InvalidOption(
        what, obj=obj, why=f"{mark}: {why}" if mark else why, next_step=next_step, details=_details(mark, key, service)
    )


def wrong(key: str, service: str, mark: Mark | None, why: str, next_step: str) -> InvalidOption:
    """A service's key cannot be meant as it stands."""
    return mistake(f"Cannot use {key} of service", service, mark, why, next_step, key=key, service=service)


def ignorable(key: str, owner: str) -> str:
    """A key's name in ignore_unsupported; those of networks and so on are told from services' by what bears them."""
    return key if owner in ("service", "fleet") else f"{owner}.{key}"


def unsupported(key: str, owner: str, name: str, mark: Mark | None, why: str, next_step: str) -> Unsupported:
    """A key that a VM per container cannot honour. ``owner`` is what bears it: service, fleet, network, volume ..."""
    return Unsupported(
        f"Cannot honour {key} of {owner}",
        obj=name,
        why=f"{mark}: {why}" if mark else why,
        next_step=f"{next_step}, or name '{ignorable(key, owner)}' in ignore_unsupported",
        details=_details(mark, ignorable(key, owner), name if owner == "service" else ""),
    )


def close(name: str, known: Iterable[str]) -> str:
    """The next step for a name that is not known."""
    names = sorted(known)
    found = difflib.get_close_matches(name, names, n=3)
    if found:
        return f"Did you mean {' or '.join(found)}"
    return f"Known are {', '.join(names)}" if 0 < len(names) <= 12 else "Correct it or leave it out"


class Problems:
    """Errors as they are found, and warnings, such as of keys that the user allowed to be ignored."""

    def __init__(self, ignored: Collection[str] = ()) -> None:
        self.errors: list[BonnevilleError] = []
        self.warnings: list[str] = []
        self._ignored = frozenset(ignored)

    def add(self, error: BonnevilleError) -> None:
        """Keep an error until ``settle``; what several services have in common is told once."""
        if all(error.message != known.message for known in self.errors):
            self.errors.append(error)

    def refuse(self, key: str, owner: str, name: str, mark: Mark | None, why: str, next_step: str) -> None:
        """A key cannot be honoured: an error, or a warning where the user listed it or what it is part of."""
        parts = ignorable(key, owner).split(".")
        if any(".".join(parts[:count]) in self._ignored for count in range(1, len(parts) + 1)):
            self.warn(mark, f"{key} of {owner} '{name}' is ignored, as ignore_unsupported says: {why}.")
        else:
            self.add(unsupported(key, owner, name, mark, why, next_step))

    def warn(self, mark: Mark | None, words: str) -> None:
        """Keep what the user should know although it is no error: whole sentences, before which the place is put."""
        self.warnings.append(f"{mark}: {words}" if mark else words)

    def settle(self, what: str) -> None:
        """Raise what was found: a single error as it is, more as Several."""
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise Several(what, self.errors)


def _details(mark: Mark | None, key: str, service: str) -> dict[str, Any]:
    found: dict[str, Any] = {"file": mark.file, "line": mark.line} if mark else {}
    if key:
        found["key"] = key
    if service:
        found["service"] = service
    return found
