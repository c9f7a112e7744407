"""What may go wrong, as data: each fault, the moment that it strikes at, and what a run may say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

BUSY = ("TaskInProgress", "ResourceInUse")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault of one operation.

    ``rules`` are the lab's fault rules, ``guests`` rules of scripted guests, ``act`` something that an admin
    or fate does once ``moment`` (a SOAP method) was called. ``says`` are words of which the run's message has
    to contain one; without any the fault has to pass unseen. ``may_pass``: it may also come too late to matter.
    """

    name: str
    rules: tuple[Mapping[str, Any], ...] = ()
    guests: tuple[Mapping[str, Any], ...] = ()
    act: Callable[[Any], None] | None = None
    moment: str = ""
    says: tuple[str, ...] = ()
    may_pass: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    quick: bool = False


def transient(operation: str) -> list[Fault]:
    """What passes by itself: twice in a row at each call that the operation makes."""
    found = []
    for method in (*_READS, *_CHANGES[operation]):
        for fault in ("http503", "reset"):
            if (method, fault) == ("Login", "reset") or (
                operation == "build" and method in ("CloneVM_Task", "ReconfigVM_Task")
            ):
                continue  # it may have been carried out: told, below
            quick = method in ("Login", "InstantClone_Task") and fault == "http503" and operation == "deploy"
            rule = {"method": method, "fault": fault, "times": 2}
            found.append(Fault(name=f"{method}-{fault}", rules=(rule,), quick=quick))
        lost_is_told = operation == "build" and method in ("CloneVM_Task", "ReconfigVM_Task")
        if method in _CHANGES[operation] and not lost_is_told:
            lost = {"method": method, "fault": "reset", "after": True}
            found.append(Fault(name=f"{method}-answer-lost", rules=(lost,), quick=operation == "deploy"))
        if method.endswith("_Task"):
            for fault in BUSY:
                for task in (False, True):
                    rule = {"method": method, "fault": fault, "task": task, "times": 2}
                    name = f"{method}-{fault}-{'task' if task else 'call'}"
                    found.append(
                        Fault(
                            name=name,
                            rules=(rule,),
                            quick=fault == "TaskInProgress" and task and operation in ("build", "remove"),
                        )
                    )
    return found


_READS = ("Login", "RetrieveServiceContent", "RetrievePropertiesEx", "CreateFilter", "WaitForUpdatesEx")
_CHANGES = {
    "build": ("CloneVM_Task", "ReconfigVM_Task", "PowerOnVM_Task"),
    "deploy": ("InstantClone_Task", "ReconfigVM_Task"),
    "update": ("InstantClone_Task", "ReconfigVM_Task", "ShutdownGuest", "Destroy_Task"),
    "remove": ("ShutdownGuest", "Destroy_Task"),
}

# By the fault's type: what the message has to name.
_TOLD = {
    "InsufficientMemoryResourcesFault": ("memory",),
    "InvalidState": ("state does not allow",),
    "DuplicateName": ("taken",),
    "DisallowedMigrationDeviceAttached": ("device is attached",),
    "NoDiskSpace": ("full",),
    "RequestCanceled": ("cancelled",),
    "NoPermission": ("is missing",),
    "SystemError": ("SystemError", "failed", "says"),
}


def lasting(operation: str) -> list[Fault]:
    """What has to be told: tasks that fail, with their work done or not, that never end, and calls that hang."""
    found = []
    for method in _CHANGES[operation]:
        if not method.endswith("_Task"):
            continue
        for fault, says in _TOLD.items():
            for after in (False, True):
                rule = {"method": method, "fault": fault, "task": True, "after": after}
                name = f"{method}-{fault}" + ("-after" if after else "")
                # A deletion that failed although its work was done left what was wanted.
                found.append(
                    Fault(
                        name=name, rules=(rule,), says=says, may_pass=after,
                        quick=name == "InstantClone_Task-NoDiskSpace" and operation == "update",
                    )
                )  # fmt: skip
    if operation == "build":
        for method in ("CloneVM_Task", "ReconfigVM_Task"):
            gone = {"method": method, "fault": "reset", "after": True}
            says = ("reset", "closed", "connection", "Remote")
            found.append(Fault(name=f"{method}-answer-lost", rules=(gone,), says=says, may_pass=True))
    first = "CloneVM_Task" if operation == "build" else _CHANGES[operation][-1]
    endless = {"method": first, "task": True, "delay_ms": 20_000}
    found.append(
        Fault(
            name=f"{first}-never-ends", rules=(endless,), says=("deadline", "in time", "enough"), may_pass=True,
            options={"timeout": 3},
        )
    )  # fmt: skip
    hang = {"method": "RetrievePropertiesEx", "fault": "hang"}
    found.append(Fault(name="hang", rules=(hang,), says=("answer in time",), may_pass=True, options={"timeout": 3}))
    broken = {"method": "RetrievePropertiesEx", "fault": "http500", "times": -1}
    found.append(Fault(name="http500", rules=(broken,), says=("500",)))
    lost = {"method": "Login", "fault": "reset"}
    found.append(Fault(name="login-lost", rules=(lost,), says=("reset", "closed", "not answer", "connection")))
    return found


