"""What may go wrong, as data: each fault, the moment that it strikes at, and exactly what a run has to say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.fates import FATES

Rule = Mapping[str, Any]

BUSY = ("TaskInProgress", "ResourceInUse")
READS = ("Login", "RetrieveServiceContent", "RetrievePropertiesEx", "CreateFilter", "WaitForUpdatesEx")
CHANGES = {
    "build": ("CloneVM_Task", "ReconfigVM_Task", "PowerOnVM_Task"),
    "deploy": ("InstantClone_Task", "ReconfigVM_Task"),
    "update": ("InstantClone_Task", "ReconfigVM_Task", "ShutdownGuest", "Destroy_Task"),
    "remove": ("ShutdownGuest", "Destroy_Task"),
}
OPERATIONS = tuple(CHANGES)
# A full clone, and a change of devices, are not made twice: where their answer was lost, it is told.
ONCE = (("build", "CloneVM_Task"), ("build", "ReconfigVM_Task"))


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault of one operation.

    Attributes:
        rules: the lab's fault rules; guests: rules of scripted guests.
        act: what an admin or fate does, by its name in ``World``, once ``moment`` has come: a SOAP method was
            called, or ``awaited``, a guest is waited for.
        code: the ``error_code`` that the run has to fail with, or several of which it has to be one; without any
            it has to pass unseen.
        says: words that all have to be in the message.
        leaves: what stays at vCenter that no run can help: a session until it times out, since nobody could end it,
            and the admin's own breach of what others depend on.
        moved: someone has moved a VM, and there it stays; a template's is brought back.
        renamed: someone has renamed a template's VM, which then goes by its marks.
    """

    name: str
    rules: tuple[Rule, ...] = ()
    guests: tuple[Rule, ...] = ()
    act: str = ""
    moment: str = ""
    code: str | tuple[str, ...] = ""
    says: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    leaves: tuple[str, ...] = ()
    moved: bool = False
    renamed: bool = False

    @property
    def codes(self) -> tuple[str, ...]:
        return (self.code,) if isinstance(self.code, str) else self.code


def transient(operation: str) -> Iterable[Fault]:
    """What passes by itself: twice in a row at each call that the operation makes."""
    for method in (*READS, *CHANGES[operation]):
        changes = method in CHANGES[operation]
        for fault in ("http503", "reset"):
            if fault == "reset" and (method == "Login" or (operation, method) in ONCE):
                continue  # it may have been carried out: told, below
            yield Fault(
                name=f"{method}-{fault}",
                rules=({"method": method, "fault": fault, "times": 2},),
            )
        if changes and (operation, method) not in ONCE:
            rule = {"method": method, "fault": "reset", "after": True}
            yield Fault(name=f"{method}-answer-lost", rules=(rule,))
        if not method.endswith("_Task"):
            continue
        for fault in BUSY:
            for task in (False, True):
                rule = {"method": method, "fault": fault, "task": task, "times": 2}
                yield Fault(
                    name=f"{method}-{fault}-{'task' if task else 'call'}",
                    rules=(rule,),
                )


# By the fault's type: its error_code, and what the message has to name.
_TOLD = {
    "InsufficientMemoryResourcesFault": ("capacity_short", ("memory",)),
    "InvalidState": ("task_failed", ("state does not allow",)),
    "DuplicateName": ("in_use", ("is taken",)),
    "DisallowedMigrationDeviceAttached": ("task_failed", ("a device is attached",)),
    "NoDiskSpace": ("capacity_short", ("is full",)),
    "RequestCanceled": ("task_failed", ("someone cancelled the task",)),
    "NoPermission": ("permission_missing", ("is missing",)),
    "SystemError": ("vsphere_fault", ("vCenter says SystemError",)),
}


def lasting(operation: str) -> Iterable[Fault]:
    """What has to be told: tasks that fail, with their work done or not, or never end; a vCenter that hangs."""
    for method in CHANGES[operation]:
        if not method.endswith("_Task"):
            continue
        for fault, (code, says) in _TOLD.items():
            for after in (False, True):
                # Whoever fails to delete what is gone has what was wanted.
                unseen = method == "Destroy_Task" and after
                yield Fault(
                    name=f"{method}-{fault}" + ("-after" if after else ""),
                    rules=({"method": method, "fault": fault, "task": True, "after": after},),
                    code="" if unseen else code,
                    says=() if unseen else says,
                )
        busy = {"method": method, "fault": "TaskInProgress", "task": True, "times": -1}
        yield Fault(name=f"{method}-stays-busy", rules=(busy,), code="in_use", says=("another task works on it",))
    for method in [method for one, method in ONCE if one == operation]:
        for after in (False, True):
            lost = {"method": method, "fault": "reset", "after": after}
            yield Fault(
                name=f"{method}-{'answer-lost' if after else 'reset'}", rules=(lost,), code="vcenter_unreachable",
                says=("without response",),
            )  # fmt: skip
    first = CHANGES[operation][0] if CHANGES[operation][0].endswith("_Task") else "Destroy_Task"
    yield Fault(
        name=f"{first}-never-ends",
        # Longer than what a run still gives to what it has begun: 30 seconds for a deletion.
        rules=({"method": first, "task": True, "delay_ms": 34_000 if operation == "remove" else 7_000, "times": -1},),
        options={"timeout": 3},
        # The first template VM waits for those that are cloned from it, so its time is over, too.
        code="several" if operation == "build" else "task_failed",
        says=("the task was still running at the deadline",),
    )
    for method in ("RetrievePropertiesEx", CHANGES[operation][0]):
        # Guests can be asked to shut down once more.
        unseen = method == "ShutdownGuest"
        yield Fault(
            name=f"{method}-hangs",
            rules=({"method": method, "fault": "hang"},),
            options={"timeout": 3},
            code="" if unseen else "several" if method == "CloneVM_Task" else "vcenter_unreachable",
            says=() if unseen else ("it did not answer in time",),
        )
    broken = {"method": "RetrievePropertiesEx", "fault": "http500", "times": -1}
    yield Fault(name="http500", rules=(broken,), code="vcenter_unreachable", says=("HTTP 500",))
    away = {"method": "RetrieveServiceContent", "fault": "http503", "times": -1}
    yield Fault(name="stays-away", rules=(away,), code="vcenter_unreachable", says=("HTTP 503",))
    yield Fault(
        name="refused", options={"vcenter_port": 1}, code="vcenter_unreachable", says=("refused", ":1'"),
    )  # fmt: skip
    for after in (False, True):
        lost = {"method": "Login", "fault": "reset", "after": after}
        yield Fault(
            name=f"Login-{'answer-lost' if after else 'reset'}", rules=(lost,), code="vcenter_unreachable",
            says=("without response",), leaves=("sessions",) if after else (),
        )  # fmt: skip


