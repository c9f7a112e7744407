# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``volumes``, ``mounts`` and ``tmpfs``: what a VM per container can honour of them. Pure.

The host of a container VM is its VM, which nobody fills by hand. So a bind
mount can only mean a file of the controller, carried read-only inside the
sealed spec; and what outlives a container, a named volume, is a disk of its
own.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.values import invalid, size, text, texts
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import Unsupported

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]+")
_PATHS = ("/", "./", "../", "~")
_READ_ONLY = frozenset({"ro", "readonly"})
# They tune how a host's directory is shared; a file that is copied in has neither.
_HARMLESS = frozenset({"z", "Z", "cached", "delegated", "consistent", "private", "rprivate"})
# What a mount has beside its target, by its kind; a volume without a name has nothing else.
_TAKES: Mapping[str, frozenset[str]] = {
    "tmpfs": frozenset({"read_only", "tmpfs_size", "tmpfs_mode"}),
    "bind": frozenset({"source", "read_only"}),
    "volume": frozenset({"source", "read_only", "no_copy"}),
}


@dataclass(frozen=True, kw_only=True)
class Bind:
    """A file of the controller that is wanted in the container."""

    option: str
    source: str
    target: str


@dataclass(frozen=True, kw_only=True)
class NamedVolume:
    """A volume that outlives its container, by its name in the file or task. ``copy``: an empty one gets what
    the image has at the target."""

    name: str
    target: str
    read_only: bool = False
    copy: bool = True

    def encode(self) -> str:
        """The normal form: ``NAME:TARGET[:ro][,nocopy]``."""
        modes = [mode for mode, on in (("ro", self.read_only), ("nocopy", not self.copy)) if on]
        return f"{self.name}:{self.target}" + (f":{','.join(modes)}" if modes else "")

    @staticmethod
    def decode(text: str) -> NamedVolume:
        """Read the normal form."""
        name, target, *rest = text.split(":")
        modes = set(rest[0].split(",")) if rest else set()
        return NamedVolume(name=name, target=target, read_only="ro" in modes, copy="nocopy" not in modes)


