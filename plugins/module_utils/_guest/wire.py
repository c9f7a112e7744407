# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Typed, strict reading and compact writing of the protocol's JSON documents.

Read by controller and agent alike: nothing but the standard library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Protocol, TypeVar

SCHEMA = 1
SPEAKS = (1, 1)


class ProtocolError(Exception):
    """A document that cannot be accepted.

    ``code`` is one of REASONS (``spec_rejected`` or ``schema_unsupported``), so
    that the agent can report it as it is.
    """

    def __init__(self, message: str, *, code: str = "spec_rejected") -> None:
        super().__init__(message)
        self.code = code


class Record(Protocol):
    """A frozen dataclass that reads itself from a JSON object."""

    @classmethod
    def read(cls: type[T], r: Reader) -> T:
        """Take every field out of ``r``; raises ProtocolError."""


T = TypeVar("T", bound=Record)


class Reader:
    """Takes typed fields out of one JSON object; ``end()`` refuses what is left."""

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, dict):
            raise ProtocolError(f"{where} is not an object")
        self._data: dict[str, Any] = dict(data)
        self._where = where

    def defaults(self, cls: type[Any]) -> None:
        """Give absent fields the default that the dataclass ``cls`` has for them."""
        for item in fields(cls):
            if item.default is not MISSING:
                value = list(item.default) if isinstance(item.default, tuple) else item.default
                self._data.setdefault(item.name, value)
            elif item.default_factory is not MISSING:
                self._data.setdefault(item.name, item.default_factory())

    def _take(self, name: str, kinds: tuple[type, ...], *, null: bool) -> Any:
        if name not in self._data:
            raise ProtocolError(f"{self._where}: '{name}' is missing")
        value = self._data.pop(name)
        if value is None and null:
            return None
        # bool is an int in Python, never on the wire.
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ProtocolError(f"{self._where}: '{name}' is {type(value).__name__}, not {kinds[0].__name__}")
        return value

    def text(self, name: str, *, one_of: tuple[str, ...] = (), pattern: str = "") -> str:
        value = _plain(self._take(name, (str,), null=False))
        if one_of and value not in one_of:
            raise ProtocolError(f"{self._where}: '{name}' is none of {', '.join(one_of)}")
        if pattern and not re.fullmatch(pattern, value):
            raise ProtocolError(f"{self._where}: '{name}' has not the form {pattern}")
        return value

    def text_or_none(self, name: str) -> str | None:
        value = self._take(name, (str,), null=True)
        return None if value is None else _plain(value)

    def flag(self, name: str) -> bool:
        return bool(self._take(name, (bool,), null=False))

    def integer(self, name: str, *, least: int = 0) -> int:
        value = int(self._take(name, (int,), null=False))
        if value < least:
            raise ProtocolError(f"{self._where}: '{name}' is below {least}")
        return value

    def integer_or_none(self, name: str) -> int | None:
        value: int | None = self._take(name, (int,), null=True)
        return value

    def number(self, name: str) -> float:
        try:
            return float(self._take(name, (float, int), null=False))
        except OverflowError as error:
            raise ProtocolError(f"{self._where}: '{name}' is too large") from error

    def texts(self, name: str, *, pattern: str = "") -> tuple[str, ...]:
        values = self._take(name, (list,), null=False)
        if not all(isinstance(value, str) for value in values):
            raise ProtocolError(f"{self._where}: '{name}' holds more than strings")
        if pattern and not all(re.fullmatch(pattern, value) for value in values):
            raise ProtocolError(f"{self._where}: '{name}' holds what has not the form {pattern}")
        return tuple(_plain(value) for value in values)

    def each_texts(self, name: str, *, pattern: str = "") -> dict[str, tuple[str, ...]]:
        values = self._take(name, (dict,), null=False)
        inner = Reader(values, f"{self._where}.{name}")
        return {_plain(key): inner.texts(key, pattern=pattern) for key in values}

    def each_text(self, name: str, *, pattern: str = "") -> dict[str, str]:
        values = self._take(name, (dict,), null=False)
        inner = Reader(values, f"{self._where}.{name}")
        return {_plain(key): inner.text(key, pattern=pattern) for key in values}

    def pair(self, name: str) -> tuple[int, int]:
        values = self._take(name, (list,), null=False)
        if len(values) != 2 or not all(isinstance(v, int) and not isinstance(v, bool) for v in values):
            raise ProtocolError(f"{self._where}: '{name}' is no pair of whole numbers")
        return values[0], values[1]

    def numbers(self, name: str) -> dict[str, float]:
        values = self._take(name, (dict,), null=False)
        inner = Reader(values, f"{self._where}.{name}")
        return {key: inner.number(key) for key in values}

    def mapping(self, name: str) -> dict[str, Any]:
        return dict(self._take(name, (dict,), null=False))

    def each(self, name: str, cls: type[T]) -> tuple[T, ...]:
        values = self._take(name, (list,), null=False)
        return tuple(whole(value, f"{self._where}.{name}[{index}]", cls) for index, value in enumerate(values))

    def one(self, name: str, cls: type[T]) -> T:
        return whole(self._take(name, (dict,), null=False), f"{self._where}.{name}", cls)

    def one_or_none(self, name: str, cls: type[T]) -> T | None:
        value = self._take(name, (dict,), null=True)
        return None if value is None else whole(value, f"{self._where}.{name}", cls)

    def end(self) -> None:
        if self._data:
            raise ProtocolError(f"{self._where}: unknown field '{sorted(self._data)[0]}'")


def _plain(value: str) -> str:
    # JSON can carry lone surrogates, which neither UTF-8 nor a terminal can.
    return value.encode("utf-8", "replace").decode()


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def whole(data: object, where: str, cls: type[T]) -> T:
    """Read one object completely; a field with a default in ``cls`` may be absent, an unknown one may not be there."""
    reader = Reader(data, where)
    reader.defaults(cls)
    result = cls.read(reader)
    reader.end()
    return result


def document(text: str | bytes, where: str, cls: type[T]) -> T:
    """One whole document: JSON, of a schema that we speak, and nothing unknown in it."""
    try:
        data = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"{where} is not JSON: {error}") from error
    if isinstance(data, dict):
        schema = data.get("schema")
        if isinstance(schema, bool) or not isinstance(schema, int):
            raise ProtocolError(f"{where} has no schema")
        if not SPEAKS[0] <= schema <= SPEAKS[1]:
            raise ProtocolError(
                f"{where} has schema {schema}, spoken are {SPEAKS[0]} to {SPEAKS[1]}", code="schema_unsupported"
            )
    return whole(data, where, cls)


def to_json(data: Mapping[str, Any]) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def clip(text: str, limit: int) -> str:
    """``text`` cut to ``limit`` bytes of UTF-8 and free of lone surrogates, which JSON can carry and UTF-8 cannot."""
    raw = text.encode("utf-8", "replace")
    return raw.decode() if len(raw) <= limit else raw[: limit - 3].decode("utf-8", "ignore") + "…"
