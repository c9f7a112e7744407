# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet's result: what was done, container by container and service by service. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import (
    RECREATE,
    REMOVE,
    UNCHANGED,
    Action,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError, Several
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.deploy import FleetReport
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.plan import of_older_generations, orphans


def done_actions(report: FleetReport) -> list[Action]:
    """The plan's actions, without those that were not done after all."""
    undone = {name for outcome in report.outcomes.values() for name in outcome.undone}
    return [
        action
        for action in report.view.layout.plan.work
        if action.service.name not in report.blocked and not (action.name in undone and action.kind != REMOVE)
    ]


def actions(report: FleetReport) -> list[dict[str, Any]]:
    found = [action.document() for action in done_actions(report)]
    found += [
        {"action": REMOVE, "name": name, "reason": "remove_volumes is set, and no container has it any more"}
        for name in report.volumes_removed
    ]
    if report.folder_removed:
        found.append({"action": REMOVE, "name": report.view.fleet.folder, "reason": "the fleet's folder is empty"})
    return found


def changed(report: FleetReport) -> bool:
    return bool(actions(report))


def difference(report: FleetReport) -> tuple[dict[str, Any], dict[str, Any]]:
    """The diff, before and after, by container."""
    work = done_actions(report)
    before = {action.name: dict(action.before) or {"state": "absent"} for action in work}
    after = {action.name: {"state": "absent"} if action.kind == REMOVE else dict(action.after) for action in work}
    return before, after


def values(report: FleetReport) -> dict[str, Any]:
    """For a result, beside the actions."""
    view = report.view
    return {
        "containers": list(report.report.containers),
        "services": services(report),
        "plan": dict(view.plan_document.content),
        "plan_sha256": view.plan_document.sha256,
        "summary": view.plan_document.summary,
        "orphans": [] if view.fleet.prune else [one.document() for one in orphans(view.fleet, view.layout.seen)],
    }


def services(report: FleetReport) -> dict[str, dict[str, Any]]:
    """Each service in short, by its name."""
    fleet = report.view.fleet
    found: dict[str, dict[str, Any]] = {}
    for service in fleet.project.services:
        mine = [one for one in report.report.containers if one["service"] == service.name]
        kinds = {one.kind for one in report.view.layout.plan.actions if one.service.name == service.name}
        outcome = report.outcomes.get(service.name)
        state = outcome.state if outcome and kinds - {UNCHANGED} else "unchanged"
        found[service.name] = {
            "replicas": 1 if service.replicas is None else service.replicas,
            "running": sum(one["phase"] == "running" for one in mine),
            "healthy": sum((one["container"] or {}).get("health") == "healthy" for one in mine),
            "state": "not started" if service.name in report.blocked else state,
            "why": report.blocked.get(service.name) or (outcome.why if outcome else "") or None,
        }
        if service.job:
            codes = {one["name"]: (one["container"] or {}).get("exit_code") for one in mine if one["phase"] == "exited"}
            found[service.name]["exit_codes"] = codes
    return found


def warnings(report: FleetReport) -> list[str]:
    """What the user should know although nothing failed."""
    view = report.view
    told = list(view.fleet.project.warnings)
    failed = [
        f"Job '{one['name']}' ended with exit code {one['container']['exit_code']}"
        for one in report.report.containers
        if one["phase"] == "exited"
        and one["service"] in _jobs(view.fleet.project.services)
        and one["container"]["exit_code"]
    ]
    named = set(report.report.errors)
    told += [text for text in failed if not any(f"'{name}'" in text for name in named)]
    told += [text for action in done_actions(report) if (text := _other_disks(action))]
    going = {action.vm.moid for action in done_actions(report) if action.vm and action.kind in (RECREATE, REMOVE)}
    old = [vm.name for vm in of_older_generations(view.fleet, view.layout.seen) if vm.moid not in going]
    if old:
        told.append(
            f"Fleet '{view.fleet.name}' has containers of an older generation of their template: {', '.join(old)}. "
            "They stay until something else replaces them; recreate replaces all of the fleet's."
        )
    left = [] if view.fleet.prune else [one.vm.name for one in orphans(view.fleet, view.layout.seen)]
    if left:
        told.append(
            f"Fleet '{view.fleet.name}' has containers that its files name no longer: {', '.join(left)}. "
            "Set prune to remove them."
        )
    return told


def check(report: FleetReport) -> None:
    """Raise what failed, with all that is known beside it."""
    errors: Mapping[str, BonnevilleError] = report.report.errors
    if not errors:
        return
    details = {**values(report), "changed": changed(report), "actions": actions(report), "warnings": warnings(report)}
    ordered = [errors[name] for name in sorted(errors)]
    if len(ordered) > 1:
        raise Several(f"Fleet '{report.view.fleet.name}' is not as it should be", ordered, details=details)
    ordered[0].details = {**details, **ordered[0].details}
    raise ordered[0]


def _other_disks(action: Action) -> str:
    """Of a container whose volumes are other disks than before, so that its data stays behind; else empty."""
    before, after = (one.get("volume_names") or {} for one in (action.before, action.after))
    moved = [
        f"'{after[key]}' instead of '{before[key]}'"
        for key in sorted(before)
        if after.get(key, before[key]) != before[key]
    ]
    if not moved:
        return ""
    return f"Container '{action.name}' gets volume {', '.join(moved)}, which stays as it is with all that is on it."


def _jobs(found: Any) -> set[str]:
    return {service.name for service in found if service.job}
