# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Durations and sizes as Compose writes them, and plain values out of marked ones. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h|d|w)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([bkmgtp]?)(?:i?b)?", re.IGNORECASE)
_POWERS = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def seconds(text: Any) -> float:
    """A duration such as ``1m30s`` or ``1d``; raises ValueError."""
    written = str(text).strip()
    if written == "0":
        return 0.0
    parts = _PART.findall(written)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != written:
        raise ValueError(f"'{text}' is no duration; write it as 90s, 1m30s, 500ms or 1h")
    return math.fsum(float(number) * _SECONDS[unit] for number, unit in parts)


def duration(text: Any) -> str:
    """A duration in seconds or parts of one, as every option takes it; raises ValueError."""
    found = seconds(text)
    if found == int(found):
        return f"{int(found)}s"
    return f"{max(1, round(found * 1e6))}us"


def size(value: Any) -> int:
    """Bytes; -1 stays. Raises ValueError."""
    written = str(value).strip()
    if written == "-1":
        return -1
    match = _SIZE.fullmatch(written)
    if not match:
        raise ValueError(f"'{value}' is no size; write a number and one of B, K, M, G, for example 512M")
    return int(float(match[1]) * 1024 ** _POWERS[match[2].lower()])


def mode(value: Any) -> str:
    """A file's mode in octal digits, from the number that YAML made of ``0440``, or from text; raises ValueError."""
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str) and re.fullmatch(r"(?:0o?)?[0-7]{1,4}", value):
        number = int(value.replace("o", ""), 8)
    if number is None or not 0 <= number <= 0o7777:
        raise ValueError(f"'{value}' is no mode; write it in octal digits, for example 0440")
    return f"{number:04o}"


def plain(value: Any) -> Any:
    """The same value in dictionaries and lists that remember nothing."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