def guests(operation: str) -> list[Fault]:
    """What a guest may do to a run that waits for it."""
    if operation not in ("deploy", "update"):
        return []
    match = "*~*" if operation == "update" else "*-3"
    end = [{"phase": "failed", "reason": {"code": "docker_unavailable", "message": "dockerd was killed"}}]
    table: dict[str, tuple[Mapping[str, Any], tuple[str, ...]]] = {
        "silent": ({"silent": True}, ("nothing", "silent", "s were not enough", "deadline", "not said")),
        "stale-nonce": ({"stale_nonce": True}, ("nothing", "nonce", "enough", "deadline", "not said")),
        "garbage": ({"raw": "\x01{garbage"}, ("no status", "understand", "enough", "nothing", "deadline")),
        "60-KB": ({"raw": "x" * 60_000}, ("no status", "understand", "enough", "nothing", "deadline")),
        "dockerd-killed": ({"script": end}, ("dockerd was killed",)),
    }
    return [
        Fault(
            name=f"guest-{name}", guests=({"match": match, **rule},), says=says, options={"timeout": 4},
            quick=name == "dockerd-killed" and operation == "deploy",
        )
        for name, (rule, says) in table.items()
    ]  # fmt: skip


def fate(operation: str) -> list[Fault]:
    """What befalls vCenter, its hosts and the VMs while a run is at work: at its first change, and at a later one."""
    found = []
    away = ("session", "reach", "refused", "reset", "answer", "Connection", "connection")
    lost = ("removed", "exist", "gone", "power", "off", "moved", "name", "ends", "state", "found", "silent", "frozen")
    for moment in (_CHANGES[operation][0], _CHANGES[operation][-1]):
        acts: list[tuple[str, Callable[[Any], None], tuple[str, ...]]] = [
            ("session-expired", lambda world: world.control("/sessions/expire"), away),
            ("vcenter-restarted", lambda world: world.control("/vcenter/restart?away_ms=500"), away),
        ]
        if operation in ("deploy", "update"):
            acts += [
                ("admin-deletes", lambda world: world.admin("destroy"), lost),
                ("admin-powers-off", lambda world: world.admin("power-off"), lost),
                ("admin-renames", lambda world: world.admin("rename?to=renamed"), lost),
                ("admin-moves", lambda world: world.admin("move?folder=others"), lost),
                ("agent-killed", lambda world: world.admin("kill-guest"), (*lost, "nothing", "deadline", "Tools")),
                ("template-unfrozen", lambda world: world.template("unfreeze"), ("frozen", "state", "template")),
                ("template-off", lambda world: world.template("power-off"), ("off", "frozen", "state", "template")),
                ("host-maintenance", lambda world: world.host("maintenance"), ("host", "maintenance", "state")),
                ("host-lost", lambda world: world.host("disconnect"), ("host", "connect", "state")),
            ]
        for name, act, says in acts:
            found.append(
                Fault(
                    name=f"{name}-at-{moment}", act=act, moment=moment, says=says, may_pass=True,
                    options={"timeout": 8},
                )
            )  # fmt: skip
    return list({fault.name: fault for fault in found}.values())


OPERATIONS = tuple(_CHANGES)
KINDS = {"transient": transient, "lasting": lasting, "guest": guests, "fate": fate}
