# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An OVA at a web address: it goes through the controller as a stream, and is stored nowhere on the way.

What is read is hashed, so that at the end it is known to be what was promised.
A connection that breaks is taken up again where it broke (HTTP's Range).
"""

from __future__ import annotations

import hashlib
import re
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, NoReturn, cast
from urllib.parse import urlsplit

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption, NotFound, OvaInvalid
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.ova import (
    Ova,
    OvaPart,
    eulas_of,
    invalid,
    networks_of,
    read_descriptor,
    read_manifest,
    references,
)

_ALGORITHMS = {"sha256": 64, "sha384": 96, "sha512": 128}
_SECONDS = (10.0, 60.0)  # to connect, and for the next bytes
_BLOCK = 1 << 20
# In a row, without a single byte between them; the pause before each is twice the one before.
_TRIES = 6
_PAUSE = 0.25
# Descriptors and checksum files are small; something larger by their name is something else.
_TEXT_LIMIT = 8 << 20
_HEAD = (".ovf", ".mf", ".cert")


@dataclass(frozen=True, kw_only=True)
class Checksum:
    """What an OVA's bytes have to add up to; ``value`` is in hexadecimal digits."""

    algorithm: str
    value: str

    @property
    def fingerprint(self) -> str:
        return f"{self.algorithm}:{self.value}"


def read_checksum(text: str, *, url: str) -> Checksum:
    """``sha256:DIGITS``, or ``sha256:URL`` of a file that has them in the line with the OVA's name.

    Raises InvalidOption, NotFound, OvaInvalid.
    """
    algorithm, _unused, rest = text.strip().partition(":")
    algorithm = algorithm.lower()
    digits = _ALGORITHMS.get(algorithm)
    if digits is None or not rest:
        raise InvalidOption(
            "Cannot use the option",
            obj="source.checksum",
            why=f"it does not begin with one of {', '.join(f'{name}:' for name in _ALGORITHMS)}",
            next_step="Write it as sha256:DIGITS, or as sha256:URL of a file that has them",
        )
    if not is_url(rest):
        if not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", rest):
            raise InvalidOption(
                "Cannot use the option",
                obj="source.checksum",
                why=f"a {algorithm} has {digits} hexadecimal digits",
                next_step="Copy it whole from where the OVA is published",
            )
        return Checksum(algorithm=algorithm, value=rest.lower())
    if "@" in urlsplit(rest).netloc:
        raise InvalidOption(
            "Cannot use the option",
            obj="source.checksum",
            why="a login in it would be shown",
            next_step="Give an address that needs none, or the digits themselves",
        )
    name = urlsplit(url).path.rpartition("/")[2]
    lines = _Download(rest).text().splitlines()
    wanted = [line for line in lines if name in re.split(r"[\s*()/]+", line)] or (lines if len(lines) == 1 else [])
    found = {match.lower() for line in wanted for match in re.findall(f"\\b[0-9a-fA-F]{{{digits}}}\\b", line)}
    if len(found) != 1:
        raise OvaInvalid(
            "Cannot find the checksum of",
            obj=name,
            why=f"{rest} has {len(found) or 'no'} {algorithm} in lines with that name",
            next_step="Give the digits themselves in source.checksum",
        )
    return Checksum(algorithm=algorithm, value=found.pop())


def is_url(text: str) -> bool:
    return urlsplit(text).scheme in ("http", "https")


def check_url(url: str) -> str:
    """An address that an OVA can be had from; raises InvalidOption."""
    parts = urlsplit(url)
    if not is_url(url) or not parts.hostname or "@" in parts.netloc:
        raise InvalidOption(
            "Cannot use the option",
            obj="source.url",
            why="it is no http or https address" if "@" not in parts.netloc else "a login in it would be shown",
            next_step="Give an address like https://mirror.example.com/photon.ova",
        )
    return url


def open_ova(url: str, checksum: Checksum) -> Ova:
    """Begin to download an OVA, as far as its descriptor; the rest is read while it is imported.

    Raises NotFound, OvaInvalid.
    """
    download = _Download(url, checksum=checksum)
    with _as_ova(url):
        content = _Content(url, download)
    manifest = next((text for name, text in content.texts.items() if name.lower().endswith(".mf")), "")
    digests = read_manifest(url, manifest)
    head = {name: _part(name, 0, size, digests) for name, size in content.head.items()}
    descriptor, root = read_descriptor(path=url, parts=head, texts=content.texts)
    parts = {}
    for number, (name, size) in enumerate(references(url, root).items(), 1):
        if size is None:
            raise invalid(url, f"its descriptor does not say how large '{name}' is", step="Give its path in source.ova")
        parts[name] = _part(name, number, size, digests)
    return Ova(
        path=url,
        descriptor=descriptor,
        parts={**head, **parts},
        networks=networks_of(root),
        eulas=eulas_of(root),
        fingerprint=checksum.fingerprint,
        size=download.size,
        content=content,
    )


def _part(name: str, offset: int, size: int, digests: Mapping[str, tuple[str, str]]) -> OvaPart:
    algorithm, digest = digests.get(name, ("", ""))
    return OvaPart(name=name, offset=offset, size=size, algorithm=algorithm, digest=digest)


class _Content:
    """A tar that comes by: its first members are kept, each further one can be read once, in their order."""

    def __init__(self, url: str, download: _Download) -> None:
        self._url = url
        self._download = download
        stream = cast("IO[bytes]", download)
        self._tar = tarfile.open(fileobj=stream, mode="r|", bufsize=_BLOCK)  # noqa: SIM115 - has nothing to close
        self.head: dict[str, int] = {}
        self.texts: dict[str, str] = {}
        self._next = self._tar.next()
        while self._next is not None and self._next.name.lower().endswith(_HEAD):
            name = self._next.name.removeprefix("./")
            member = self._tar.extractfile(self._next)
            if member is None or self._next.size > _TEXT_LIMIT:
                raise invalid(url, f"'{name}' is no descriptor")
            self.head[name], self.texts[name] = self._next.size, member.read().decode()
            self._next = self._tar.next()

    @property
    def origin(self) -> str:
        return self._download.origin

    def open(self, part: OvaPart) -> IO[bytes]:
        with _as_ova(self._url):
            while (member := self._next) is not None:
                self._next = None
                if member.name.removeprefix("./") == part.name and member.size == part.size:
                    stream = self._tar.extractfile(member)
                    if stream is not None:
                        return cast("IO[bytes]", _Telling(stream, self, self._url))
                self.advance()
        raise invalid(self._url, f"'{part.name}' of {part.size} bytes does not come where its descriptor has it")

    def advance(self) -> None:
        """Go on to the next member."""
        self._next = self._tar.next()

    def finish(self) -> None:
        self._download.finish()


class _Telling:
    """One member's bytes; a tar that ends too early is told as such."""

    def __init__(self, stream: IO[bytes], content: _Content, url: str) -> None:
        self._stream, self._content, self._url = stream, content, url

    def read(self, size: int = -1) -> bytes:
        with _as_ova(self._url):
            return self._stream.read(size)

    def close(self) -> None:
        with _as_ova(self._url):
            self._content.advance()


@contextmanager
def _as_ova(url: str) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, UnicodeDecodeError) as error:
        raise invalid(url, f"it cannot be read as an OVA ({error})") from error


