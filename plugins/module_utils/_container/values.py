# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Single values as Docker users write them: words, sizes, durations, limits. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption

_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmgtp]?)(?:i?b)?", re.IGNORECASE)
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:us|ms|s|m|h))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_NANOSECONDS = {"us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_VARIABLE = re.compile(r"[^=\s\0]+")


def invalid(option: str, value: object, why: str, next_step: str) -> InvalidOption:
    """The error for one option's value, in one form everywhere."""
    return InvalidOption(
        f"Cannot use {option}", obj=str(value), why=why, next_step=next_step, details={"option": option}
    )


def text(option: str, value: Any, *, secret: bool = False) -> str:
    """A string or a whole number as text; a ``secret`` one is in no error.

    YAML reads ``yes`` as a boolean and ``1.10`` as 1.1, so both arrive
    damaged, and what was written can no longer be told.
    """
    shown = "" if secret else value
    if isinstance(value, str):
        if "\0" in value:
            raise invalid(option, str(shown).replace("\0", "\\0"), "it holds a NUL character", "Remove it")
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(
            option,
            shown,
            f"YAML made it a {_kind(value)}, so it may not be what was written",
            "quote it" if secret else f'quote it: "{value}"',
        )
    return str(value)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return {bool: "boolean", float: "float", list: "list", dict: "dictionary"}.get(type(value), type(value).__name__)


def words(option: str, value: Any) -> tuple[str, ...]:
    """A command as its words; a string is split as a shell would, without expanding anything."""
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            raise invalid(option, value, str(error), "Balance the quotes, or write a list") from error
    return texts(option, value)


def texts(option: str, value: Any) -> tuple[str, ...]:
    """A list of strings."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise invalid(option, value, f"it is a {_kind(value)}", "Write a list of strings")
    return tuple(text(f"{option}[{index}]", item) for index, item in enumerate(value))


def unique(option: str, value: Any) -> tuple[str, ...]:
    """A set of strings, sorted."""
    return tuple(sorted(set(texts(option, value))))


def pairs(option: str, value: Any, *, secret: bool = False) -> dict[str, str]:
    """A dictionary of strings, sorted by its keys; values of a ``secret`` one are in no error."""
    if not isinstance(value, Mapping):
        raise invalid(option, "" if secret else value, f"it is a {_kind(value)}", "Write a dictionary")
    found: dict[str, str] = {}
    for key, item in value.items():
        name = text(option, key)
        if not name:
            raise invalid(option, "", "a key is empty", "Name every key")
        found[name] = text(f"{option}.{name}", item, secret=secret)
    return dict(sorted(found.items()))


def variables(option: str, value: Any) -> dict[str, str]:
    """Environment variables; their values are in no error."""
    found = pairs(option, value, secret=True)
    for name in found:
        if not _VARIABLE.fullmatch(name):
            raise invalid(option, name, "it cannot be a variable's name", "Use a name without '=' and blanks")
    return found


def env_file(path: str, content: str) -> dict[str, str]:
    """``NAME=value`` lines; blank lines and those that begin with ``#`` are skipped.

    A bare NAME, which Docker takes from the client's own environment, is
    refused: what the controller's environment holds is no one's intention.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(content.lstrip("\ufeff").splitlines(), start=1):
        stripped = line.lstrip()
        if not stripped or stripped.startswith("#"):
            continue
        name, equals, value = stripped.partition("=")
        if not equals or not _VARIABLE.fullmatch(name):
            raise invalid("env_file", path, f"line {number} is not NAME=value", "Write each variable as NAME=value")
        found[name] = value
    return found


def size(option: str, value: Any) -> int:
    """Bytes, from ``512m``, ``1.5G``, ``64MiB`` or a bare number."""
    written = text(option, value).strip()
    match = _SIZE.fullmatch(written)
    if not match:
        raise invalid(option, value, "it is no size", "Write a number and one of B, K, M, G, T, P, for example 512M")
    unit = _UNITS[match[2].lower()]
    return int(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit


def swap(option: str, value: Any) -> int:
    """A size, or -1 for ``unlimited``."""
    return -1 if str(value) in ("-1", "unlimited") else size(option, value)


def duration(option: str, value: Any) -> int:
    """Nanoseconds, from ``1m30s`` and the like."""
    written = str(value).strip()
    if not _DURATION.fullmatch(written):
        raise invalid(option, value, "it is no duration", "Write it as 90s, 1m30s, 500ms or 1h")
    return sum(int(float(number) * _NANOSECONDS[unit]) for number, unit in _DURATION_PART.findall(written))


def at_least(option: str, value: Any, least: int) -> int:
    """A whole number that is not below ``least``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(option, value, "it is no whole number", f"Use a whole number from {least}")
    if value < least:
        raise invalid(option, value, f"it is below {least}", f"Use a whole number from {least}")
    return value


def cpus(option: str, value: Any) -> int:
    """Billionths of a CPU, the Engine's unit."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 4096:
        raise invalid(option, value, "it is no number of CPUs", "Use a number above 0, for example 1.5")
    return round(value * 10**9)


def ulimit(option: str, value: Any) -> str:
    """``name:soft:hard``, from ``name:soft[:hard]`` or ``name=soft[:hard]``."""
    written = text(option, value)
    name, _unused, rest = written.replace("=", ":", 1).partition(":")
    soft, _unused, hard = rest.partition(":")
    hard = hard or soft
    if not re.fullmatch(r"[a-z]+", name) or not all(re.fullmatch(r"-1|\d+", part) for part in (soft, hard)):
        raise invalid(option, value, "it is no limit", "Write name:soft[:hard], for example nofile:1024:4096")
    return f"{name}:{soft}:{hard}"


def healthcheck(option: str, value: Any) -> dict[str, Any]:
    """The Engine's form of a health check; what is left out stays as the image has it."""
    if not isinstance(value, Mapping):
        raise invalid(option, value, f"it is a {_kind(value)}", "Write a dictionary with test, interval and so on")
    found: dict[str, Any] = {}
    test = value.get("test")
    if test is not None:
        if isinstance(test, str):
            found["Test"] = ["NONE"] if test.strip().upper() == "NONE" else ["CMD-SHELL", test]
        else:
            found["Test"] = list(texts(f"{option}.test", test))
            if not found["Test"] or found["Test"][0] not in ("NONE", "CMD", "CMD-SHELL"):
                raise invalid(
                    f"{option}.test", test, "a list begins with NONE, CMD or CMD-SHELL", "Add it, or write a string"
                )
    for name, engine in (("interval", "Interval"), ("timeout", "Timeout"), ("start_period", "StartPeriod")):
        if value.get(name) is not None:
            found[engine] = duration(f"{option}.{name}", value[name])
    if value.get("retries") is not None:
        found["Retries"] = at_least(f"{option}.retries", value["retries"], 1)
    return found
