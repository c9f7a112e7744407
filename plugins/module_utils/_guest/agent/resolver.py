# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The small DNS server of a container VM: a fleet's names by itself, all others by the VM's own resolvers.

It listens on Docker's bridge alone, so that only the VM's container can ask it.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

from . import dns
from .problem import Problem
from .shell import journal

_PORT = 53
_BRIDGE = "docker0"
# Each of a VM's resolvers, before the next is asked; a stub resolver gives up after five seconds.
_UPSTREAM_WITHIN = 2.0
_IDLE = 10.0  # of a TCP connection
_AT_ONCE = 64
_LISTS = ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf")

Lookup: TypeAlias = "Callable[[str], Sequence[str] | None]"


def own_resolvers() -> list[str]:
    """The VM's own name servers, as they are now: DHCP may bring others."""
    for path in _LISTS:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                words = [line.split() for line in file]
        except OSError:
            continue
        if found := [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]:
            return found
    return []


class Resolver:
    """Answers on ``address``, port 53, by UDP and TCP.

    Args:
        lookup: a name's addresses; None for a name that is not ours to answer.
        upstreams: whom to ask for all other names, in this order.
    """

    def __init__(self, *, lookup: Lookup, upstreams: Callable[[], Sequence[str]] = own_resolvers) -> None:
        self._lookup = lookup
        self._upstreams = upstreams
        self._turn = int.from_bytes(os.urandom(2), "big")
        self._free = threading.BoundedSemaphore(_AT_ONCE)

    def begin(self, address: str, *, port: int = _PORT, device: str = _BRIDGE) -> None:
        """Serve from now on, in threads of its own. Raises Problem."""
        try:
            udp = _bound(socket.SOCK_DGRAM, address, port, device)
            # A port that was asked for as any is one port.
            tcp = _bound(socket.SOCK_STREAM, address, udp.getsockname()[1], device)
            tcp.listen(_AT_ONCE)
        except OSError as error:
            raise Problem("internal", f"cannot serve the fleet's names on {address}: {error.strerror}") from error
        self.port = int(udp.getsockname()[1])
        for name, serve, listening in (("dns-udp", self._serve_udp, udp), ("dns-tcp", self._serve_tcp, tcp)):
            threading.Thread(target=serve, args=(listening,), name=name, daemon=True).start()

    def _serve_udp(self, listening: socket.socket) -> None:
        while True:
            try:
                message, client = listening.recvfrom(dns.TCP_LIMIT)
            except OSError:
                continue  # an earlier answer could not be delivered
            asked, answer = self._own(message, dns.UDP_LIMIT)
            if answer is not None:
                _send(listening, answer, client)
            elif asked is not None:
                self._beside(self._forward_udp, listening, message, asked, client)

    def _serve_tcp(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _unused = listening.accept()
            except OSError:
                continue
            self._beside(self._converse, connection)

    def _beside(self, work: Callable[..., None], *arguments: object) -> None:
        """In a thread; when there are too many already, the client asks again."""
        if not self._free.acquire(blocking=False):
            if work == self._converse and isinstance(arguments[0], socket.socket):
                arguments[0].close()
            return

        def run() -> None:
            try:
                work(*arguments)
            except (OSError, ValueError) as error:
                journal(f"dns: {error}")
            finally:
                self._free.release()

        threading.Thread(target=run, name="dns", daemon=True).start()

    def _own(self, message: bytes, limit: int) -> tuple[dns.Question | None, bytes | None]:
        """What is asked, and the answer where it is ours to give."""
        asked = dns.question(message)
        if asked is None:
            return None, dns.not_implemented(message)
        found = self._lookup(asked.name)
        if found is None:
            return asked, None
        # Whoever asks for A mostly asks for AAAA beside it; counted, that one would take every second turn.
        self._turn += asked.kind == dns.A
        start = self._turn % len(found) if found else 0
        return asked, dns.addresses(asked, [*found[start:], *found[:start]], limit=limit)

    def _forward_udp(
        self, listening: socket.socket, message: bytes, asked: dns.Question, client: tuple[str, int]
    ) -> None:
        answer = self._ask(message, socket.SOCK_DGRAM)
        _send(listening, answer or dns.failure(asked), client)

    def _converse(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(_IDLE)
            while message := _receive(connection):
                asked, answer = self._own(message, dns.TCP_LIMIT)
                if answer is None and asked is not None:
                    answer = self._ask(message, socket.SOCK_STREAM) or dns.failure(asked)
                if answer is None:
                    return
                connection.sendall(len(answer).to_bytes(2, "big") + answer)

    def _ask(self, message: bytes, kind: socket.SocketKind) -> bytes | None:
        """The first answer of the VM's resolvers, as it is."""
        for server in self._upstreams():
            try:
                found = socket.getaddrinfo(server, _PORT, type=kind, flags=socket.AI_NUMERICHOST)
                family, *_unused, where = found[0]
                with socket.socket(family, kind) as upstream:
                    upstream.settimeout(_UPSTREAM_WITHIN)
                    upstream.connect(where)
                    if kind == socket.SOCK_STREAM:
                        upstream.sendall(len(message).to_bytes(2, "big") + message)
                        answer = _receive(upstream)
                    else:
                        upstream.send(message)
                        answer = upstream.recv(dns.TCP_LIMIT)
            except OSError:
                continue
            if answer[:2] == message[:2]:
                return answer
        return None


def _bound(kind: socket.SocketKind, address: str, port: int, device: str) -> socket.socket:
    listening = socket.socket(socket.AF_INET, kind)
    try:
        if kind == socket.SOCK_STREAM:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # An address alone answers on every interface that the kernel takes it from.
        if device:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
        listening.bind((address, port))
    except OSError:
        listening.close()
        raise
    return listening


def _send(listening: socket.socket, answer: bytes, client: tuple[str, int]) -> None:
    try:
        listening.sendto(answer, client)
    except OSError as error:
        journal(f"dns: {error}")


def _receive(connection: socket.socket) -> bytes:
    """One message with its length before it; empty at the end of the stream."""
    head = _exactly(connection, 2)
    return _exactly(connection, int.from_bytes(head, "big")) if head else b""


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = connection.recv(size - len(found))
        if not part:
            return b""
        found += part
    return found
