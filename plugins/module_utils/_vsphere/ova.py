# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An OVA as a file: its descriptor, its parts, its manifest. Nothing is unpacked.

An OVA is a tar (ustar) whose first member is the OVF descriptor, followed by
an optional manifest (``.mf``, one ``ALG(name)= hex`` per line) and certificate
and the disks (DMTF DSP0243, section 5). A part is read in place, at its offset.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol
from xml.etree import ElementTree

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import NotFound, OvaInvalid

_MANIFEST_LINE = re.compile(r"^(SHA\d+)\s*\((.+)\)\s*=\s*([0-9a-fA-F]+)$")
_ALGORITHMS = {"SHA1": "sha1", "SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512"}
# Descriptors are tens of kilobytes; a member of this size that claims to be one is something else.
_DESCRIPTOR_LIMIT = 8 << 20
_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class OvaPart:
    """One file inside an OVA: where its bytes stand, and the digest that the manifest promises."""

    name: str
    offset: int
    size: int
    algorithm: str = ""
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Ova:
    """What an OVA says about itself. ``fingerprint`` is 64 hex digits and follows its content.

    The fingerprint covers descriptor and manifest, hence every digest in it;
    without a manifest it covers the whole files, which takes as long as reading them.
    """

    path: str
    descriptor: str = field(repr=False)
    parts: Mapping[str, OvaPart]
    networks: tuple[str, ...]
    eulas: tuple[str, ...] = field(repr=False)
    fingerprint: str
    size: int
    content: Content | None = field(default=None, repr=False, compare=False)

    def open(self, part: OvaPart) -> IO[bytes]:
        """A stream that begins with a part's bytes. One that is downloaded gives each part once, in their order."""
        if self.content:
            return self.content.open(part)
        file = open(self.path, "rb")  # noqa: SIM115 - closed by whoever reads the part
        file.seek(part.offset)
        return file

    def finish(self) -> None:
        """To be called when all that is needed was read; raises OvaInvalid when the whole is not what was promised."""
        if self.content:
            self.content.finish()


class Content(Protocol):
    """Where an OVA's bytes come from that is no file."""

    @property
    def origin(self) -> str:
        """The web address that it really comes from."""

    def open(self, part: OvaPart) -> IO[bytes]: ...

    def finish(self) -> None: ...


