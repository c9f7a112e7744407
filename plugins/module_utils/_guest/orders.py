# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the controller tells a template while it is prepared; no container needs it. A part of the guest protocol."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from .protocol import SCHEMA, Login
from .settings import Settings
from .wire import Reader, document, to_json


@dataclass(frozen=True, kw_only=True)
class PrepareImage:
    """An image that the template holds; ``pull`` asks the registry even where it is present."""

    name: str
    pull: bool = True

    @classmethod
    def read(cls, r: Reader) -> PrepareImage:
        return cls(name=r.text("name", pattern=r"\S+"), pull=r.flag("pull"))


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An image archive on a raw disk: the disk's ``uuid``, and the archive's ``size`` and ``sha256`` on it."""

    uuid: str
    size: int
    sha256: str

    @classmethod
    def read(cls, r: Reader) -> Archive:
        return cls(
            uuid=r.text("uuid", pattern="[0-9A-Fa-f-]{32,36}"), size=r.integer("size", least=1),
            sha256=r.text("sha256", pattern="[0-9a-f]{64}"),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """The order to a template; no secret in it, it travels in clear.

    ``prime`` True: fetch the images, then say ``primed``. False: only get ready
    to be frozen, then say ``ready``. ``template_uuid`` is the VM's instanceUuid,
    which every sealed spec has to name. ``settings`` come with the order to prime
    alone: what they amount to is on the disk afterwards.
    """

    template: str
    generation: str
    prime: bool
    images: tuple[PrepareImage, ...] = ()
    archives: tuple[Archive, ...] = ()
    login_sealed: bool = False
    insecure_registries: tuple[str, ...] = ()
    bridge_cidr: str | None = None
    settings: Settings | None = None
    template_uuid: str = ""
    schema: int = SCHEMA

    def encode(self) -> str:
        """The value of KEY_PREPARE."""
        return to_json(asdict(self)).decode()

    @staticmethod
    def decode(text: str | bytes) -> Prepare:
        """Read the order; raises ProtocolError."""
        return document(text, "prepare", Prepare)

    @classmethod
    def read(cls, r: Reader) -> Prepare:
        return cls(
            template=r.text("template"), generation=r.text("generation"), prime=r.flag("prime"),
            images=r.each("images", PrepareImage), archives=r.each("archives", Archive),
            login_sealed=r.flag("login_sealed"), insecure_registries=r.texts("insecure_registries"),
            bridge_cidr=r.text_or_none("bridge_cidr"), settings=r.one_or_none("settings", Settings),
            template_uuid=r.text("template_uuid"),
            schema=r.integer("schema"),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Logins:
    """Registry logins for priming; travels sealed. ``nonce`` is the template's generation."""

    nonce: str
    template: str
    logins: tuple[Login, ...]
    schema: int = SCHEMA

    def encode(self) -> bytes:
        """The plaintext to seal."""
        return to_json(asdict(self))

    @staticmethod
    def decode(text: str | bytes) -> Logins:
        """Read the logins; raises ProtocolError."""
        return document(text, "login", Logins)

    @classmethod
    def read(cls, r: Reader) -> Logins:
        return cls(
            nonce=r.text("nonce"),
            template=r.text("template"),
            logins=r.each("logins", Login),
            schema=r.integer("schema"),
        )
