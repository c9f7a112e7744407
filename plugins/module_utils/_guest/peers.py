# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who belongs to a fleet, as its guests are told: the document in KEY_PEERS, on every VM of the fleet.

Read by controller and agent alike: nothing but the standard library. The
authority over it is vCenter's right to edit a VM's configuration; a guest
cannot write it in another VM.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256

from .protocol import PREFIX
from .wire import SCHEMA, ProtocolError, Reader, document, to_json

KEY_PEERS = PREFIX + "peers"
# A guest RPC message holds 64 KiB with overhead: a fleet of about a thousand containers.
PEERS_LIMIT = 56 * 1024

_IPV4 = r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)"


@dataclass(frozen=True, kw_only=True)
class Peers:
    """Who belongs to a fleet; no secret in it, it travels in clear.

    ``names`` maps what the fleet's containers are called, services and single
    ones alike, in lower case, to IPv4 addresses; a name that nothing bears now
    has none. ``others`` are addresses of members that answer to no name.
    Everything is sorted, so that one membership is one text.
    """

    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    schema: int = SCHEMA

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every member's, sorted."""
        named = {address for addresses in self.names.values() for address in addresses}
        return tuple(sorted(named | set(self.others)))

    @property
    def version(self) -> str:
        """What tells one membership from another; a status names the one that its guest goes by."""
        return sha256(to_json(asdict(self))).hexdigest()[:16]

    def encode(self) -> str:
        """The value of KEY_PEERS; raises ProtocolError when it would be over its limit."""
        raw = to_json(asdict(self))
        if len(raw) > PEERS_LIMIT:
            raise ProtocolError(f"the list of the fleet's members has {len(raw)} bytes, over {PEERS_LIMIT}")
        return raw.decode()

    @staticmethod
    def decode(text: str | bytes) -> Peers:
        """Read the members; raises ProtocolError."""
        return document(text, "peers", Peers)

    @classmethod
    def read(cls, r: Reader) -> Peers:
        return cls(
            names=r.each_texts("names", pattern=_IPV4), others=r.texts("others", pattern=_IPV4),
            schema=r.integer("schema"),
        )  # fmt: skip
