# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ports and volumes of a service from their short forms to the long ones. Pure."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Items, Mark, Tree

_PORT = re.compile(
    r"""
    (?:(?: \[(?P<ip6>[^\]]+)\] | (?P<ip>[^:/]+) ) : (?=[^:]*:) )?
    (?:(?P<published>[0-9]*(?:-[0-9]+)?):)?
    (?P<target>[0-9]+(?:-[0-9]+)?)
    (?:/(?P<protocol>[A-Za-z]+))?
    """,
    re.VERBOSE,
)
_PROPAGATIONS = frozenset({"rprivate", "private", "rshared", "shared", "rslave", "slave"})


class BadForm(Exception):
    """A short form cannot be read; the text says why."""


def ports(value: Items) -> Items:
    """Every published port as a mapping with target, published (text), protocol, mode and host_ip."""
    found = Items(mark=value.mark)
    for entry, mark in value.marked():
        for port in [entry] if isinstance(entry, Tree) else _short_port(str(entry), mark):
            if "published" in port:
                port["published"] = str(port["published"])
            port.setdefault("protocol", "tcp")
            port.setdefault("mode", "ingress")
            found.put(port, mark)
    return found


def _short_port(text: str, mark: Mark) -> list[Tree]:
    match = _PORT.fullmatch(text)
    if not match:
        raise BadForm(
            f"'{text}' is no port; write CONTAINER, HOST:CONTAINER or IP:HOST:CONTAINER, each with /udp or so"
        )
    targets, published = _range(match["target"]), _range(match["published"] or "")
    if published and len(targets) > 1 and len(published) != len(targets):
        raise BadForm(f"the two ranges of '{text}' differ in length")
    found = []
    for index, target in enumerate(targets):
        port = Tree({"target": target, "protocol": (match["protocol"] or "tcp").lower()}, mark=mark)
        if published:
            port["published"] = str(published[index]) if len(targets) == len(published) else match["published"]
        if match["ip6"] or match["ip"]:
            port["host_ip"] = match["ip6"] or match["ip"]
        found.append(port)
    return found


def _range(text: str) -> list[int]:
    if not text:
        return []
    first, _unused, last = text.partition("-")
    if last and int(last) < int(first):
        raise BadForm(f"the range '{text}' runs backwards")
    if int(last or first) > 65535:
        raise BadForm(f"'{text}' is outside of 1 to 65535")
    return list(range(int(first), int(last or first) + 1))


def volume(text: str, mark: Mark) -> Tree:
    """``[SOURCE:]TARGET[:OPTIONS]`` as a mapping."""
    parts = text.split(":")
    if not all(parts) or len(parts) > 3:
        raise BadForm(f"'{text}' is no volume; write TARGET, NAME:TARGET or FILE:TARGET:ro")
    found = Tree(mark=mark)
    source, target = ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
    bind = source.startswith((".", "/", "~"))
    found["type"] = "bind" if bind else "volume"
    if source:
        found["source"] = source
    found["target"] = clean(target)
    detail = Tree({"create_host_path": True} if bind else {}, mark=mark)
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option in ("ro", "readonly"):
            found["read_only"] = True
        elif option == "nocopy":
            found["type"] = "volume"
            detail["nocopy"] = True
        elif option in ("z", "Z"):
            detail["selinux"] = option
        elif option in _PROPAGATIONS:
            detail["propagation"] = option
        elif option not in ("rw", "cached", "delegated", "consistent"):
            raise BadForm(f"'{option}' of '{text}' is no mode of a volume")
    if detail:
        found[str(found["type"])] = detail
    return found


def clean(target: str) -> str:
    """A path in the container, without what a path can do without."""
    return posixpath.normpath(target).replace("//", "/") if target else target


def file_mount(value: Any, mark: Mark) -> Tree:
    """A service's config or secret."""
    return value if isinstance(value, Tree) else Tree({"source": str(value)}, mark=mark)
