# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the work on a template VM waits for, and how its guest's words are read.

The work on each VM is a generator (``build``) that yields one of these and is
sent what came of it; ``driver`` waits for all of them side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    AgentUnsupported,
    BonnevilleError,
    GuestFailed,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import ON
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import VmState


@dataclass(frozen=True, kw_only=True)
class TaskEnds:
    """Wait for a task; its result is sent back, its fault thrown in."""

    task: Any
    what: str
    obj: str


@dataclass(frozen=True, kw_only=True)
class VmShows:
    """Wait until ``find`` answers with something for a VM's state; that is sent back.

    What ``find`` raises is thrown in, and after ``seconds`` a GuestSilent that
    says ``awaited``.
    """

    moid: str
    name: str
    find: Callable[[VmState], Any]
    awaited: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Wait until then."""

    until: Deadline


@dataclass(frozen=True, kw_only=True)
class OthersDid:
    """Wait until the work on other VMs made ``find`` answer with something."""

    find: Callable[[], Any]


class Room:
    """Room for so many at work; the others wait until one leaves."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._inside: set[str] = set()

    def enter(self, key: str) -> OthersDid:
        """To be yielded; who is inside already stays."""
        return OthersDid(find=lambda: self._take(key))

    def leave(self, key: str) -> None:
        self._inside.discard(key)

    def _take(self, key: str) -> bool:
        if len(self._inside - {key}) >= self._size:
            return False
        self._inside.add(key)
        return True


Awaited: TypeAlias = "TaskEnds | VmShows | Pause | OthersDid"
Flow = Generator[Awaited, Any, None]
Waiting = Generator[Awaited, Any, Any]

_NEXT_STEPS = {
    "image_pull_failed": "Check the image's name, the registry and registry_logins; a registry without TLS belongs "
    "into insecure_registries",
    "image_missing": "Check the image's name and tag in images",
    "wrong_architecture": "Use an image for linux/amd64",
    "disk_full": "Ask for a larger disk_gb, or for fewer images",
    "archive_damaged": "Write the archive again with docker save",
    "docker_unavailable": "Look at the VM's console: journalctl -u docker",
    "settings_failed": "Check the option that this is about, and that the source is Photon OS or has what it has",
    "unseal_failed": "Run again; if it stays, look at the VM's console: journalctl -u bonneville-agent",
}


class Told:
    """What a VM's agent said and was passed on, through all waits of its build."""

    def __init__(self) -> None:
        self._lines: set[str] = set()
        # The last word of each boot, in their order.
        self._seq: dict[str, int] = {}

    def is_news(self, line: str, status: protocol.Status) -> bool:
        """Whether a line is to be told now: once, and not after a later one."""
        boot = next(reversed(self._seq), status.boot)
        if (status.boot != boot and status.boot in self._seq) or status.seq < self._seq.get(status.boot, 0):
            return False
        self._seq[status.boot] = status.seq
        news = line not in self._lines
        self._lines.add(line)
        return news


class Spoken:
    """Finds an agent's word of one of some phases in a VM's states, and notices when it can no longer come."""

    def __init__(
        self,
        *,
        name: str,
        generation: str,
        phases: tuple[str, ...],
        progress: Callable[[str], None] | None = None,
        told: Told | None = None,
    ) -> None:
        self._name, self._generation, self._phases = name, generation, phases
        self._progress = progress
        self._told = told or Told()
        # A Watch may still show what was before the VM was powered on.
        self._was_on = False

    def __call__(self, state: VmState) -> tuple[protocol.Status, str] | None:
        """The status and the published key; raises GuestFailed and AgentUnsupported."""
        self._was_on = self._was_on or state.power == ON
        status = self._status(state)
        if status is None:
            if self._was_on and state.power != ON:
                raise GuestFailed(
                    "The template VM went off before it was ready",
                    obj=self._name,
                    why=f"it is {state.power}",
                    next_step="Look at its events and its console in vCenter, then run again",
                )
            return None
        self._tell(status)
        if status.phase == "failed":
            raise _failure(self._name, status)
        if status.phase not in self._phases:
            return None
        return status, state.extra_config.get(protocol.KEY_KEY, "")

    def _status(self, state: VmState) -> protocol.Status | None:
        text = state.extra_config.get(protocol.KEY_STATUS, "")
        try:
            status = protocol.Status.decode(text) if text else None
        except protocol.ProtocolError as error:
            if error.code != "schema_unsupported":
                return None
            raise self._unsupported(str(error)) from error
        if status is None or status.role != "template" or status.nonce != self._generation:
            return None
        if status.speaks[0] > protocol.SPEAKS[1] or protocol.SPEAKS[0] > status.speaks[1]:
            raise self._unsupported(f"it speaks {status.speaks[0]} to {status.speaks[1]}")
        return status

    def _unsupported(self, why: str) -> AgentUnsupported:
        ours = f"{protocol.SPEAKS[0]} to {protocol.SPEAKS[1]}"
        return AgentUnsupported(
            "Cannot talk to the agent of",
            obj=self._name,
            why=f"{why}, this collection speaks {ours}",
            next_step="Use a source without an agent of another version of this collection",
        )

    def _tell(self, status: protocol.Status) -> None:
        line = f"{status.phase}, {status.reason.message}" if status.reason else status.phase
        if self._progress and self._told.is_news(line, status):
            self._progress(f"{self._name}: {line}")


def frozen(name: str, generation: str) -> Callable[[VmState], bool | None]:
    """Finds that a VM froze; raises GuestFailed when its agent says that it could not."""
    was_on = False

    def find(state: VmState) -> bool | None:
        nonlocal was_on
        if state.frozen:
            return True
        was_on = was_on or state.power == ON
        text = state.extra_config.get(protocol.KEY_STATUS, "")
        try:
            status = protocol.Status.decode(text) if text else None
        except protocol.ProtocolError:
            status = None
        if status and status.nonce == generation and status.phase == "failed":
            raise _failure(name, status)
        if was_on and state.power != ON:
            raise GuestFailed(
                "The template VM went off instead of freezing",
                obj=name,
                why=f"it is {state.power}",
                next_step="Look at its events in vCenter, then run again",
            )
        return None

    return find


def powered_off(state: VmState) -> bool | None:
    return None if state.power == ON else True


def _failure(name: str, status: protocol.Status) -> BonnevilleError:
    reason = status.reason or protocol.Reason(code="internal", message="it gave no reason")
    return GuestFailed(
        "The agent could not prepare the template VM",
        obj=name,
        why=reason.message,
        next_step=_NEXT_STEPS.get(reason.code, "Look at the VM's console: journalctl -u bonneville-agent"),
        details={"reason": {"code": reason.code, "message": reason.message}},
    )
