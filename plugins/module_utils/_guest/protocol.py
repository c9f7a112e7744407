# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guest protocol, schema 1: what controller and agent say to each other.

Both sides import this file, so it needs nothing but the standard library.
Every document is a frozen dataclass with ``encode()`` (compact JSON, UTF-8) and
``decode()``. Decoding is strict: a missing, unknown or mistyped field raises
:class:`ProtocolError`, because a field that one side does not know is an option
that it would silently ignore. What a guest says is untrusted: decode it, never
index it. What a template alone is told is in :mod:`.orders`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

from . import wire
from .wire import Reader, document, to_json

# Whoever speaks the protocol finds these here, too.
SCHEMA, SPEAKS = wire.SCHEMA, wire.SPEAKS
ProtocolError = wire.ProtocolError
clip = wire.clip

AGENT_VERSION = "0.1.0"

PREFIX = "guestinfo.bonneville."
# host -> guest
KEY_SPEC = PREFIX + "spec"
KEY_PREPARE = PREFIX + "prepare"
KEY_LOGIN = PREFIX + "login"
KEY_FREEZE = PREFIX + "freeze"
KEY_START = PREFIX + "start"
# guest -> host
KEY_STATUS = PREFIX + "status"
KEY_KEY = PREFIX + "key"

# A guest RPC message holds 64 KiB with overhead; all of a VM's guestinfo about 1 MB.
SEALED_LIMIT = 48 * 1024
STATUS_LIMIT = 4 * 1024
# A template lists its images, and says it a few times in its life only.
TEMPLATE_STATUS_LIMIT = 32 * 1024
MESSAGE_LIMIT = 1000
HEALTH_OUTPUT_LIMIT = 256
LOG_MAX_BYTES = 10 * 1024 * 1024

TEMPLATE_PHASES = ("booting", "preparing", "primed", "ready", "freezing", "failed")
CONTAINER_PHASES = (
    "thawed", "network", "pulling", "volumes", "creating", "starting", "running", "created", "exited", "stopping",
    "stopped", "failed",
)  # fmt: skip
CONTAINER_STATES = ("created", "running", "paused", "restarting", "exited", "dead")
HEALTH = ("none", "starting", "healthy", "unhealthy")
PULL = ("missing", "never", "always")
REASONS = (
    "dhcp_no_answer", "unseal_failed", "spec_rejected", "schema_unsupported", "image_missing", "image_pull_failed",
    "wrong_architecture", "command_not_found", "container_create_failed", "container_start_failed", "port_conflict",
    "docker_unavailable", "disk_full", "container_exited", "archive_damaged", "volume_missing", "volume_unusable",
    "settings_failed", "internal", "progress",
)  # fmt: skip


def unread_nonce(sealed: str) -> str:
    """The nonce of a status about a spec that the guest could not read, and so not its nonce: of the sealed text.

    Whoever sealed it can recompute this; accept a status with either.
    """
    return "unread-" + sha256(sealed.encode()).hexdigest()[:32]


# host -> guest ---------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Login:
    """A registry login; ``server`` as in an image name, ``docker.io`` for Docker Hub."""

    server: str
    username: str
    password: str = field(repr=False)

    @classmethod
    def read(cls, r: Reader) -> Login:
        return cls(server=r.text("server"), username=r.text("username"), password=r.text("password"))