class PartReader:
    """A part's bytes as a sized stream that hashes what it hands out.

    Has ``__len__`` and ``__iter__``, by which requests sends it with a
    Content-Length and without loading it.
    """

    def __init__(self, *, ova: Ova, part: OvaPart) -> None:
        self._ova = ova
        self._part = part
        self._file = ova.open(part)
        self._left = part.size
        self._hash = hashlib.new(part.algorithm) if part.digest else None

    def __enter__(self) -> PartReader:
        return self

    def __exit__(self, *_unused: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._part.size

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read(_BLOCK):
            yield block

    @property
    def done(self) -> int:
        """Bytes handed out so far."""
        return self._part.size - self._left

    def read(self, size: int = -1) -> bytes:
        """The next bytes; raises OvaInvalid when the file ends before the part does."""
        wanted = self._left if size < 0 else min(size, self._left)
        block = self._file.read(wanted)
        if len(block) < wanted:
            raise _truncated(self._ova.path, self._part.name)
        self._left -= len(block)
        if self._hash:
            self._hash.update(block)
        return block

    def verify(self) -> None:
        """Compare with the manifest once everything was read; raises OvaInvalid."""
        if self._hash and self._hash.hexdigest() != self._part.digest:
            raise OvaInvalid(
                "Cannot use the OVA",
                obj=self._ova.path,
                why=f"'{self._part.name}' does not have the {self._part.algorithm} digest that its manifest names",
                next_step="Download the OVA again",
                details={"part": self._part.name, "expected": self._part.digest, "found": self._hash.hexdigest()},
            )


def read_ova(path: str) -> Ova:
    """Read an OVA's descriptor and manifest, and where its parts stand.

    Raises NotFound without such a file, OvaInvalid when it is no OVA, is
    truncated, misses a part, or its descriptor is not the one in the manifest.
    """
    if not Path(path).is_file():
        raise NotFound(
            "Cannot read the OVA",
            obj=path,
            why="there is no such file on the host that runs this task",
            next_step="Check source.ova; the path is one on the controller or in its execution environment",
        )
    try:
        members, texts = _read_members(path)
    except (tarfile.TarError, EOFError, UnicodeDecodeError) as error:
        raise invalid(path, f"it cannot be read as an OVA ({error})") from error
    manifest = next((texts[name] for name in members if name.lower().endswith(".mf")), "")
    parts = {part.name: part for part in _with_digests(path=path, members=members, manifest=manifest)}
    descriptor, root = read_descriptor(path=path, parts=parts, texts=texts)
    _check_references(path=path, root=root, parts=parts)
    seal = hashlib.sha256(descriptor.encode())
    if manifest:
        seal.update(manifest.encode())
    else:
        with open(path, "rb") as file:
            while block := file.read(_BLOCK):
                seal.update(block)
    return Ova(
        path=path,
        descriptor=descriptor,
        parts=parts,
        networks=networks_of(root),
        eulas=eulas_of(root),
        fingerprint=seal.hexdigest(),
        size=os.path.getsize(path),
    )


def read_descriptor(
    *, path: str, parts: Mapping[str, OvaPart], texts: Mapping[str, str]
) -> tuple[str, ElementTree.Element]:
    """The one descriptor among the parts, as text and as XML; raises OvaInvalid."""
    descriptors = [name for name in parts if name.lower().endswith(".ovf")]
    if len(descriptors) != 1:
        raise invalid(path, f"it holds {len(descriptors)} OVF descriptors where exactly one is wanted")
    descriptor = texts[descriptors[0]]
    _check_descriptor_digest(path=path, part=parts[descriptors[0]], descriptor=descriptor)
    try:
        return descriptor, ElementTree.fromstring(descriptor)
    except ElementTree.ParseError as error:
        raise invalid(path, f"its descriptor is not well-formed XML ({error})") from error


def networks_of(root: ElementTree.Element) -> tuple[str, ...]:
    return tuple(attribute(item, "name") for item in root.iterfind(".//{*}NetworkSection/{*}Network"))


def eulas_of(root: ElementTree.Element) -> tuple[str, ...]:
    return tuple(" ".join((item.text or "").split()) for item in root.iterfind(".//{*}EulaSection/{*}License"))


def _read_members(path: str) -> tuple[dict[str, OvaPart], dict[str, str]]:
    """The tar's files by name, and the text of descriptor and manifest."""
    members: dict[str, OvaPart] = {}
    texts: dict[str, str] = {}
    total = os.path.getsize(path)
    with tarfile.open(path, mode="r:") as tar:
        for member in tar:
            if not member.isfile():
                continue
            if member.offset_data + member.size > total:
                raise _truncated(path, member.name)
            name = member.name.removeprefix("./")
            members[name] = OvaPart(name=name, offset=member.offset_data, size=member.size)
            if name.lower().endswith((".ovf", ".mf")) and member.size <= _DESCRIPTOR_LIMIT:
                stream = tar.extractfile(member)
                texts[name] = stream.read().decode() if stream else ""
    missing = [name for name in members if name.lower().endswith((".ovf", ".mf")) and name not in texts]
    if missing:
        raise invalid(path, f"'{missing[0]}' is larger than any descriptor is")
    return members, texts


def _with_digests(*, path: str, members: Mapping[str, OvaPart], manifest: str) -> Iterator[OvaPart]:
    digests = read_manifest(path, manifest)
    absent = sorted(set(digests) - set(members))
    if absent:
        raise _truncated(path, absent[0])
    for name, part in members.items():
        algorithm, digest = digests.get(name, ("", ""))
        yield OvaPart(name=name, offset=part.offset, size=part.size, algorithm=algorithm, digest=digest)


def read_manifest(path: str, manifest: str) -> dict[str, tuple[str, str]]:
    """Algorithm and digest of each part that the manifest names; raises OvaInvalid."""
    digests: dict[str, tuple[str, str]] = {}
    for line in filter(None, (line.strip() for line in manifest.splitlines())):
        match = _MANIFEST_LINE.match(line)
        if not match or match[1].upper() not in _ALGORITHMS:
            raise invalid(path, f"its manifest has a line that is not understood: {line[:80]!r}")
        digests[match[2]] = (_ALGORITHMS[match[1].upper()], match[3].lower())
    return digests


def _check_descriptor_digest(*, path: str, part: OvaPart, descriptor: str) -> None:
    if part.digest and hashlib.new(part.algorithm, descriptor.encode()).hexdigest() != part.digest:
        raise invalid(path, f"its descriptor does not have the {part.algorithm} digest that its manifest names")


def _check_references(*, path: str, root: ElementTree.Element, parts: Mapping[str, OvaPart]) -> None:
    """Every file that the descriptor refers to is there and whole."""
    for name, size in references(path, root).items():
        if name not in parts:
            raise _truncated(path, name)
        if size is not None and size != parts[name].size:
            raise invalid(path, f"'{name}' has {parts[name].size} bytes where its descriptor says {size}")


def references(path: str, root: ElementTree.Element) -> dict[str, int | None]:
    """The files that a descriptor refers to with their sizes, which it need not say; raises OvaInvalid."""
    found: dict[str, int | None] = {}
    for item in root.iterfind("{*}References/{*}File"):
        name, size = attribute(item, "href"), attribute(item, "size")
        if attribute(item, "compression") not in ("", "identity") or attribute(item, "chunkSize"):
            raise invalid(path, f"'{name}' is stored compressed or in chunks", step="Use an OVA with plain disks")
        found[name] = int(size) if size else None
    return found


def attribute(item: ElementTree.Element, name: str) -> str:
    """An attribute by its local name: OVF writes them with a namespace, some tools without."""
    return next((value for key, value in item.attrib.items() if key.rpartition("}")[2] == name), "")


def _truncated(path: str, part: str) -> OvaInvalid:
    return invalid(path, f"it ends before '{part}' does")


def invalid(path: str, why: str, step: str = "Download the OVA again, and compare its checksum") -> OvaInvalid:
    return OvaInvalid("Cannot use the OVA", obj=path, why=why, next_step=step)
