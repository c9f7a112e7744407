# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``x-bonneville``: what Compose has no word for, at the top, in a service, a network and a volume. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.options import DETERMINISTIC, OPTIONS
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import Problems, close, mistake
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Mark, Tree
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.scalars import plain, seconds

NAME = "x-bonneville"


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("it is no text")
    return value


def _ttl(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("it is no duration")
    found = seconds(f"{value}s" if isinstance(value, (int, float)) else value)
    if found < 0:
        raise ValueError("it is below 0")
    return found


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("it is no whole number from 1")
    return value


def _option(name: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        try:
            OPTIONS[name].read(name, plain(value))
        except InvalidOption as error:
            raise ValueError(error.why) from error
        return plain(value)

    return read


def _deterministic(value: Any) -> str:
    if value != DETERMINISTIC:
        raise ValueError(f"only '{DETERMINISTIC}' can be for several services")
    return DETERMINISTIC


_FOR_ADDRESSES: Mapping[str, Callable[[Any], Any]] = {key: _option(key) for key in ("gateway", "dns", "dns_search")}
# What can stand where, with how it is read.
KEYS: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "top": {
        "template": _text,
        "network": _text,
        "folder": _text,
        "datastore": _text,
        "resource_pool": _text,
        "mac_address": _deterministic,
        "ttl": _ttl,
        "size_gb": _size,
        **_FOR_ADDRESSES,
    },
    "service": {
        "template": _text,
        "network": _text,
        "ip_address": _option("ip_address"),
        "mac_address": _option("mac_address"),
        "ttl": _ttl,
        **_FOR_ADDRESSES,
    },
    "network": {"network": _text, **_FOR_ADDRESSES},
    "volume": {"size_gb": _size, "datastore": _text},
}


def read(tree: Tree | None, level: str, name: str, problems: Problems) -> dict[str, Any]:
    """The extension of a mapping; keys and values that cannot be meant are told to ``problems``.

    Args:
        level: where it stands, a key of KEYS.
        name: of what it stands in, for messages.
    """
    written = tree.get(NAME) if tree is not None else None
    if tree is None or written is None:
        return {}
    where = f"{NAME} of {level} '{name}'" if name else NAME
    if not isinstance(written, Tree):
        problems.add(mistake("Cannot use", where, tree.where(NAME), "it is no mapping", "Write a mapping"))
        return {}
    found: dict[str, Any] = {}
    for key, value in written.items():
        mark = written.where(key)
        if key not in KEYS[level]:
            problems.add(_unknown(key, level, where, mark))
        elif value is not None:
            try:
                found[key] = KEYS[level][key](value)
            except ValueError as error:
                problems.add(mistake(f"Cannot use {key} of", where, mark, f"'{value}': {error}", "Correct it", key=key))
    return found


def _unknown(key: str, level: str, where: str, mark: Mark) -> InvalidOption:
    elsewhere = [other for other, keys in KEYS.items() if key in keys]
    hint = f"It belongs to {NAME} of the {' or '.join(elsewhere)}" if elsewhere else close(key, KEYS[level])
    return mistake("There is no key", key, mark, f"in {where}", hint, key=f"{NAME}.{key}")
