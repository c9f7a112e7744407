# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Image archives on the controller: what ``docker save`` writes, or an OCI layout, as the guest's engine loads it.

``read_archive`` takes an archive's digest, which every run needs. ``check_archive``
looks inside, which only a run that will load it has to do: before any VM is
made, a damaged archive is told as such.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import os
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption, NotFound, Unsupported
from ansible_collections.bonneville.vsphere.plugins.module_utils._template import oci
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.oci import Damaged
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import Archive

_WHAT = "Cannot use the image archive"
_BLOCK = 1 << 20
# Manifests and configurations are kilobytes; something larger by their name is something else.
_JSON_LIMIT = 8 << 20
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNREADABLE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, KeyError, TypeError, OSError)


def read_archive(path: str) -> Archive:
    """An archive by its content; raises NotFound, InvalidOption."""
    if not os.path.isfile(path):
        raise NotFound(
            _WHAT,
            obj=path,
            why="there is no such file on the host that runs this task",
            next_step="Check image_archives; the paths are on the controller or in its execution environment",
        )
    try:
        kept, added = _translation(path)
        digest, size = hashlib.sha256(), 0
        with Content(Archive(path=path, size=0, sha256="", kept=kept, added=added)) as content:
            while block := content.read(_BLOCK):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise InvalidOption(_WHAT, obj=path, why=str(error.strerror or error), next_step="Make it readable") from error
    if not size:
        raise _damaged(path, "it is empty")
    return Archive(path=path, size=size, sha256=digest.hexdigest(), kept=kept, added=added)


def _translation(path: str) -> tuple[int, bytes]:
    """What makes an OCI layout such as an engine takes; nothing for any other file."""
    try:
        with tarfile.open(path, mode="r:") as tar:
            members = oci.members_of(tar)
            return oci.translation(tar, members) if oci.is_layout(members) else (0, b"")
    except (tarfile.TarError, EOFError):
        return 0, b""
    except (Damaged, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"its OCI layout cannot be read ({error})") from error


class Content:
    """An archive's bytes as a guest gets them."""

    def __init__(self, archive: Archive) -> None:
        self._file = open(archive.path, "rb")  # noqa: SIM115 - closed by __exit__
        self._left = archive.kept if archive.added else -1
        self._added = io.BytesIO(archive.added)

    def __enter__(self) -> Content:
        return self

    def __exit__(self, *_unused: object) -> None:
        self._file.close()

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end."""
        block = self._file.read(size if self._left < 0 else min(size, self._left))
        if self._left >= 0:
            self._left -= len(block)
        return block or self._added.read(size)


def check_archive(archive: Archive) -> None:
    """See that ``docker load`` will take it: whole, and every part with the digest that it is to have.

    Raises InvalidOption for a damaged one, Unsupported for an OCI layout that is compressed as a whole.
    """
    try:
        if not tarfile.is_tarfile(archive.path):
            raise Damaged("it is no tar archive")
        with tarfile.open(archive.path, mode="r:*") as tar:
            members = oci.members_of(tar)
            if oci.is_layout(members) and not archive.added:
                raise Unsupported(
                    _WHAT,
                    obj=archive.path,
                    why="it is an OCI layout that is compressed as a whole",
                    next_step="Unpack it with gunzip first; its layers may stay compressed",
                )
            images = oci.docker_manifest(tar, members) if archive.added else _json(tar, members, "manifest.json")
            _check_images(tar, members, images)
    except Damaged as error:
        raise _damaged(archive.path, str(error)) from error
    except _UNREADABLE as error:
        raise _damaged(archive.path, f"it cannot be read as an archive ({error})") from error


def _check_images(tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], images: Any) -> None:
    if not isinstance(images, list) or not images:
        raise Damaged("its manifest.json lists no image")
    layers: dict[str, str] = {}
    for image in images:
        config = _json(tar, members, image["Config"])
        diff_ids = config["rootfs"]["diff_ids"]
        if len(diff_ids) != len(image["Layers"]):
            raise Damaged(f"'{image['Config']}' knows {len(diff_ids)} layers, its manifest {len(image['Layers'])}")
        layers.update(zip(image["Layers"], diff_ids, strict=True))
    # In the order in which they stand: a compressed archive cannot be read backwards without starting over.
    for name in sorted(layers, key=lambda name: _member(members, name).offset):
        found = _diff_id(_open(tar, members, name))
        if found and found != layers[name]:
            raise Damaged(f"the layer '{name}' has another content than its image says")


def _json(tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str) -> Any:
    with _open(tar, members, name) as stream:
        text = stream.read(_JSON_LIMIT)
    # docker save names a configuration by its digest.
    named = _SHA256.search(name)
    if named and hashlib.sha256(text).hexdigest() != named[0]:
        raise Damaged(f"'{name}' does not have the digest that it is named by")
    return json.loads(text)


def _member(members: Mapping[str, tarfile.TarInfo], name: str) -> tarfile.TarInfo:
    if name not in members:
        raise Damaged(f"'{name}' is missing")
    return members[name]


def _open(tar: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], name: str) -> IO[bytes]:
    stream = tar.extractfile(_member(members, name))
    if stream is None:
        raise Damaged(f"'{name}' is no file")
    return stream


def _diff_id(stream: IO[bytes]) -> str:
    """A layer's digest, unpacked; empty for one that is packed in a way that Python cannot undo."""
    digest = hashlib.sha256()
    with stream:
        head = stream.read(4)
        stream.seek(0)
        if head == _ZSTD:
            return ""
        unpacked: IO[bytes] = gzip.GzipFile(fileobj=stream) if head.startswith(_GZIP) else stream  # type: ignore[assignment]
        for block in _blocks(unpacked):
            digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    while block := stream.read(_BLOCK):
        yield block


def _damaged(path: str, why: str) -> InvalidOption:
    return InvalidOption(_WHAT, obj=path, why=why, next_step="Write it again with docker save, and copy it whole")
