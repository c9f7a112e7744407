# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes out of a model what a VM per container cannot honour, and tells of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import Problems, close, mistake
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Items, Tree
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.support import LEVELS, Key, refusable

# Their keys are names that the user chose; what is inside of each is looked up.
_NAMED = frozenset({"networks", "depends_on"})
# Keys that have others inside of them.
_OUTER = frozenset(key[:at] for table in LEVELS.values() for key in table for at, char in enumerate(key) if char == ".")


def honoured(tree: Tree, level: str, name: str, problems: Problems) -> Tree:
    """What is left of a service, a network, and so on: every key that can be honoured, and ``x-`` keys."""
    return _walk(tree, LEVELS[level], "", level, name, problems)


def check_ignored(ignored: list[str], problems: Problems) -> None:
    """What is to be ignored has to be something that could be refused: a misspelt key would ignore nothing."""
    known = refusable()
    for key in ignored:
        if key not in known:
            problems.add(
                mistake("Cannot ignore the key", key, None, "it is none that is refused", close(key, known), key=key)
            )


def _walk(tree: Tree, table: Mapping[str, Key], prefix: str, level: str, name: str, problems: Problems) -> Tree:
    found = Tree(mark=tree.mark)
    for key, value in tree.items():
        mark = tree.where(key)
        dotted = f"{prefix}{key}"
        entry = None if key.startswith("x-") else table.get(dotted)
        if entry is None:
            found.put(key, value, mark)
        elif entry.refuses(value):
            shown = f"'{value}': " if entry.accepts else ""
            problems.refuse(dotted, level, name, mark, f"{shown}{entry.why}", entry.instead)
        elif not entry.why or entry.how:
            found.put(key, _inside(value, table, dotted, level, name, problems), mark)
    return found


def _inside(value: Any, table: Mapping[str, Key], dotted: str, level: str, name: str, problems: Problems) -> Any:
    if dotted not in _OUTER:
        return value
    if isinstance(value, Items):
        return Items(
            (_inside(entry, table, dotted, level, name, problems) for entry in value), mark=value.mark, at=value.at
        )
    if not isinstance(value, Tree):
        return value
    if dotted in _NAMED:
        return Tree(
            {
                key: _walk(item, table, f"{dotted}.", level, name, problems) if isinstance(item, Tree) else item
                for key, item in value.items()
            },
            mark=value.mark,
            at=value.at,
        )
    return _walk(value, table, f"{dotted}.", level, name, problems)
