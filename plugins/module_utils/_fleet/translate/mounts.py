# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A service's ``volumes`` and ``tmpfs``: disks, files of the fleet, and memory. Pure but for the fleet's own files."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.places import (
    DIRECTORY,
    OUTSIDE,
    Look,
    need_file,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import Problems, wrong
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Mark, Tree
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import Content
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate import scalars
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.support import SERVICE


@dataclass(frozen=True, kw_only=True)
class Mounts:
    """All that is mounted, in the options' forms, and the keys of the named volumes among it."""

    volumes: tuple[str, ...]
    tmpfs: tuple[str, ...]
    contents: tuple[Content, ...]
    named: tuple[str, ...]


def mounts(
    name: str,
    service: Tree,
    files: list[tuple[Content, Mark]],
    known: Mapping[str, Any],
    *,
    look: Look,
    problems: Problems,
) -> Mounts:
    """Read what is mounted.

    Args:
        files: the service's configs and secrets, which no other mount may cover.
        known: the top-level volumes.
    """
    return _Reader(name, service, known, look, problems).read(files)


class _Reader:
    def __init__(self, name: str, service: Tree, known: Mapping[str, Any], look: Look, problems: Problems) -> None:
        self._name = name
        self._service = service
        self._known = known
        self._look = look
        self._problems = problems
        self._targets: dict[str, Mark] = {}
        self._volumes: list[str] = []
        self._named: list[str] = []
        self._tmpfs: list[str] = []
        self._contents: list[Content] = []

    def read(self, files: list[tuple[Content, Mark]]) -> Mounts:
        for content, mark in files:
            if self._claim(content.target, mark):
                self._contents.append(content)
        volumes = self._service.get("volumes")
        for entry, mark in volumes.marked() if volumes else ():
            if "type" in entry and self._claim(str(entry["target"]), mark):
                self._volume(entry, mark)
        tmpfs = self._service.get("tmpfs")
        for entry, mark in tmpfs.marked() if tmpfs else ():
            path, _unused, options = str(entry).partition(":")
            target = posixpath.normpath(path)
            if self._claim(target, mark):
                self._tmpfs.append(f"{target}:{options}" if options else target)
        return Mounts(
            volumes=tuple(self._volumes),
            tmpfs=tuple(self._tmpfs),
            contents=tuple(sorted(self._contents, key=lambda content: content.target)),
            named=tuple(dict.fromkeys(self._named)),
        )

    def _claim(self, target: str, mark: Mark) -> bool:
        """Take a target for one mount."""
        if not target.startswith("/") or target == "/":
            self._wrong(
                "volumes", mark, f"the target '{target}' is no absolute path below '/'", "Write it from the root"
            )
            return False
        if target in self._targets:
            why = f"something is mounted at '{target}' already, in line {self._targets[target].line}"
            self._wrong("volumes", mark, why, "Keep one of the two")
            return False
        self._targets[target] = mark
        return True

    def _volume(self, entry: Tree, mark: Mark) -> None:
        target, read_only = str(entry["target"]), bool(entry.get("read_only"))
        details = entry.get("volume")
        nocopy = isinstance(details, Tree) and bool(details.get("nocopy"))
        if entry["type"] == "tmpfs":
            self._in_memory(entry, target, mark)
        elif entry["type"] == "bind":
            self._bind(entry, target, mark, read_only=read_only)
        elif not entry.get("source"):
            self._volumes.append(target)
            for key, asked in (("read_only", read_only), ("volume.nocopy", nocopy)):
                if asked:
                    why = f"the volume at '{target}' has no name"
                    self._wrong(f"volumes.{key}", mark, why, "Name it, or leave that out")
            # Compose hands such a volume on to the container that replaces its own; a VM takes it along.
            self._problems.warn(
                mark,
                f"the volume at '{target}' of service '{self._name}' has no name, so what is on it is lost with the VM "
                "when the container is replaced. Name it to keep that.",
            )
        elif entry["source"] in self._known:
            self._named.append(str(entry["source"]))
            modes = ",".join(mode for mode, on in {"ro": read_only, "nocopy": nocopy}.items() if on)
            self._volumes.append(f"{entry['source']}:{target}" + (f":{modes}" if modes else ""))
        else:
            self._wrong(
                "volumes",
                mark,
                f"there is no '{entry['source']}' among the file's volumes",
                "Add it to the top-level volumes",
            )

    def _in_memory(self, entry: Tree, target: str, mark: Mark) -> None:
        detail = entry.get("tmpfs") or {}
        options = []
        try:
            if detail.get("size") is not None:
                options.append(f"size={scalars.size(detail['size'])}")
            if detail.get("mode") is not None:
                options.append(f"mode={scalars.mode(detail['mode']).lstrip('0') or '0'}")
        except ValueError as error:
            self._wrong("volumes.tmpfs", mark, str(error), "Correct it")
        if entry.get("read_only"):
            options.append("ro")
        self._tmpfs.append(":".join([target, ",".join(options)]) if options else target)

    def _bind(self, entry: Tree, target: str, mark: Mark, *, read_only: bool) -> None:
        source = str(entry["source"])
        found = self._look(source)
        if found.state == OUTSIDE and source.startswith(("/", "~")):
            self._refuse("volumes.bind", mark, f"'{source}': {SERVICE['volumes.bind'].why}")
            return
        if found.state == DIRECTORY:
            self._refuse(
                "volumes.bind", mark, f"'{source}' is a directory, and only files are carried into the VM",
                "Name its files one by one, put them into the image, or use a named volume",
            )  # fmt: skip
            return
        try:
            found = need_file(self._look, source, mark, role=f"the bind mount of service '{self._name}',")
        except InvalidOption as error:
            self._problems.add(error)
            return
        if not read_only:
            self._refuse("volumes.bind.read_write", mark, f"'{source}': {SERVICE['volumes.bind.read_write'].why}")
        mode = "0555" if found.executable else "0444"
        self._contents.append(Content(target=target, content=found.content, mode=mode))

    def _refuse(self, key: str, mark: Mark, why: str, instead: str = "") -> None:
        self._problems.refuse(key, "service", self._name, mark, why, instead or SERVICE[key].instead)

    def _wrong(self, key: str, mark: Mark, why: str, next_step: str) -> None:
        self._problems.add(wrong(key, self._name, mark, why, next_step))
