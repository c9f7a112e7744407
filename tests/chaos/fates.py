"""What befalls vCenter, its hosts and the VMs while a run is at work, when, and what the run has to say of it."""

from __future__ import annotations

from dataclasses import dataclass

AWAITED = "awaited"


@dataclass(frozen=True)
class Fate:
    """See ``Fault`` for what the fields mean."""

    act: str
    moment: str
    code: str | tuple[str, ...] = ""
    says: tuple[str, ...] = ()


_ENDED = ("session_lost", "vcenter_unreachable")


def _vcenter(*moments: str) -> tuple[Fate, ...]:
    return tuple(
        Fate(act, moment, _ENDED)
        for moment in moments
        for act in ("session-expired", "vcenter-restarted")
    )  # fmt: skip


_CLONE, _SETTLE, _DELETE = "InstantClone_Task", "ReconfigVM_Task", "Destroy_Task"

_TEMPLATE = (
    Fate("template-unfrozen", _CLONE, "guest_failed", ("its template VM was not frozen any more",)),
    Fate("template-off", _CLONE, "task_failed"),
    Fate("template-deleted", _CLONE, "not_found", ("does not exist",)),
    Fate("host-maintenance", _CLONE, "task_failed", ("maintenance mode",)),
    Fate("host-lost", _CLONE, "vsphere_fault", ("the host does not answer",)),
    Fate("template-unfrozen", AWAITED),
    Fate("template-off", AWAITED),
    Fate("host-maintenance", AWAITED),
    Fate("competitor-takes-the-name", _CLONE, "in_use", ("is taken",)),
)
_AWAITED = (
    Fate("admin-deletes", AWAITED, "guest_failed", ("someone removed its VM meanwhile",)),
    Fate("admin-powers-off", AWAITED, "guest_failed", ("its VM went poweredOff",)),
    Fate("admin-renames", AWAITED),
    Fate("admin-moves", AWAITED),
    Fate("guest-dies", AWAITED, "guest_failed", ("its VM went poweredOff",)),
)

FATES: dict[str, tuple[Fate, ...]] = {
    "build": (
        *_vcenter("CloneVM_Task", "PowerOnVM_Task", AWAITED),
        Fate("admin-deletes", AWAITED, "template_unusable", ("someone removed it meanwhile",)),
        Fate("admin-powers-off", AWAITED, "guest_failed", ("went off before it was ready",)),
        Fate("admin-renames", AWAITED),
        Fate("admin-moves", AWAITED, "template_unusable", ("does not stay as it was made",)),
        Fate("host-lost", AWAITED, "vsphere_fault", ("the host does not answer",)),
        Fate("host-maintenance", AWAITED, "task_failed", ("maintenance mode",)),
        Fate("host-lost", "CloneVM_Task", "vsphere_fault", ("the host does not answer",)),
        Fate("host-maintenance", "CloneVM_Task", "task_failed", ("maintenance mode",)),
    ),
    "deploy": (
        *_vcenter(_CLONE, _SETTLE, AWAITED),
        *_TEMPLATE,
        *_AWAITED,
        Fate("admin-deletes", _SETTLE, "not_found", ("does not exist",)),
        Fate("admin-powers-off", _SETTLE),
        Fate("admin-renames", _SETTLE),
        Fate("admin-moves", _SETTLE),
    ),
    "update": (
        *_vcenter(_CLONE, _DELETE, AWAITED),
        *_TEMPLATE,
        *_AWAITED,
        Fate("admin-deletes", _DELETE, "not_found", ("does not exist",)),
        Fate("admin-powers-off", _DELETE),
        Fate("admin-renames", _DELETE),
        Fate("admin-moves", _DELETE),
    ),
    "remove": (
        *_vcenter("ShutdownGuest", _DELETE),
        Fate("admin-deletes", "ShutdownGuest"),
        Fate("admin-powers-off", "ShutdownGuest"),
        Fate("admin-renames", "ShutdownGuest"),
        Fate("admin-moves", "ShutdownGuest"),
        Fate("admin-deletes", _DELETE),
        Fate("admin-renames", _DELETE),
        Fate("admin-moves", _DELETE),
        Fate("host-lost", _DELETE),
        Fate("host-maintenance", _DELETE),
    ),
}
