# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP/1.1 over a unix socket, as much of it as the Docker Engine needs.

The standard library's ``http.client`` pulls in the e-mail parser and TLS: some
40 ms at every start of the agent, of which a thaw would pay each.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import BinaryIO


class HttpError(Exception):
    """The socket cannot be reached, or what it says is no HTTP."""


class Stalled(HttpError):
    """Nothing came for as long as the caller was ready to wait."""


def _failed(error: Exception, *, during: str) -> HttpError:
    return (Stalled if isinstance(error, TimeoutError) else HttpError)(f"{during}: {error}")


class Response:
    """A status, headers (names in lower case) and a body that is read once; close it, or use it in ``with``."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._file: BinaryIO = connection.makefile("rb")
        try:
            self.status, self.headers = self._head()
        except (OSError, HttpError):
            self.close()
            raise

    def _head(self) -> tuple[int, dict[str, str]]:
        while True:
            version, _unused, rest = self._file.readline(65536).decode("latin-1").partition(" ")
            if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
                raise HttpError("the answer is no HTTP, or the connection was closed")
            headers: dict[str, str] = {}
            while line := self._file.readline(65536).decode("latin-1").rstrip("\r\n"):
                name, _unused, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
            if rest[:3] != "100":
                return int(rest[:3]), headers

    def __enter__(self) -> Response:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection up, from any thread: a reader that is blocked in it gets the end of the body."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()

    def pieces(self) -> Iterator[bytes]:
        """The body, as it arrives; raises HttpError when it breaks off."""
        try:
            yield from self._body()
        except (OSError, ValueError) as error:
            raise _failed(error, during="in the middle of the answer") from error

    def _body(self) -> Iterator[bytes]:
        if self.status in (204, 304):
            return
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            yield from self._chunks()
        elif "content-length" in self.headers:
            left = int(self.headers["content-length"])
            while left and (piece := self._file.read1(min(left, 65536))):  # type: ignore[attr-defined]
                left -= len(piece)
                yield piece
            if left:
                raise HttpError("the answer was cut off")
        else:
            while piece := self._file.read1(65536):  # type: ignore[attr-defined]
                yield piece

    def _chunks(self) -> Iterator[bytes]:
        while line := self._file.readline(1024):
            size = int(line.split(b";")[0], 16)
            if not size:
                while self._file.readline(65536).strip():
                    pass
                return
            while size:
                piece = self._file.read1(min(size, 65536))  # type: ignore[attr-defined]
                if not piece:
                    raise HttpError("the answer was cut off")
                size -= len(piece)
                yield piece
            self._file.readline(1024)
        raise HttpError("the answer was cut off")

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self.pieces())

    def lines(self) -> Iterator[bytes]:
        """The body's lines, as they arrive, without their ends."""
        rest = b""
        for piece in self.pieces():
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
        if rest:
            yield rest


_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"


def quote(text: str, *, safe: bytes = b"/:@") -> str:
    """``text`` for use in a target; ``safe`` stays as it is."""
    keep = _UNRESERVED + safe
    return "".join(chr(byte) if byte in keep else f"%{byte:02X}" for byte in text.encode())


def request(
    path: str,
    method: str,
    target: str,
    *,
    headers: dict[str, str] | None = None,
    body: bytes | Iterable[bytes] = b"",
    timeout: float | None = 60.0,
) -> Response:
    """One request on a connection of its own to the socket ``path``; an iterable body is sent in chunks.

    ``timeout`` is for each wait, None for a stream that may be silent. Raises HttpError.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    fields = {"Host": "docker", "Connection": "close", **(headers or {})}
    if isinstance(body, bytes):
        fields["Content-Length"] = str(len(body))
    else:
        fields["Transfer-Encoding"] = "chunked"
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    try:
        connection.connect(path)
        try:
            connection.sendall(head.encode("latin-1") + b"\r\n" + (body if isinstance(body, bytes) else b""))
            if not isinstance(body, bytes):
                for piece in body:
                    if piece:
                        connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
                connection.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            # Refused before it was read to the end: the answer says why.
            pass
        return Response(connection)
    except (OSError, HttpError, ValueError) as error:
        connection.close()
        raise _failed(error, during=f"{method} {target}") from error