@dataclass(frozen=True, kw_only=True)
class Mounts:
    """All mounts in one normal form.

    ``anonymous`` are targets of volumes that live and go with the VM, ``tmpfs``
    maps targets to Docker's options.
    """

    anonymous: tuple[str, ...] = ()
    named: tuple[NamedVolume, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()


def collect(*, volumes: Any = None, mounts: Any = None, tmpfs: Any = None) -> Mounts:
    """Read the three options together, since no two of them may have one target. Raises InvalidOption, Unsupported."""
    anonymous: list[str] = []
    named: list[NamedVolume] = []
    in_memory: dict[str, str] = {}
    binds: list[Bind] = []
    for entry in texts("volumes", volumes or []):
        found = _volume(entry)
        if isinstance(found, Bind):
            binds.append(found)
        elif isinstance(found, NamedVolume):
            named.append(found)
        else:
            anonymous.append(found)
    for index, entry in enumerate(mounts or []):
        _mount(f"mounts[{index}]", entry, anonymous=anonymous, named=named, tmpfs=in_memory, binds=binds)
    for entry in texts("tmpfs", tmpfs or []):
        path, _unused, flags = entry.partition(":")
        _add(in_memory, "tmpfs", _target("tmpfs", path), flags)
    _refuse_twice([*anonymous, *in_memory, *(bind.target for bind in binds), *(volume.target for volume in named)])
    return Mounts(
        anonymous=tuple(sorted(anonymous)),
        named=tuple(sorted(named, key=lambda volume: volume.target)),
        tmpfs=dict(sorted(in_memory.items())),
        binds=tuple(sorted(binds, key=lambda bind: bind.target)),
    )


def _volume(entry: str) -> Bind | NamedVolume | str:
    parts = entry.split(":")
    if len(parts) == 1:
        return _target("volumes", parts[0])
    if len(parts) > 3:
        raise invalid("volumes", entry, "it has too many parts", "Write TARGET, NAME:TARGET or FILE:TARGET:ro")
    source, target = parts[0], _target("volumes", parts[1])
    modes = set(parts[2].split(",")) - {""} if len(parts) == 3 else set()
    unknown = modes - _READ_ONLY - _HARMLESS - {"rw", "nocopy"}
    if unknown:
        raise invalid("volumes", entry, f"'{min(unknown)}' is no mode that applies here", "Use ro")
    read_only = bool(modes & _READ_ONLY)
    if not source.startswith(_PATHS):
        return _named("volumes", source, target=target, read_only=read_only, copy="nocopy" not in modes)
    return _bind("volumes", entry, source=source, target=target, read_only=read_only)


def _mount(
    option: str,
    entry: Any,
    *,
    anonymous: list[str],
    named: list[NamedVolume],
    tmpfs: dict[str, str],
    binds: list[Bind],
) -> None:
    if not isinstance(entry, Mapping):
        raise invalid(option, entry, "it is no dictionary", "Give it a target, and a type")
    kind = entry.get("type") or "volume"
    target = _target(f"{option}.target", text(f"{option}.target", entry.get("target")))
    source = entry.get("source")
    _check_takes(option, entry, kind)
    if kind == "tmpfs":
        flags = []
        if entry.get("tmpfs_size") is not None:
            flags.append(f"size={size(f'{option}.tmpfs_size', entry['tmpfs_size'])}")
        if entry.get("tmpfs_mode") is not None:
            flags.append(f"mode={text(f'{option}.tmpfs_mode', entry['tmpfs_mode'])}")
        if entry.get("read_only"):
            flags.append("ro")
        _add(tmpfs, option, target, ",".join(flags))
    elif kind == "bind":
        written = text(f"{option}.source", source or "")
        if not written.startswith(_PATHS):
            raise invalid(f"{option}.source", written, "it is no path", "Write it from the root, as in /etc/app.conf")
        binds.append(_bind(option, written, source=written, target=target, read_only=bool(entry.get("read_only"))))
    elif kind == "volume":
        if source:
            copy = not entry.get("no_copy")
            named.append(
                _named(option, str(source), target=target, read_only=bool(entry.get("read_only")), copy=copy)
            )  # fmt: skip
        else:
            anonymous.append(target)
    else:
        raise invalid(f"{option}.type", kind, "there is no such type here", "Use tmpfs, bind or volume")


def _check_takes(option: str, entry: Mapping[str, Any], kind: str) -> None:
    """Refuse what would be ignored."""
    unnamed = kind == "volume" and not entry.get("source")
    taken = frozenset() if unnamed else _TAKES.get(kind, frozenset(entry))
    for key in sorted(entry.keys() - taken - {"type", "target"}):
        if entry[key]:
            whose = "a volume without a name" if unnamed else f"a mount of type {kind}"
            raise invalid(f"{option}.{key}", entry[key], f"{whose} has no such thing", "Leave it out")


def _bind(option: str, entry: str, *, source: str, target: str, read_only: bool) -> Bind:
    if not read_only:
        raise Unsupported(
            f"Cannot mount a host's path, as {option} asks",
            obj=entry,
            why="the container's host is its own VM, which has no such path",
            next_step="Add ':ro' (in mounts: read_only: true) to carry a file of the controller into the container",
            details={"option": option},
        )
    return Bind(option=option, source=source, target=target)


def _named(option: str, name: str, *, target: str, read_only: bool, copy: bool) -> NamedVolume:
    if not _NAME.fullmatch(name):
        raise invalid(
            option, name, "it is neither a path nor a volume's name", "Use letters, digits, '.', '_' and '-' in a name"
        )  # fmt: skip
    return NamedVolume(name=name, target=target, read_only=read_only, copy=copy)


def refuse_named(volume: NamedVolume) -> Unsupported:
    """Why a container that is no fleet's has no named volumes."""
    return Unsupported(
        "Cannot use the named volume",
        obj=volume.name,
        why="a named volume is a disk that outlives its container, and belongs to a fleet",
        next_step="Run the container with container_fleet, or leave the name out for data that may go with it",
        details={"option": "volumes"},
    )


def _target(option: str, path: str) -> str:
    if not path.startswith("/") or posixpath.normpath(path) == "/":
        raise invalid(option, path, "a target is an absolute path below '/'", "Write it from the root, as in /data")
    return posixpath.normpath(path).replace("//", "/")


def _add(found: dict[str, str], option: str, target: str, flags: str) -> None:
    if target in found:
        raise invalid(option, target, "two mounts have this target", "Keep one")
    found[target] = flags


def _refuse_twice(targets: list[str]) -> None:
    for target in sorted(targets):
        if targets.count(target) > 1:
            raise invalid("volumes, mounts and tmpfs", target, "two mounts have this target", "Keep one")
