# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``published_ports`` and ``exposed_ports``, in Docker's syntax. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.values import invalid, texts

_SYNTAX = "Write CONTAINER, HOST:CONTAINER or IP:HOST:CONTAINER, each with an optional /tcp, /udp or /sctp"
_PROTOCOLS = ("tcp", "udp", "sctp")


@dataclass(frozen=True, kw_only=True, order=True)
class Port:
    """One port of the container, published on the VM's address; an empty ``ip`` means all of its addresses."""

    container: int
    protocol: str
    host: int
    ip: str = ""

    def __str__(self) -> str:
        ip = f"[{self.ip}]:" if ":" in self.ip else f"{self.ip}:" if self.ip else ""
        return f"{ip}{self.host}:{self.container}/{self.protocol}"

    @property
    def key(self) -> str:
        """The Engine's name for the container's side."""
        return f"{self.container}/{self.protocol}"


def published(option: str, value: Any) -> tuple[str, ...]:
    """Every port on its own, as ``[IP:]HOST:CONTAINER/PROTOCOL``, sorted.

    A bare container port is published under its own number: Docker would pick
    any free one, and in a VM of its own that number is free.
    """
    found: list[Port] = []
    for entry in texts(option, value):
        found.extend(_entry(option, entry))
    _refuse_twice(option, found)
    return tuple(str(port) for port in sorted(set(found)))


def exposed(option: str, value: Any) -> tuple[str, ...]:
    """Container ports as ``PORT/PROTOCOL``, sorted."""
    found = set()
    for entry in texts(option, value):
        ports, protocol = _protocol(option, entry)
        found |= {f"{port}/{protocol}" for port in _range(option, entry, ports)}
    return tuple(sorted(found))


def parse(port: str) -> Port:
    """The port that its normal form, as ``published`` returns it, stands for."""
    body, _unused, protocol = port.rpartition("/")
    rest, _unused, container = body.rpartition(":")
    ip, _unused, host = rest.rpartition(":")
    return Port(container=int(container), protocol=protocol, host=int(host), ip=ip.strip("[]"))


def _entry(option: str, entry: str) -> Iterable[Port]:
    body, protocol = _protocol(option, entry)
    ip = ""
    bracketed = re.fullmatch(r"\[([^\]]*)\]:(.*)", body)
    if bracketed:
        ip, body = bracketed[1], bracketed[2]
        parts = body.split(":")
    else:
        parts = body.split(":")
        if len(parts) == 3:
            ip = parts.pop(0)
    if ip:
        try:
            ip = str(ipaddress.ip_address(ip))
        except ValueError as error:
            raise invalid(option, entry, f"'{ip}' is no IP address", "Bind to an address, or leave it out") from error
    if len(parts) > 2 or not parts[-1] or (bracketed and len(parts) != 2):
        raise invalid(option, entry, "it is no port", _SYNTAX)
    containers = _range(option, entry, parts[-1])
    hosts = _range(option, entry, parts[0]) if parts[0] else containers
    if len(hosts) != len(containers):
        raise invalid(
            option,
            entry,
            f"{len(hosts)} ports of the VM stand against {len(containers)} of the container",
            "Make both ranges of one length",
        )
    for host, container in zip(hosts, containers, strict=True):
        yield Port(container=container, protocol=protocol, host=host, ip=ip)


def _protocol(option: str, entry: str) -> tuple[str, str]:
    body, slash, protocol = entry.strip().partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in _PROTOCOLS:
        raise invalid(option, entry, f"'{protocol}' is no protocol of Docker's", _SYNTAX)
    return body, protocol


def _range(option: str, entry: str, ports: str) -> range:
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", ports)
    if not match:
        raise invalid(option, entry, f"'{ports}' is no port", _SYNTAX)
    first, last = int(match[1]), int(match[2] or match[1])
    if not 0 < first <= last < 65536:
        raise invalid(option, entry, f"'{ports}' is outside of 1 to 65535 or runs backwards", _SYNTAX)
    return range(first, last + 1)


def _refuse_twice(option: str, ports: Iterable[Port]) -> None:
    """Two container ports cannot stand behind one port of the VM; all addresses overlap with each single one."""
    taken: dict[tuple[int, str], dict[str, Port]] = {}
    for port in ports:
        there = taken.setdefault((port.host, port.protocol), {})
        for ip, other in there.items():
            overlap = ip == port.ip or _is_any(ip, port.ip) or _is_any(port.ip, ip)
            if overlap and other != port:
                raise invalid(
                    option, port, f"port {port.host}/{port.protocol} is already published as '{other}'", "Keep one"
                )
            if overlap:
                raise invalid(option, port, "it is published twice", "Keep one of the two entries")
        there[port.ip] = port


def _is_any(ip: str, other: str) -> bool:
    """Whether ``ip`` stands for all addresses of the family that ``other`` belongs to."""
    if not ip:
        return True
    return ip == ("::" if ":" in other else "0.0.0.0") or (not other and ip in ("::", "0.0.0.0"))
