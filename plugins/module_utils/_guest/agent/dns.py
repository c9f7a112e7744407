# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DNS messages (RFC 1035), as far as a fleet's names need them. Pure: bytes in, bytes out."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

A = 1
ANY = 255
_IN = 1
# What every client takes by UDP; one that is told of more asks again by TCP.
UDP_LIMIT = 512
TCP_LIMIT = 65535
# Never to be kept: the next answer may be another replica's, and one that is gone is not to be asked for.
_TTL = 0

_HEAD = struct.Struct("!6H")
_RESPONSE, _AUTHORITATIVE, _TRUNCATED, _RECURSION = 0x8000, 0x0400, 0x0200, 0x0080
_OPCODE, _RECURSION_DESIRED = 0x7800, 0x0100
_NOT_IMPLEMENTED, _SERVER_FAILURE, _NO_SUCH_NAME = 4, 2, 3
# The question's name stands right behind the head.
_NAME = struct.pack("!H", 0xC000 | _HEAD.size)


@dataclass(frozen=True, kw_only=True)
class Question:
    """A query's one question; ``name`` is in lower case without the last dot, ``raw`` the question as it came."""

    number: int
    flags: int
    name: str
    kind: int
    raw: bytes = field(repr=False)


def question(message: bytes) -> Question | None:
    """What a query asks; None for what is no plain query."""
    try:
        number, flags, questions, _unused, _unused, _unused = _HEAD.unpack_from(message)
        if flags & (_RESPONSE | _OPCODE) or questions != 1:
            return None
        labels, at = [], _HEAD.size
        while length := message[at]:
            if length > 63:
                return None  # a pointer, to nothing that could stand before a first name
            label = message[at + 1 : at + 1 + length]
            labels.append(label.decode("ascii").lower())
            at += 1 + length
        kind, family = struct.unpack_from("!2H", message, at + 1)
    except (IndexError, struct.error, UnicodeDecodeError):
        return None
    if family != _IN:
        return None
    return Question(number=number, flags=flags, name=".".join(labels), kind=kind, raw=message[_HEAD.size : at + 5])


def addresses(asked: Question, found: Sequence[str], *, limit: int) -> bytes:
    """The answer for a name of ours, as many of its addresses as ``limit`` bytes hold; no address: no such name."""
    records = b""
    flags = _AUTHORITATIVE | (0 if found else _NO_SUCH_NAME)
    count = 0
    for address in found if asked.kind in (A, ANY) else ():
        record = _NAME + struct.pack("!HHIH", A, _IN, _TTL, 4) + socket.inet_aton(address)
        if _HEAD.size + len(asked.raw) + len(records) + len(record) > limit:
            flags |= _TRUNCATED
            break
        records += record
        count += 1
    return _answer(asked, flags, count) + records


def failure(asked: Question) -> bytes:
    """The answer when nobody could be asked."""
    return _answer(asked, _SERVER_FAILURE, 0)


def not_implemented(message: bytes) -> bytes | None:
    """The answer to what is no plain query; None where there is nothing to answer to."""
    if len(message) < _HEAD.size:
        return None
    number, flags, *_unused = _HEAD.unpack_from(message)
    if flags & _RESPONSE:
        return None
    kept = flags & (_OPCODE | _RECURSION_DESIRED)
    return _HEAD.pack(number, _RESPONSE | _RECURSION | kept | _NOT_IMPLEMENTED, 0, 0, 0, 0)


def _answer(asked: Question, flags: int, count: int) -> bytes:
    kept = asked.flags & _RECURSION_DESIRED
    return _HEAD.pack(asked.number, _RESPONSE | _RECURSION | kept | flags, 1, count, 0, 0) + asked.raw
