# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one container: made from the spec, started, stopped, and read."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from typing import Any

from ..protocol import (
    CONTAINER_STATES,
    HEALTH,
    HEALTH_OUTPUT_LIMIT,
    MESSAGE_LIMIT,
    ContainerStatus,
    ImageStatus,
    Reason,
    Spec,
    clip,
)
from . import places, state
from .engine import Engine, EngineError, engine_problem
from .problem import Problem
from .unixhttp import HttpError

# What the log follower can read back, and cannot fill the disk.
_LOGGING = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}
# The Engine's words for a state, where the protocol has another.
_STATES = {"removing": "dead"}
_NEVER = "0001-01-01T00:00:00Z"


class Gone(Problem):
    """The Engine answers, and has no such container."""


def create_body(spec: Spec, image_id: str, *, names: str = "") -> dict[str, Any]:
    """The body for ``POST /containers/create``: the spec's, with what only the guest can know.

    ``names`` is the address of the fleet's name server; who else is to be asked is its business.
    """
    body = dict(spec.container)
    host = dict(body.get("HostConfig") or {})
    binds = [f"{path}:{file.target}:ro" for path, file in zip(_paths(spec), spec.files, strict=True)]
    if binds:
        host["Binds"] = [*(host.get("Binds") or ()), *binds]
    if not (host.get("LogConfig") or {}).get("Type"):
        host["LogConfig"] = _LOGGING
    if names:
        host["Dns"] = [names]
        # A name is first taken as it stands, as in Docker's own networks: a fleet's names have no dots.
        if not any(option.startswith("ndots:") for option in host.get("DnsOptions") or ()):
            host["DnsOptions"] = [*(host.get("DnsOptions") or ()), "ndots:0"]
    # Said by the user for the VM, so the container does not depend on when the VM's resolver learns of it.
    elif spec.network.dns and not host.get("Dns"):
        host["Dns"] = list(spec.network.dns)
    if spec.network.search and not host.get("DnsSearch"):
        host["DnsSearch"] = list(spec.network.search)
    return {**body, "Image": image_id, "HostConfig": host}


def _paths(spec: Spec) -> list[str]:
    return [f"{places.FILES}/{number}" for number in range(len(spec.files))]


def _write_files(spec: Spec) -> None:
    """Files are bind mounts, which a read-only root file system allows too; the folder is closed to all but root."""
    for path, file in zip(_paths(spec), spec.files, strict=True):
        try:
            content = base64.b64decode(file.content, validate=True)
        except ValueError as error:
            raise Problem("spec_rejected", f"file {file.target} is no base64: {error}") from error
        state.write(path, content, mode=int(file.mode, 8), durable=False)
    if spec.files:
        os.chmod(places.LIB, 0o700)


def create(engine: Engine, spec: Spec, image: ImageStatus, *, names: str = "") -> str:
    """Make the container; returns its id. A half-made one of the same name (the agent was restarted) is replaced."""
    _write_files(spec)
    body = create_body(spec, image.id, names=names)
    try:
        try:
            return engine.create(spec.name, body)
        except EngineError as error:
            if error.status != 409:
                raise
            engine.remove(spec.name)
            return engine.create(spec.name, body)
    except (EngineError, HttpError) as error:
        raise engine_problem(error, "container_create_failed") from error


def start(engine: Engine, container: str) -> None:
    """Start the container; raises Problem with what the Engine or runc says."""
    try:
        engine.start(container)
    except (EngineError, HttpError) as error:
        raise engine_problem(error, "container_start_failed") from error


def read(engine: Engine, container: str, image: ImageStatus) -> ContainerStatus:
    """The container as it is now; raises Problem when it is gone or dockerd does not answer."""
    return status_of(inspect(engine, container), image)


def inspect(engine: Engine, container: str) -> dict[str, Any]:
    """What the Engine knows of the container; raises Problem when it is gone or dockerd does not answer."""
    try:
        found = engine.inspect(container)
    except (EngineError, HttpError) as error:
        raise engine_problem(error, "docker_unavailable") from error
    if found is None:
        raise Gone("internal", "the container was removed from inside the VM")
    return found


@dataclass(frozen=True)
class Process:
    """What runs of a container: its process, as this VM's kernel numbers it, and its address on Docker's bridge."""

    pid: int
    bridge_address: str

    def ended(self) -> bool:
        """Whether the kernel says that it ended; the Engine tells so only after it has tidied up behind it."""
        try:
            with open(f"/proc/{self.pid}/stat", encoding="utf-8", errors="replace") as file:
                return file.read().rpartition(")")[2].split()[0] in ("Z", "X")
        except (FileNotFoundError, ProcessLookupError):
            return True


def process_of(found: dict[str, Any]) -> Process | None:
    """The process that the Engine's inspection names; None while there is none."""
    pid = int(found["State"].get("Pid") or 0)
    networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
    address = next((str(address) for one in networks.values() if (address := (one or {}).get("IPAddress"))), "")
    return Process(pid=pid, bridge_address=address) if pid else None


def status_of(found: dict[str, Any], image: ImageStatus) -> ContainerStatus:
    """What the Engine's inspection means for the protocol."""
    now = found["State"]
    engine_state = _STATES.get(now["Status"], now["Status"])
    health = now.get("Health") or {}
    probes = health.get("Log") or [{}]
    finished = _time(now.get("FinishedAt"))
    return ContainerStatus(
        id=found["Id"],
        image=image.name,
        image_id=image.id,
        image_digest=image.digest,
        state=engine_state if engine_state in CONTAINER_STATES else "dead",
        # The Engine says 0 before there was an end.
        exit_code=int(now["ExitCode"]) if finished and engine_state not in ("running", "paused", "created") else None,
        oom=bool(now.get("OOMKilled")),
        health=health["Status"] if health.get("Status") in HEALTH else "none",
        health_output=clip(str(probes[-1].get("Output") or "").strip(), HEALTH_OUTPUT_LIMIT),
        restarts=int(found.get("RestartCount") or 0),
        started_at=_time(now.get("StartedAt")),
        finished_at=finished,
        error=clip(str(now.get("Error") or ""), HEALTH_OUTPUT_LIMIT),
    )


def _time(value: object) -> str:
    return "" if value in (None, _NEVER) else str(value)


def phase_of(container: ContainerStatus) -> str:
    """The phase that a container's state means; one that the Engine restarts has not ended."""
    if container.state in ("running", "paused", "restarting"):
        return "running"
    return "created" if container.state == "created" else "exited"


def reason_of(container: ContainerStatus) -> Reason | None:
    """Why the container is not simply running, where that is no success."""
    if container.state not in ("exited", "dead", "restarting") or (not container.exit_code and not container.oom):
        return None
    text = "ran out of memory and was killed" if container.oom else f"exited with code {container.exit_code}"
    text += f" ({container.error})" if container.error else ""
    text += f"; restarted {container.restarts} times" if container.restarts else ""
    return Reason(code="container_exited", message=clip(f"container {text}", MESSAGE_LIMIT))