_KILLED = ({"phase": "failed", "reason": {"code": "docker_unavailable", "message": "dockerd was killed"}},)


def guests(operation: str) -> Iterable[Fault]:
    """What a guest may do to a run that waits for it."""
    if operation == "remove":
        # Its stop timeout and twenty seconds later it loses its power.
        yield Fault(name="guest-never-stops", guests=({"match": "chaos[0-9]*", "never_stop": True},))
        return
    match = {"build": "chaos[0-9]*@*", "deploy": "*-3", "update": "*-1~2"}[operation]
    late = ("were not enough for",)
    nothing, other = ("its agent said nothing",), ("what is said there is not of this clone",)
    if operation == "build":
        other = ("something that is no status",)
    table: dict[str, tuple[Rule, str, tuple[str, ...]]] = {
        "silent": ({"silent": True}, "guest_silent", (*late, *nothing)),
        "stale-nonce": ({"stale_nonce": True}, "guest_silent", (*late, "nonce" if operation == "build" else other[0])),
        "garbage": ({"raw": "\x01{garbage"}, "guest_silent", (*late, *other)),
        "60-KB": ({"raw": "x" * 60_000}, "guest_silent", (*late, *other)),
        "falls-silent": ({"script": [{"phase": "thawed"}]}, "guest_silent", (*late, "its agent said 'thawed'")),
        "dockerd-killed": ({"script": _KILLED}, "guest_failed", ("dockerd was killed",)),
    }
    if operation == "build":
        del table["falls-silent"]
        table["never-freezes"] = ({"never_freeze": True}, "guest_silent", (*late, "the VM to freeze"))
    for name, (rule, code, says) in table.items():
        yield Fault(
            name=f"guest-{name}", guests=({"match": match, **rule},), code=code, says=says, options={"timeout": 4},
        )  # fmt: skip


def fates(operation: str) -> Iterable[Fault]:
    """What befalls vCenter, its hosts and the VMs while a run is at work."""
    for fate in FATES[operation]:
        moment = fate.moment
        rules: tuple[Rule, ...] = ()
        guests: tuple[Rule, ...] = ()
        if moment == "awaited":
            slow = [{"phase": "thawed"}, {"phase": "running", "after_ms": 2000}]
            if operation == "build":
                slow = [{"phase": "preparing", "after_ms": 2000}]
            guests = ({"match": "chaos[0-9]*", "script": slow},)
        else:
            # It has come before the work is done.
            rules = ({"method": moment, "task": moment.endswith("_Task"), "delay_ms": 800, "times": -1},)
        yield Fault(
            name=f"{fate.act}-at-{moment}",
            rules=rules,
            guests=guests,
            act=fate.act,
            moment=moment,
            code=fate.code,
            says=fate.says,
            moved=fate.act == "admin-moves" and operation != "build",
            renamed=fate.act == "admin-renames" and operation == "build",
            options={"timeout": 10},
            leaves=("violations",) if fate.act == "template-deleted" else (),
        )


# One of each kind, spread over the operations: what every run of the tests meets.
QUICK = frozenset(
    {
        "build-PowerOnVM_Task-TaskInProgress-task",
        "build-guest-dockerd-killed",
        "build-vcenter-restarted-at-CloneVM_Task",
        "deploy-InstantClone_Task-http503",
        "deploy-InstantClone_Task-answer-lost",
        "deploy-template-unfrozen-at-InstantClone_Task",
        "deploy-host-lost-at-InstantClone_Task",
        "deploy-guest-60-KB",
        "update-RetrievePropertiesEx-hangs",
        "update-InstantClone_Task-NoDiskSpace",
        "update-ReconfigVM_Task-SystemError-after",
        "update-competitor-takes-the-name-at-InstantClone_Task",
        "update-admin-deletes-at-awaited",
        "remove-WaitForUpdatesEx-reset",
        "remove-session-expired-at-Destroy_Task",
        "remove-refused",
        "remove-http500",
    }
)
KINDS: tuple[Callable[[str], Iterable[Fault]], ...] = (transient, lasting, guests, fates)
