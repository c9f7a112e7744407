# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A container among its fleet: it finds the others by their names, and they reach its every port.

Who belongs to the fleet stands in KEY_PEERS, in this VM's own configuration,
which outlives a power-off. It is looked at again and again, since a guest is
not told when it changes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from ..peers import KEY_PEERS, Peers
from ..protocol import ProtocolError, Reason
from . import firewall, network
from .problem import Problem
from .report import Reporter
from .resolver import Resolver, own_resolvers
from .rpc import GuestRpc, RpcError
from .shell import journal

_BRIDGE = "docker0"
_POLL = 0.25
# Of the wait for the others: a controller that died must not keep the container from running for ever.
_ADMITTED_WITHIN = 60.0


class Discovery:
    """The fleet as this VM knows it: names, and whom to let in.

    Args:
        dns: whom to ask for names that are not the fleet's; none: the VM's own resolvers.
    """

    def __init__(self, rpc: GuestRpc, reporter: Reporter, *, dns: Sequence[str] = ()) -> None:
        self._rpc = rpc
        self._reporter = reporter
        self._dns = tuple(dns)
        self._lock = threading.Lock()
        self._text = ""
        self._peers = Peers()
        self._own = ""
        self._container = ""
        self._applied = ""
        self.bridge = ""

    def begin(self) -> str:
        """Serve names on Docker's bridge; its address, which is the container's name server. Raises Problem.

        To be called when dockerd is up, and before the container is made.
        """
        found = network.read(_BRIDGE, "")
        if found is None:
            raise Problem("internal", f"Docker's bridge {_BRIDGE} has no address")
        self.bridge = found.ip
        Resolver(lookup=self.lookup, upstreams=lambda: self._dns or own_resolvers()).begin(self.bridge)
        self.look()
        self._apply(force=True)
        return self.bridge

    def lookup(self, name: str) -> tuple[str, ...] | None:
        """A name's addresses; None for one that is not the fleet's.

        This VM's own address is told as the container's, which cannot be reached
        from inside by way of the VM's.
        """
        found = self._peers.names.get(name)
        if found is None:
            return None
        return tuple(self._container if address == self._own and self._container else address for address in found)

    def at(self, *, own: str = "", container: str | None = None) -> None:
        """Take in this VM's address, and the container's on the bridge: empty while it does not run."""
        self._own = own or self._own
        self._container = self._container if container is None else container
        # At a start of the container also what someone else may have done to the chains is mended.
        self._apply(force=bool(container))

    def look(self) -> None:
        """Read who belongs to the fleet now; what cannot be read leaves things as they are."""
        try:
            text = self._rpc.get(KEY_PEERS) or ""
        except RpcError as error:
            journal(str(error))
            return
        if text == self._text:
            return
        self._text = text
        try:
            self._peers = Peers.decode(text) if text else Peers()
        except ProtocolError as error:
            journal(f"the fleet's members: {error}")
            return
        self._apply()

    def wait_admitted(self) -> None:
        """Return when the fleet knows this VM's address, so that what the container does first is let in everywhere."""
        until = time.monotonic() + _ADMITTED_WITHIN
        self.look()
        if self._own in self._peers.addresses:
            return
        self._reporter.phase("network", Reason(code="progress", message="waiting for the fleet to know this address"))
        while self._own not in self._peers.addresses:
            if time.monotonic() > until:
                journal(f"the fleet does not know {self._own} after {_ADMITTED_WITHIN:.0f} s")
                return
            time.sleep(_POLL)
            self.look()

    def _apply(self, *, force: bool = False) -> None:
        """Bring the packet filter up to date, and say by which members this VM goes now."""
        with self._lock:
            if not self.bridge:
                return
            peers = self._peers
            text = firewall.rules(
                bridge=_BRIDGE,
                bridge_address=self.bridge,
                own=self._own,
                container=self._container,
                peers=peers.addresses,
            )
            if force or text != self._applied:
                try:
                    firewall.apply(text)
                    self._applied = text
                except Problem as problem:
                    self._applied = ""
                    journal(str(problem))
                    return
            self._reporter.change(peers=peers.version)
