# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Image names, and getting an image into the Engine."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass

from ..protocol import ImageStatus, Login
from .engine import Engine, EngineError, engine_problem
from .problem import Problem
from .unixhttp import HttpError, Stalled

_HUB = "docker.io"
_HUB_AUTH = "https://index.docker.io/v1/"
# Go's names for what registries and users call otherwise.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An image name taken apart; ``tag`` is a tag or ``sha256:…``."""

    repository: str
    tag: str

    @property
    def registry(self) -> str:
        """The registry's host and port; a first part with neither dot nor colon is a user of Docker Hub."""
        first, slash, _unused = self.repository.partition("/")
        return first if slash and ("." in first or ":" in first or first == "localhost") else _HUB


def parse(name: str) -> Reference:
    """``registry:5000/web:1`` → repository and tag; ``latest`` where none is given."""
    repository, at, digest = name.partition("@")
    head, slash, last = repository.rpartition("/")
    last, _unused, tag = last.partition(":")
    return Reference(repository=head + slash + last, tag=digest if at else tag or "latest")


def auth_for(name: str, logins: Iterable[Login]) -> str:
    """X-Registry-Auth for the image's own registry; empty where no login is meant for it."""
    registry = parse(name).registry
    for login in logins:
        server = login.server.removeprefix("https://").removeprefix("http://").rstrip("/")
        server = _HUB if server in ("", "index.docker.io/v1", "index.docker.io", "registry-1.docker.io") else server
        if server == registry:
            address = _HUB_AUTH if registry == _HUB else registry
            data = {"username": login.username, "password": login.password, "serveraddress": address}
            return base64.urlsafe_b64encode(json.dumps(data).encode()).decode()
    return ""


def find(engine: Engine, name: str) -> ImageStatus | None:
    """The image in the Engine, or None. Raises Problem ``wrong_architecture`` for one that this VM cannot run."""
    try:
        found = engine.image(name)
    except (EngineError, HttpError) as error:
        raise engine_problem(error, "docker_unavailable") from error
    if found is None:
        return None
    architecture = str(found.get("Architecture") or "")
    own = _ARCHITECTURES.get(engine.architecture, engine.architecture)
    if architecture and _ARCHITECTURES.get(architecture, architecture) != own:
        raise Problem("wrong_architecture", f"image {name} is for {architecture}, this VM is {own}")
    repository = parse(name).repository
    digests = [digest.partition("@") for digest in found.get("RepoDigests") or ()]
    own_digest = [digest for repo, _unused, digest in digests if repo == repository] or [
        digest for _unused, _unused, digest in digests
    ]
    return ImageStatus(
        name=name, id=str(found["Id"]), digest=own_digest[0] if own_digest else "", size=int(found.get("Size") or 0)
    )


def pull(engine: Engine, name: str, logins: Iterable[Login]) -> ImageStatus:
    """Pull ``name``; raises Problem with the registry's own words."""
    reference = parse(name)
    try:
        engine.pull(reference.repository, reference.tag, auth_for(name, logins))
    except Stalled as error:
        raise Problem("image_pull_failed", f"image {name}: the registry stopped sending ({error})") from error
    except (EngineError, HttpError) as error:
        problem = engine_problem(error, "image_pull_failed")
        raise Problem(problem.code, f"image {name}: {problem}") from error
    found = find(engine, name)
    if found is None:
        raise Problem("image_pull_failed", f"image {name}: the pull succeeded, and the image is not there")
    return found
