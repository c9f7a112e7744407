# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a container VM has to know of itself at its next boot; no secret is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..protocol import ContainerStatus, ImageStatus, Reason, Spec
from ..wire import ProtocolError, whole
from . import places, state


@dataclass(frozen=True, kw_only=True)
class Record:
    """The VM's own container.

    ``container`` is the Engine's id, empty while there is none. ``ran`` says that
    it ran when this was written and was not ended by itself: the next boot starts
    it again, unless ``restart_no``. ``start_token`` is the last one obeyed. ``dns``
    are the name servers that the user named for the container, ``volumes`` its
    volumes' disks, by uuid.
    """

    nonce: str
    hostname: str
    stop_timeout: int
    restart_no: bool
    log_max_bytes: int
    tty: bool
    image: Mapping[str, Any]
    container: str = ""
    ran: bool = False
    start_token: str = ""
    last: Mapping[str, Any] | None = None
    reason: Mapping[str, Any] | None = None
    log: Mapping[str, Any] = field(default_factory=dict)
    discovery: bool = False
    dns: Sequence[str] = ()
    volumes: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(spec: Spec) -> Record:
        """The record of a container that is yet to be made."""
        return Record(
            nonce=spec.nonce,
            hostname=spec.hostname,
            stop_timeout=spec.stop_timeout,
            restart_no=spec.restart_no,
            log_max_bytes=spec.log_max_bytes,
            tty=bool(spec.container.get("Tty")),
            image=asdict(ImageStatus(name=spec.image, id="")),
            discovery=spec.discovery,
            dns=list((spec.container.get("HostConfig") or {}).get("Dns") or ()),
        )

    @property
    def image_status(self) -> ImageStatus:
        return whole(self.image, "image", ImageStatus)

    @property
    def last_status(self) -> ContainerStatus | None:
        return whole(self.last, "last", ContainerStatus) if self.last else None

    @property
    def last_reason(self) -> Reason | None:
        return whole(self.reason, "reason", Reason) if self.reason else None

    def save(self, *, durable: bool = True) -> None:
        """Write it where the next boot finds it."""
        state.save(places.CONTAINER, asdict(self), durable=durable)


def load() -> Record | None:
    """This VM's record; None on a template."""
    data = state.load(places.CONTAINER)
    if data is None:
        return None
    known = {item.name for item in fields(Record)}
    try:
        return Record(**{name: value for name, value in data.items() if name in known})
    except TypeError as error:
        raise ProtocolError(f"{places.CONTAINER} is not one of ours: {error}", code="internal") from error
