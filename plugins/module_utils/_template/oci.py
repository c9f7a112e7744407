# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OCI image layouts as tar archives, and what makes them such as ``docker load`` takes.

An engine loads images by a ``manifest.json``, which names files of the archive.
An OCI layout has all these files and says the same in other words, so the
translation is one more member at its end; the archive itself stays as it is.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any

_MANIFEST = "manifest.json"
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_PLATFORM = ("linux", "amd64")
_FULL_NAME = "io.containerd.image.name"
_REF_NAME = "org.opencontainers.image.ref.name"
# Indexes and manifests are kilobytes; something larger by their name is something else.
_JSON_LIMIT = 8 << 20

Members = Mapping[str, tarfile.TarInfo]


class Damaged(Exception):
    """Why an archive cannot be loaded."""


def members_of(tar: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    return {member.name.removeprefix("./"): member for member in tar}


def is_layout(members: Members) -> bool:
    """Whether it is an OCI layout that no ``manifest.json`` goes with; what docker save writes today is both."""
    return _MANIFEST not in members and "oci-layout" in members


def docker_manifest(tar: tarfile.TarFile, members: Members) -> list[dict[str, Any]]:
    """The images of a layout, as ``manifest.json`` has them. Raises Damaged."""
    images = []
    for descriptor in read_json(tar, members, "index.json")["manifests"]:
        manifest = read_json(tar, members, _blob(_for_our_platform(tar, members, descriptor)))
        images.append(
            {
                "Config": _blob(manifest["config"]),
                "RepoTags": [_name(descriptor)],
                "Layers": [_blob(layer) for layer in manifest["layers"]],
            }
        )
    return images


def translation(tar: tarfile.TarFile, members: Members) -> tuple[int, bytes]:
    """How many bytes of a layout's archive are kept, and what comes after them in place of its end."""
    text = json.dumps(docker_manifest(tar, members), separators=(",", ":")).encode()
    member = tarfile.TarInfo(_MANIFEST)
    member.size = len(text)
    end = io.BytesIO()
    with tarfile.open(fileobj=end, mode="w") as added:
        added.addfile(member, io.BytesIO(text))
    return max(_end(one) for one in members.values()), end.getvalue()


def read_json(tar: tarfile.TarFile, members: Members, name: str) -> Any:
    """A member's JSON. Raises Damaged where it is missing."""
    stream = tar.extractfile(members[name]) if name in members else None
    if stream is None:
        raise Damaged(f"'{name}' is missing")
    with stream:
        return json.loads(stream.read(_JSON_LIMIT))


def _for_our_platform(tar: tarfile.TarFile, members: Members, descriptor: Mapping[str, Any]) -> Mapping[str, Any]:
    if descriptor.get("mediaType") not in _INDEXES:
        return descriptor
    manifests: Iterable[Mapping[str, Any]] = read_json(tar, members, _blob(descriptor))["manifests"]
    for one in manifests:
        platform = one.get("platform") or {}
        if (platform.get("os"), platform.get("architecture")) == _PLATFORM:
            return one
    raise Damaged(f"'{_name(descriptor)}' has no image for {'/'.join(_PLATFORM)}")


def _name(descriptor: Mapping[str, Any]) -> str:
    notes = descriptor.get("annotations") or {}
    for name in (notes.get(_FULL_NAME, ""), notes.get(_REF_NAME, "")):
        if ":" in name.rpartition("/")[2]:
            return str(name)
    raise Damaged(f"its index.json does not say what the image is called: {_REF_NAME} has no NAME:TAG")


def _blob(descriptor: Mapping[str, Any]) -> str:
    return "blobs/" + str(descriptor["digest"]).replace(":", "/", 1)


def _end(member: tarfile.TarInfo) -> int:
    blocks = -(-member.size // tarfile.BLOCKSIZE) if member.isreg() else 0
    return member.offset_data + blocks * tarfile.BLOCKSIZE
