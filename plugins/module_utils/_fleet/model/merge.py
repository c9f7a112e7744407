# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a later Compose file, or a service that extends another, changes what came before. Pure.

Both sides are in canonical form. Mappings merge key by key, lists append, all
else is replaced; what differs from that is in the tables here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import mistake
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import (
    Items,
    Mark,
    Path,
    Tree,
    clone,
    matches,
)

_SERVICE = ("services", "*")
# Replaced as a whole.
_REPLACED: tuple[Path, ...] = (
    (*_SERVICE, "command"),
    (*_SERVICE, "entrypoint"),
    (*_SERVICE, "healthcheck", "test"),
    (*_SERVICE, "ulimits", "*"),
)
# Their values are replaced, by null too: a bare NAME is a value of its own.
_FLAT: tuple[Path, ...] = (
    (*_SERVICE, "environment"),
    (*_SERVICE, "labels"),
    (*_SERVICE, "annotations"),
    (*_SERVICE, "sysctls"),
    (*_SERVICE, "deploy", "labels"),
    ("networks", "*", "labels"),
    ("volumes", "*", "labels"),
)


def _text(entry: Any) -> str:
    return str(entry).partition("=")[0]


def _port(entry: Any) -> str:
    address = entry.get("host_ip", "0.0.0.0")
    return f"{address}:{entry.get('published', '')}:{entry.get('target')}/{entry.get('protocol')}"


def _mount(directory: str) -> Callable[[Any], str]:
    return lambda entry: str(entry.get("target") or f"{directory}/{entry.get('source')}")


def _field(name: str) -> Callable[[Any], str]:
    return lambda entry: str(entry.get(name)) if isinstance(entry, Tree) else str(entry)


# Lists in which a later entry takes the place of an earlier one with the same key.
_KEYED: dict[Path, Callable[[Any], str]] = {
    (*_SERVICE, "ports"): _port,
    (*_SERVICE, "volumes"): _field("target"),
    (*_SERVICE, "secrets"): _mount("/run/secrets"),
    (*_SERVICE, "configs"): _mount(""),
    (*_SERVICE, "env_file"): _field("path"),
    (*_SERVICE, "devices"): lambda entry: (
        entry.get("target", "") if isinstance(entry, Tree) else str(entry).rsplit(":", maxsplit=1)[-1]
    ),
    **{
        (*_SERVICE, key): _text
        for key in ("cap_add", "cap_drop", "dns", "dns_opt", "dns_search", "expose", "links", "profiles", "tmpfs")
    },
    (*_SERVICE, "networks", "*", "aliases"): _text,
}


def merge(base: Tree, later: Tree) -> Tree:
    """Both as one; neither is changed. Raises InvalidOption where a value cannot override one of another kind."""
    found: Tree = _merge(base, later, (), base.mark)
    return found


def extend(base: Tree, service: Tree, *, name: str) -> Tree:
    """A service that extends another one."""
    found: Tree = _merge(base, service, ("services", name), base.mark)
    return found


def reset(tree: Tree, paths: Iterable[Path]) -> None:
    """Take out what a later file resets or overrides, in place."""
    for path in paths:
        inside: Any = tree
        for part in path[:-1]:
            inside = inside.get(part) if isinstance(inside, Tree) else None
        if isinstance(inside, Tree) and path:
            inside.pop(path[-1], None)


def _merge(base: Any, later: Any, path: Path, mark: Mark) -> Any:
    if any(matches(path, pattern) for pattern in _REPLACED):
        return clone(later)
    if later is None:
        return clone(base)
    if base is None:
        return clone(later)
    if isinstance(base, Tree) and isinstance(later, Tree):
        if path[-1:] == ("logging",) and len({one.get("driver") for one in (base, later) if "driver" in one}) > 1:
            return clone(later)
        return _mappings(base, later, path)
    if isinstance(base, Items) and isinstance(later, Items):
        return _lists(base, later, path)
    if isinstance(base, (Tree, Items)) or isinstance(later, (Tree, Items)):
        raise mistake(
            "Cannot merge", ".".join(path), mark, "it is of another kind than what it overrides", "Write both alike"
        )
    return later


def _mappings(base: Tree, later: Tree, path: Path) -> Tree:
    found: Tree = clone(base)
    flat = any(matches(path, pattern) for pattern in _FLAT)
    for key, value in later.items():
        mark = later.where(key)
        if flat or key not in base:
            found.put(key, clone(value), mark)
        else:
            merged = _merge(base[key], value, (*path, key), mark)
            # Containers keep the place where they began; what was replaced stands where it was replaced.
            found.put(key, merged, base.where(key) if isinstance(merged, (Tree, Items)) or value is None else mark)
    return found


def _lists(base: Items, later: Items, path: Path) -> Items:
    found: Items = clone(base)
    if path[-2:-1] == ("extra_hosts",):
        known = list(base)
        for entry, mark in later.marked():
            if entry not in known:
                found.put(entry, mark)
        return found
    key_of = next((key for pattern, key in _KEYED.items() if matches(path, pattern)), None)
    # Only against the base: what one file says twice is an error of its own.
    places = {key_of(entry): index for index, entry in enumerate(base)} if key_of else {}
    for entry, mark in later.marked():
        place = places.get(key_of(entry)) if key_of else None
        if place is None:
            found.put(clone(entry), mark)
        else:
            found[place], found.at[place] = clone(entry), mark
    return found