class _Download:
    """The bytes at an address, one after the other, whatever becomes of the connection meanwhile."""

    def __init__(self, url: str, *, checksum: Checksum | None = None) -> None:
        import requests

        self._url = url
        self._session = requests.Session()
        self._checksum = checksum
        self._hash = hashlib.new(checksum.algorithm) if checksum else None
        self._offset = 0
        self._tries = 0
        self._validator = ""
        self.size = -1
        self.origin = url
        self._response = self._connect()

    def read(self, size: int = -1) -> bytes:
        """The next bytes; empty at the end."""
        while True:
            try:
                block: bytes = self._response.raw.read(None if size < 0 else size)
            except self._broken() as error:
                self._again(error)
                continue
            if not block and self._offset < self.size:
                self._again(EOFError("it hung up"))
                continue
            self._offset += len(block)
            self._tries = 0 if block else self._tries
            if self._hash:
                self._hash.update(block)
            return block

    def text(self) -> str:
        """All of it, where it is a text."""
        return self.read(_TEXT_LIMIT).decode("utf-8", "replace")

    def finish(self) -> None:
        """Read to the end; raises OvaInvalid when what was read is not what was promised."""
        while self.read(_BLOCK):
            pass
        self._session.close()
        found = self._hash.hexdigest() if self._hash else ""
        if self._checksum and found != self._checksum.value:
            raise OvaInvalid(
                "Cannot use the OVA",
                obj=self._url,
                why=f"its {self._checksum.algorithm} is {found}, and source.checksum says {self._checksum.value}",
                next_step="Compare both with what its publisher says",
                details={"expected": self._checksum.value, "found": found},
            )

    def _connect(self) -> Any:
        while True:
            try:
                return self._get()
            except self._broken() as error:
                self._pause(error)

    def _get(self) -> Any:
        headers = {"Accept-Encoding": "identity"}
        if self._offset:
            headers["Range"] = f"bytes={self._offset}-"
            if self._validator:
                headers["If-Range"] = self._validator
        answer = self._session.get(self._url, headers=headers, stream=True, timeout=_SECONDS)
        if answer.status_code == 404:
            raise NotFound(
                "Cannot download", obj=self._url, why="the server has no such file", next_step="Check its address"
            )
        if answer.status_code >= 500:
            raise ConnectionError(f"the server answers {answer.status_code} {answer.reason}")
        if answer.status_code >= 400:
            self._fail(f"the server answers {answer.status_code} {answer.reason}")
        if self._offset and answer.status_code != 206:
            self._fail(f"the connection broke after {self._offset} bytes, and the server does not go on from there")
        if not self._offset:
            tag = answer.headers.get("ETag", "")
            # Only a strong one says that the bytes are the same.
            self._validator = (tag if tag.startswith('"') else "") or answer.headers.get("Last-Modified", "")
            self.size = int(answer.headers.get("Content-Length", -1))
            # Where redirections led to.
            self.origin = str(answer.url)
        return answer

    def _again(self, error: Exception) -> None:
        self._response.close()
        self._pause(error)
        self._response = self._connect()

    def _pause(self, error: Exception) -> None:
        self._tries += 1
        if self._tries == _TRIES:
            self._fail(f"after {self._offset} bytes: {error}")
        time.sleep(_PAUSE * 2 ** (self._tries - 1))

    def _fail(self, why: str) -> NoReturn:
        raise OvaInvalid(
            "Cannot download", obj=self._url, why=why, next_step="Run again, or download it and give its path"
        )

    @staticmethod
    def _broken() -> tuple[type[Exception], ...]:
        """What a broken connection raises, in requests and below it."""
        import requests
        import urllib3

        return (OSError, requests.RequestException, urllib3.exceptions.HTTPError)
