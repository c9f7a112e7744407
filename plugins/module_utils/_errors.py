# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one exception tree of the collection.

Every failure that a user can meet is raised as a :class:`BonnevilleError` of
the class that names its kind. An error always answers four questions: what
failed, which object, why, and what to do next. ``_run.py`` turns it into
``msg`` and ``error_code``; nothing else catches it for display.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class BonnevilleError(Exception):
    """A failure in words that a user can act on.

    Args:
        what: what could not be done, for example ``Cannot log in to vCenter``.
        obj: the object that it was about, in the user's words.
        why: the cause, as far as it is known.
        next_step: what the user can do about it.
        details: machine-readable additions, returned beside ``msg``; never secrets.
    """

    code = "error"

    def __init__(
        self,
        what: str,
        *,
        obj: str = "",
        why: str = "",
        next_step: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self.what = what.rstrip(".")
        self.obj = obj
        self.why = why.rstrip(".")
        self.next_step = next_step.rstrip(".")
        self.details: dict[str, Any] = dict(details or {})
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The failure as sentences: ``WHAT 'OBJECT': WHY. NEXT STEP.``"""
        head = f"{self.what} '{self.obj}'" if self.obj else self.what
        head = f"{head}: {self.why}" if self.why else head
        return f"{head}. {self.next_step}." if self.next_step else f"{head}."

    def add(self, words: str) -> None:
        """Say more of the cause, as a part of its sentence."""
        self.why = (f"{self.why}; {words}" if self.why else words).rstrip(".")


class Several(BonnevilleError):
    """More than one failure of one run; each keeps its own words."""

    code = "several"

    def __init__(
        self, what: str, errors: Iterable[BonnevilleError], *, details: Mapping[str, Any] | None = None
    ) -> None:
        self.errors = tuple(errors)
        codes = {error.code for error in self.errors}
        super().__init__(
            what,
            why=" ".join(error.message for error in self.errors),
            details={**(details or {}), "errors": [{"error_code": e.code, "msg": e.message} for e in self.errors]},
        )
        # One cause that hit many objects is still that one cause.
        if len(codes) == 1:
            self.code = codes.pop()


# Before anything begins
class LibraryMissing(BonnevilleError):
    """A Python library that the module needs is not installed on the host that runs the task."""

    code = "library_missing"


# Reaching vCenter
class Unreachable(BonnevilleError):
    """vCenter does not answer at the address given."""

    code = "vcenter_unreachable"


class LoginRefused(BonnevilleError):
    """vCenter refuses the user name or password."""

    code = "login_refused"


class CertificateUntrusted(BonnevilleError):
    """vCenter's TLS certificate is not trusted by this controller."""

    code = "certificate_untrusted"


class ApiUnsupported(BonnevilleError):
    """The endpoint is no vCenter, or its API is older than 6.7."""

    code = "api_unsupported"


class PermissionMissing(BonnevilleError):
    """The user lacks a privilege on an object; both are named."""

    code = "permission_missing"


class SessionLost(BonnevilleError):
    """The session ended in the middle and could not be renewed."""

    code = "session_lost"


# What the user asked for
class InvalidOption(BonnevilleError):
    """An option is missing or unknown, or its value cannot be meant as it stands."""

    code = "invalid_option"


class Unsupported(BonnevilleError):
    """Docker knows this; a VM per container cannot honour it."""

    code = "unsupported"


class SpecTooLarge(BonnevilleError):
    """The sealed spec is over 48 KiB, more than guestinfo carries."""

    code = "spec_too_large"


class NotFound(BonnevilleError):
    """A named object does not exist; close matches are listed."""

    code = "not_found"


class Ambiguous(BonnevilleError):
    """A name fits more than one object."""

    code = "ambiguous"


class ForeignVm(BonnevilleError):
    """A VM of the wanted name is not ours; it is left alone."""

    code = "foreign_vm"


class LeaseLost(BonnevilleError):
    """The run's own lease was lost in the middle, so it stopped where it was."""

    code = "lease_lost"


class PlanDiffers(BonnevilleError):
    """What would be done is not the plan that was expected; nothing was changed."""

    code = "plan_differs"


class DependencyFailed(BonnevilleError):
    """A service was not started, since one that it depends on is not as it has to be."""

    code = "dependency_failed"


class InUse(BonnevilleError):
    """An object cannot be removed or changed while others depend on it."""

    code = "in_use"


class Locked(BonnevilleError):
    """Another run holds the lease; the holder is named."""

    code = "locked"


# What vSphere says
class TemplateUnusable(BonnevilleError):
    """No frozen template VM on a host in service, or one of a wrong kind."""

    code = "template_unusable"


class CapacityShort(BonnevilleError):
    """Not enough memory, swap-file space or disk for what was asked."""

    code = "capacity_short"


class TaskFailed(BonnevilleError):
    """A vCenter task ended in a fault."""

    code = "task_failed"


class VsphereFault(BonnevilleError):
    """vCenter answered a call with a fault that has no class of its own here."""

    code = "vsphere_fault"


class OvaInvalid(BonnevilleError):
    """The OVA is truncated, damaged, or not one that can be used."""

    code = "ova_invalid"


# What the guest says
class GuestFailed(BonnevilleError):
    """The agent reported a failure; ``details['reason']`` has its code."""

    code = "guest_failed"


class GuestSilent(BonnevilleError):
    """The agent did not say what was awaited before the deadline."""

    code = "guest_silent"


class AgentUnsupported(BonnevilleError):
    """The template's agent speaks no protocol version that we speak."""

    code = "agent_unsupported"


class SealBroken(BonnevilleError):
    """The template's sealing key is not the one that its marks record."""

    code = "seal_broken"


class ContainerFailed(BonnevilleError):
    """The container ended, or never became healthy, when it was to run."""

    code = "container_failed"


def codes() -> dict[str, str]:
    """Every ``error_code`` with the first sentence of its class, for documents and tests."""
    found: dict[str, str] = {}
    pending: list[type[BonnevilleError]] = [BonnevilleError]
    while pending:
        cls = pending.pop()
        found[cls.code] = (cls.__doc__ or "").strip().splitlines()[0]
        pending.extend(cls.__subclasses__())
    return found
