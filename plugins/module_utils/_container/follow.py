# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listening to containers on their way: what their agents say, until each is where it is to be, or cannot be.

A status counts only with the nonce of the clone itself. A failure that the
agent tells ends the wait at once; silence ends it at the deadline, with the
last state seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ON, UNDER_WAY, read_status
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    AgentUnsupported,
    BonnevilleError,
    ContainerFailed,
    GuestFailed,
    GuestSilent,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import VmState, Watch

CREATED = "created"
RUNNING = "running"
HEALTHY = "healthy"
WELL = "well"  # running, and healthy where there is a health check
BEGUN = "begun"  # running, or ended already, however
ENDED = "ended"
SPEAKING = "speaking"  # any word at all

# After a start order an agent may first tell once more how the container ended before; a real end stays.
_OLD_END_SECONDS = 5.0

_NEXT_STEPS = {
    "dhcp_no_answer": "See whether the network has a DHCP server, or set ip_address",
    "image_missing": "Add the image to the template, or set pull: missing",
    "image_pull_failed": "Check the image's name, that the VM reaches the registry, and registry_login",
    "wrong_architecture": "Use an image for the template's architecture",
    "command_not_found": "Check command and entrypoint against what the image holds",
    "port_conflict": "Publish another port",
    "volume_missing": "See the volume's disk in vCenter, then run again",
    "volume_unusable": "See what is on the disk, and give the volume another one",
    "disk_full": "Use a template with a larger disk, or a smaller image",
    "unseal_failed": "Rebuild the template VM with photon_template",
}


