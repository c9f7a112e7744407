# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Docker Engine's own API on its unix socket."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from . import places
from .problem import Problem, of_engine
from .shell import run
from .unixhttp import HttpError, Response, quote, request

# The newest API that this client was written for; older Engines are asked in theirs.
_NEWEST = (1, 47)
_START_AFTER = 2.0
_READY_WITHIN = 30.0
_POLL = 0.05


class EngineError(Exception):
    """The Engine refused a request; the text is its own, ``status`` its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Engine:
    """A client that speaks the API version that the Engine and this file have in common."""

    def __init__(self, socket_path: str = places.DOCKER_SOCKET) -> None:
        self._path = socket_path
        self._prefix = ""
        self.version = ""
        self.architecture = ""

    # reaching it ---------------------------------------------------------

    def wait(self, *, within: float = _READY_WITHIN) -> None:
        """Return when the Engine answers; starts its service if it does not. Raises Problem ``docker_unavailable``."""
        begun = time.monotonic()
        said = ""
        while True:
            try:
                return self._negotiate()
            except (HttpError, EngineError) as error:
                waited = time.monotonic() - begun
                if waited > within:
                    raise Problem(
                        "docker_unavailable", f"no answer from dockerd in {within:.0f} s: {said or error}"
                    ) from error
                if waited > _START_AFTER and not said:
                    started = run(["systemctl", "start", "docker.service"])
                    said = started.said or "it was started, and does not answer"
            time.sleep(_POLL)

    def _negotiate(self) -> None:
        with request(self._path, "GET", "/version", timeout=10.0) as answer:
            data = self._json(answer.read())
        newest = _pair(str(data["ApiVersion"]))
        oldest = _pair(str(data.get("MinAPIVersion") or "1.12"))
        if oldest > _NEWEST:
            raise Problem("docker_unavailable", f"Docker {data['Version']} no longer speaks API {_dotted(_NEWEST)}")
        self._prefix = "/v" + _dotted(min(newest, _NEWEST))
        self.version, self.architecture = str(data["Version"]), str(data["Arch"])

    def _open(
        self,
        method: str,
        target: str,
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: bytes | Iterable[bytes] = b"",
        timeout: float | None = 60.0,
    ) -> Response:
        if not self._prefix:
            self._negotiate()
        pairs = "&".join(f"{name}={quote(value, safe=b'')}" for name, value in (query or {}).items())
        url = f"{self._prefix}{target}{'?' + pairs if pairs else ''}"
        answer = request(self._path, method, url, headers=headers, body=body, timeout=timeout)
        if answer.status >= 400:
            with answer:
                raw = answer.read()
            try:
                message = str(json.loads(raw)["message"])
            except (ValueError, KeyError, TypeError):
                message = raw.decode("utf-8", "replace").strip() or f"HTTP {answer.status}"
            raise EngineError(answer.status, message)
        return answer

    def _json(self, raw: bytes) -> Any:
        try:
            return json.loads(raw)
        except ValueError as error:
            raise HttpError(f"the Engine's answer is no JSON: {error}") from error

    def _call(self, method: str, target: str, *, data: Any = None, timeout: float = 60.0, **query: str) -> Any:
        body = b"" if data is None else json.dumps(data).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        with self._open(method, target, query=query, headers=headers, body=body, timeout=timeout) as answer:
            raw = answer.read()
        return self._json(raw) if raw.strip() else None

    # images --------------------------------------------------------------

    def image(self, name: str) -> dict[str, Any] | None:
        """What ``docker image inspect`` shows, or None."""
        try:
            found: dict[str, Any] = self._call("GET", f"/images/{quote(name)}/json")
        except EngineError as error:
            if error.status == 404:
                return None
            raise
        return found

    def pull(self, repository: str, tag: str, auth: str) -> None:
        """Pull one image; ``auth`` is X-Registry-Auth or empty. Raises EngineError with the registry's words."""
        headers = {"X-Registry-Auth": auth} if auth else {}
        # Silence for minutes is a stalled registry.
        with self._open(
            "POST", "/images/create", query={"fromImage": repository, "tag": tag}, headers=headers, timeout=300.0
        ) as answer:
            _progress(answer.lines())

    def load(self, archive: Iterable[bytes]) -> list[str]:
        """Load a ``docker save`` archive; returns the names (or ids) that it held."""
        headers = {"Content-Type": "application/x-tar"}
        with self._open(
            "POST", "/images/load", query={"quiet": "1"}, headers=headers, body=archive, timeout=600.0
        ) as answer:
            said = _progress(answer.lines())
        names = (line.partition(": ") for line in said.splitlines())
        return [name.strip() for head, _unused, name in names if head in ("Loaded image", "Loaded image ID")]

    def import_image(self, tar: bytes, repository: str) -> None:
        """Make an image of one layer out of a tar."""
        headers = {"Content-Type": "application/x-tar"}
        query = {"fromSrc": "-", "repo": repository}
        with self._open("POST", "/images/create", query=query, headers=headers, body=tar) as answer:
            _progress(answer.lines())

    def remove_image(self, name: str) -> None:
        """Remove an image."""
        self._call("DELETE", f"/images/{quote(name)}", force="1")

    # volumes -------------------------------------------------------------

    def create_volume(self, name: str, directory: str) -> None:
        """Make a volume whose content is a directory of the VM's; one of that name that is there already is fine."""
        options = {"type": "none", "o": "bind", "device": directory}
        self._call("POST", "/volumes/create", data={"Name": name, "Driver": "local", "DriverOpts": options})

    # containers ----------------------------------------------------------

    def create(self, name: str, body: dict[str, Any]) -> str:
        """Create a container; returns its id."""
        return str(self._call("POST", "/containers/create", data=body, name=name)["Id"])

    def start(self, container: str) -> None:
        """Start a container; one that runs already is fine."""
        self._call("POST", f"/containers/{quote(container)}/start", timeout=120.0)

    def stop(self, container: str, seconds: int) -> None:
        """Stop signal, then SIGKILL after ``seconds``."""
        self._call("POST", f"/containers/{quote(container)}/stop", timeout=seconds + 30.0, t=str(seconds))

    def inspect(self, container: str) -> dict[str, Any] | None:
        """What ``docker inspect`` shows, or None."""
        try:
            found: dict[str, Any] = self._call("GET", f"/containers/{quote(container)}/json")
        except EngineError as error:
            if error.status == 404:
                return None
            raise
        return found

    def remove(self, container: str) -> None:
        """Remove a container, running or not, with its anonymous volumes; one that is gone is fine."""
        try:
            self._call("DELETE", f"/containers/{quote(container)}", force="1", v="1")
        except EngineError as error:
            if error.status != 404:
                raise

    def events(self, container: str, kinds: list[str]) -> Response:
        """The container's events from now on; each line of the response is one."""
        filters = {"type": ["container"], "container": [container], "event": kinds}
        return self._open("GET", "/events", query={"filters": json.dumps(filters)}, timeout=None)

    def logs(self, container: str, *, since: str, follow: bool) -> Response:
        """The container's output with a time stamp before each line; ``since`` is "" or seconds with nanoseconds."""
        query = {"stdout": "1", "stderr": "1", "timestamps": "1", "follow": "1" if follow else "0"}
        if since:
            query["since"] = since
        return self._open("GET", f"/containers/{quote(container)}/logs", query=query, timeout=None)


def _progress(lines: Iterator[bytes]) -> str:
    """What a stream of progress messages says in all; raises EngineError when one of them is an error."""
    said = []
    for line in lines:
        if not line.strip():
            continue
        try:
            message = json.loads(line)
        except ValueError as error:
            raise HttpError(f"the Engine's answer is no JSON: {error}") from error
        if "error" in message:
            raise EngineError(500, str(message.get("errorDetail", {}).get("message") or message["error"]))
        said.append(str(message.get("stream", "")))
    return "".join(said)


def engine_problem(error: EngineError | HttpError, otherwise: str) -> Problem:
    """A refused or failed request as a Problem."""
    if isinstance(error, HttpError):
        return Problem("docker_unavailable", f"the connection to dockerd failed: {error}")
    return of_engine(str(error), otherwise)


def _pair(version: str) -> tuple[int, int]:
    major, _unused, minor = version.partition(".")
    return int(major), int(minor)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