@dataclass(frozen=True, kw_only=True)
class GuestNetwork:
    """The clone's address: ``address`` is CIDR or None for DHCP."""

    address: str | None = None
    gateway: str | None = None
    dns: tuple[str, ...] = ()
    search: tuple[str, ...] = ()

    @classmethod
    def read(cls, r: Reader) -> GuestNetwork:
        return cls(
            address=r.text_or_none("address"), gateway=r.text_or_none("gateway"), dns=r.texts("dns"),
            search=r.texts("search"),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SpecFile:
    """A controller's file, put into the container read-only; ``content`` is base64, ``mode`` octal text."""

    target: str
    content: str = field(repr=False)
    mode: str = "0444"

    @classmethod
    def read(cls, r: Reader) -> SpecFile:
        return cls(
            target=r.text("target", pattern=r"/[^\0]*[^\0/]"), content=r.text("content"),
            mode=r.text("mode", pattern=r"[0-7]{3,4}"),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Everything that a clone needs to become its container; travels sealed.

    ``container`` is the body of the Engine's ``POST /containers/create`` without
    ``Image``, which the agent fills with the id of the image that it found.
    ``nonce`` is 32 hex digits, ``seed`` 64; ``stop_timeout`` is in seconds.
    With ``discovery`` the container is a fleet's: it finds the others by their
    names, and they reach its every port, as ``peers`` says. ``volumes`` are those
    that ``container`` mounts by name; their disks come after the clone, as
    ``disks`` says.
    """

    nonce: str
    vm: str
    template_uuid: str
    seed: str = field(repr=False)
    hostname: str
    network: GuestNetwork
    name: str
    image: str
    pull: str = "missing"
    login: Login | None = None
    container: Mapping[str, Any] = field(repr=False)
    files: tuple[SpecFile, ...] = ()
    start: bool = True
    restart_no: bool = False
    stop_timeout: int = 10
    log_max_bytes: int = LOG_MAX_BYTES
    discovery: bool = False
    volumes: tuple[str, ...] = ()
    schema: int = SCHEMA

    def encode(self) -> bytes:
        """The plaintext to seal."""
        return to_json(asdict(self))

    @staticmethod
    def decode(text: str | bytes) -> Spec:
        """Read a spec; raises ProtocolError."""
        return document(text, "spec", Spec)

    @classmethod
    def read(cls, r: Reader) -> Spec:
        return cls(
            nonce=r.text("nonce", pattern="[0-9a-f]{32}"), vm=r.text("vm", pattern="(?s).+"),
            template_uuid=r.text("template_uuid"), seed=r.text("seed", pattern="[0-9a-f]{64}"),
            hostname=r.text("hostname", pattern=r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})"),
            network=r.one("network", GuestNetwork),
            # The Engine refuses names of one character.
            name=r.text("name", pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]+"), image=r.text("image", pattern=r"\S+"),
            pull=r.text("pull", one_of=PULL), login=r.one_or_none("login", Login),
            container=r.mapping("container"), files=r.each("files", SpecFile), start=r.flag("start"),
            restart_no=r.flag("restart_no"), stop_timeout=r.integer("stop_timeout"),
            log_max_bytes=r.integer("log_max_bytes"), discovery=r.flag("discovery"),
            volumes=r.texts("volumes", pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]+"), schema=r.integer("schema"),
        )  # fmt: skip


# guest -> host ---------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a phase is what it is; ``code`` is one of REASONS."""

    code: str
    message: str

    @classmethod
    def read(cls, r: Reader) -> Reason:
        return cls(code=r.text("code"), message=r.text("message"))


@dataclass(frozen=True, kw_only=True)
class ContainerStatus:
    """The container as the Engine sees it.

    ``exit_code`` is None until it ended once; times are RFC 3339, as the Engine gives them.
    """

    id: str
    image: str
    image_id: str
    image_digest: str = ""
    state: str = "created"
    exit_code: int | None = None
    oom: bool = False
    health: str = "none"
    health_output: str = ""
    restarts: int = 0
    started_at: str = ""
    finished_at: str = ""
    error: str = ""

    @classmethod
    def read(cls, r: Reader) -> ContainerStatus:
        return cls(
            id=r.text("id"), image=r.text("image"), image_id=r.text("image_id"), image_digest=r.text("image_digest"),
            state=r.text("state", one_of=CONTAINER_STATES), exit_code=r.integer_or_none("exit_code"),
            oom=r.flag("oom"), health=r.text("health", one_of=HEALTH), health_output=r.text("health_output"),
            restarts=r.integer("restarts"), started_at=r.text("started_at"), finished_at=r.text("finished_at"),
            error=r.text("error"),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class NetworkStatus:
    """The guest's address on its VM's network."""

    ip: str
    mac: str
    hostname: str
    prefix: int
    gateway: str

    @classmethod
    def read(cls, r: Reader) -> NetworkStatus:
        return cls(
            ip=r.text("ip"), mac=r.text("mac"), hostname=r.text("hostname"), prefix=r.integer("prefix"),
            gateway=r.text("gateway"),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LogStatus:
    """How much of the container's output stands in the log port's file, and whether the cap was reached."""

    bytes: int
    capped: bool

    @classmethod
    def read(cls, r: Reader) -> LogStatus:
        return cls(bytes=r.integer("bytes"), capped=r.flag("capped"))


@dataclass(frozen=True, kw_only=True)
class ImageStatus:
    """An image that the template holds; ``digest`` is the registry's, empty for a loaded archive."""

    name: str
    id: str
    digest: str = ""
    size: int = 0

    @classmethod
    def read(cls, r: Reader) -> ImageStatus:
        return cls(name=r.text("name"), id=r.text("id"), digest=r.text("digest"), size=r.integer("size"))


@dataclass(frozen=True, kw_only=True)
class Status:
    """What the agent says of itself; ``nonce`` is the spec's, or the generation on a template.

    A status whose nonce is not the one expected is stale or inherited: ignore it.
    ``time`` is the guest's clock, ``timings`` seconds since the thaw (or the boot)
    at which each phase was entered. ``peers`` is the version of the fleet's
    members that the guest goes by, empty outside of a fleet.
    """

    role: str
    nonce: str
    boot: str
    seq: int
    time: float
    phase: str
    reason: Reason | None = None
    container: ContainerStatus | None = None
    network: NetworkStatus | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    log: LogStatus | None = None
    images: tuple[ImageStatus, ...] = ()
    memory_mb: int = 0
    engine: str = ""
    peers: str = ""
    agent: str = AGENT_VERSION
    speaks: tuple[int, int] = SPEAKS
    schema: int = SCHEMA

    def encode(self) -> str:
        """The value of KEY_STATUS; raises ProtocolError when it would be over its limit."""
        raw = to_json(asdict(self))
        limit = TEMPLATE_STATUS_LIMIT if self.role == "template" else STATUS_LIMIT
        if len(raw) > limit:
            raise ProtocolError(f"status of {len(raw)} bytes is over {limit}", code="internal")
        return raw.decode()

    @staticmethod
    def decode(text: str | bytes) -> Status:
        """Read a status; raises ProtocolError (``schema_unsupported`` for an agent that we do not speak with)."""
        return document(text, "status", Status)

    @classmethod
    def read(cls, r: Reader) -> Status:
        role = r.text("role", one_of=("template", "container"))
        return cls(
            role=role, nonce=r.text("nonce"), boot=r.text("boot"), seq=r.integer("seq"), time=r.number("time"),
            phase=r.text("phase", one_of=TEMPLATE_PHASES if role == "template" else CONTAINER_PHASES),
            reason=r.one_or_none("reason", Reason), container=r.one_or_none("container", ContainerStatus),
            network=r.one_or_none("network", NetworkStatus), timings=r.numbers("timings"),
            log=r.one_or_none("log", LogStatus), images=r.each("images", ImageStatus),
            memory_mb=r.integer("memory_mb"), engine=r.text("engine"), peers=r.text("peers"), agent=r.text("agent"),
            speaks=r.pair("speaks"), schema=r.integer("schema"),
        )  # fmt: skip