@dataclass
class Follow:
    """One container that is listened to.

    ``goal`` is one of this module's words, ``limit`` the time for it, and
    ``healthy_seconds`` what a health check gets once the container runs.
    ``before`` is the status that stood when it was ordered to start again, or was booting,
    ``unread`` the nonce of an agent that could not read its spec. ``began`` is
    where ``seconds`` are counted from. ``steady_seconds`` is how long it has to
    stay at its goal; ``was_on`` holds once its VM was seen to be on, or is known to
    have been; ``on_begun`` is called once it runs or has ended, and from then on ``begun`` holds.
    """

    moid: str
    name: str
    nonce: str = field(repr=False)
    goal: str
    limit: Deadline
    healthy_seconds: float = 0.0
    began: float = field(default_factory=time.monotonic)
    unread: str = field(default="", repr=False)
    before: protocol.Status | None = None
    restarted: bool = False
    was_on: bool = False
    steady_seconds: float = 0.0
    on_begun: Callable[[], None] | None = field(default=None, repr=False)
    status: protocol.Status | None = None
    error: BonnevilleError | None = None
    begun: bool = False
    over: bool = False
    ip: str = ""
    seconds: float = 0.0
    _was_under_way: bool = False
    _old_end: Deadline | None = None
    _awaits_health: bool = False
    _steady: Deadline | None = None
    _raw: str = ""
    _power: str = ""

    @property
    def nearest(self) -> Deadline:
        """When it has to be looked at again, whatever happens."""
        waits = [one for one in (self._old_end, self._steady) if one]
        return min([*waits, self.limit], key=Deadline.remaining)

    def look(self, state: VmState) -> bool:
        """Take in what the VM shows; whether it is over."""
        if self.over:
            return True
        try:
            reached = self._judge(state)
        except BonnevilleError as error:
            self.error, reached = error, True
        if reached and not self.error and self.steady_seconds:
            self._steady = self._steady or Deadline(self.steady_seconds)
            self.limit = self._steady  # its goal was reached in time
            reached = self._steady.passed
        elif not reached and self.limit.passed:
            self.error, reached = self._late(), True
        if reached:
            self.over, self.seconds = True, time.monotonic() - self.began
        return self.over

    def _judge(self, state: VmState) -> bool:
        self._power, self.ip = state.power, state.ip or self.ip
        if state.gone:
            raise self._failure(GuestFailed, "someone removed its VM meanwhile", "Run again")
        self.was_on = self.was_on or state.power == ON
        if self.was_on and state.power and state.power != ON:
            raise self._failure(
                GuestFailed, f"its VM went {state.power}", "See the VM's events in vCenter, then run again"
            )
        self._raw = state.extra_config.get(protocol.KEY_STATUS, "")
        status = self._fresh(self._raw)
        if status is None:
            self._check_role(self._raw)
            return False
        self.status = status
        return self._reached(status)

    def _fresh(self, text: str) -> protocol.Status | None:
        status = read_status(text, nonce=self.nonce) or read_status(text, nonce=self.unread)
        if status is None:
            self._check_schema(text)
            return None
        if not (status.speaks[0] <= protocol.SPEAKS[1] and protocol.SPEAKS[0] <= status.speaks[1]):
            raise self._unsupported(f"its agent speaks {status.speaks[0]} to {status.speaks[1]}")
        before = self.before
        old = before is not None and status.boot == before.boot and status.seq <= before.seq
        return None if old else status

    def _check_role(self, text: str) -> None:
        """A clone of a VM that was not frozen goes on as a template does, and nobody in it looks for a container."""
        try:
            role = protocol.Status.decode(text).role if text else ""
        except protocol.ProtocolError:
            return
        if role == "template":
            raise self._failure(
                GuestFailed,
                "its template VM was not frozen any more when it was cloned",
                "Freeze it again with photon_template, then run again",
            )

    def _check_schema(self, text: str) -> None:
        """A document that we cannot read may be this clone's own nevertheless: its nonce stands in it."""
        if not text or self.nonce not in text:
            return
        try:
            protocol.Status.decode(text)
        except protocol.ProtocolError as error:
            if error.code == "schema_unsupported":
                raise self._unsupported(str(error)) from error

    def _reached(self, status: protocol.Status) -> bool:
        phase = status.phase
        if self.goal == SPEAKING:
            return True
        self._was_under_way = self._was_under_way or phase in UNDER_WAY or phase == "running"
        if phase in ("running", "exited") and self.on_begun and not (self.restarted and not self._was_under_way):
            self.on_begun()
            self.begun, self.on_begun = True, None
        if phase == "failed":
            raise self._told(GuestFailed, status)
        if phase == "exited":
            return self._ended(status)
        self._old_end = None
        if phase == "created":
            return self.goal == CREATED
        if phase != "running":
            return False
        if self.goal in (CREATED, RUNNING, BEGUN):
            return True
        return self._healthy(status) if self.goal in (HEALTHY, WELL) else False

    def _ended(self, status: protocol.Status) -> bool:
        if self.goal == CREATED:
            return True
        if self.restarted and not self._was_under_way:
            self._old_end = self._old_end or Deadline(_OLD_END_SECONDS)
            if not self._old_end.passed:
                return False
        code = status.container.exit_code if status.container else None
        if self.goal in (BEGUN, ENDED) or (self.goal in (RUNNING, WELL) and not code):
            return True
        raise self._told(ContainerFailed, status, default=f"it ended with exit code {code}")

    def _healthy(self, status: protocol.Status) -> bool:
        health = status.container.health if status.container else "none"
        if health == "healthy":
            return True
        if health == "none" and self.goal == WELL:
            return True
        if health == "none":
            raise self._failure(
                ContainerFailed,
                "it runs, and neither its image nor the task has a health check",
                "Add a healthcheck, or use state: started",
            )
        if health == "unhealthy":
            output = status.container.health_output if status.container else ""
            raise self._failure(
                ContainerFailed,
                "it runs and is unhealthy" + (f"; its health check says: {output}" if output else ""),
                "See its output with container_vm_info and logs",
            )
        if not self._awaits_health:
            self._awaits_health, self.limit = True, Deadline(self.healthy_seconds)
        return False

    def _told(self, kind: type[BonnevilleError], status: protocol.Status, *, default: str = "") -> BonnevilleError:
        code = "container_exited" if kind is ContainerFailed else "internal"
        reason = status.reason or protocol.Reason(code=code, message=default or "its agent gives no reason")
        return self._failure(
            kind,
            reason.message,
            _NEXT_STEPS.get(reason.code, "See its output with container_vm_info and logs"),
            reason=reason,
        )

    def _failure(
        self, kind: type[BonnevilleError], why: str, next_step: str, *, reason: protocol.Reason | None = None
    ) -> BonnevilleError:
        details = {"name": self.name, "phase": self.status.phase if self.status else ""}
        told = {"reason": {"code": reason.code, "message": reason.message}} if reason else {}
        return kind(
            "The container did not come up", obj=self.name, why=why, next_step=next_step, details={**details, **told}
        )

    def _unsupported(self, why: str) -> BonnevilleError:
        return self._failure(
            AgentUnsupported,
            f"{why}, this collection speaks {protocol.SPEAKS[0]} to {protocol.SPEAKS[1]}",
            "Rebuild its template with photon_template of this version",
        )

    def _late(self) -> BonnevilleError:
        seconds = self.healthy_seconds if self._awaits_health else self.limit.seconds
        return GuestSilent(
            "Gave up on the container",
            obj=self.name,
            why=f"{seconds:g} s were not enough for it to be {self.goal}; last seen: {self._last()}",
            next_step="Raise healthy_wait_timeout"
            if self._awaits_health
            else "See the VM's console in vCenter, or raise timeout",
            details={"name": self.name, "last_seen": self._last()},
        )

    def _last(self) -> str:
        if self.status:
            health = self.status.container.health if self.status.container else "none"
            said = f"its agent said '{self.status.phase}'" + (f", health {health}" if health != "none" else "")
            return said + (f" ({self.status.reason.message})" if self.status.reason else "")
        if not self._power:
            return "nothing"
        if self._raw and read_status(self._raw, nonce=self.nonce) is None:
            return f"the VM is {self._power}, and what is said there is not of this clone"
        return f"the VM is {self._power}, and its agent said nothing"


def follow_all(watch: Watch, follows: Sequence[Follow], *, between: Callable[[], bool] = lambda: False) -> None:
    """Listen until every one is over; their outcomes stand in them.

    Args:
        between: is called whenever something was heard; true if it did something, and so may have heard more.
    """
    pending = [one for one in follows if not one.over]
    watch.add(vms=[one.moid for one in pending])
    if any(one.limit.passed for one in pending):
        watch.wait(Deadline(0.0))  # what others held up, so that its time is over, may be well all the same
    while True:
        pending = [one for one in pending if not one.look(watch.vms[one.moid])]
        if between():
            continue
        if not pending:
            return
        nearest = min((one.nearest for one in pending), key=Deadline.remaining)
        watch.pause(nearest)
        watch.wait(nearest)
