# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``deploy``, ``scale`` and ``restart``: how many, how they are replaced, and what follows their end. Pure."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import Problems, wrong
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Tree
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import (
    Rollback,
    Update,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate import scalars
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.support import SERVICE

_POLICIES = ("no", "on-failure", "always", "unless-stopped")
_CONDITIONS = {**{policy: policy for policy in _POLICIES}, "none": "no", "any": "always"}
_FAILURE_ACTIONS = ("pause", "continue", "rollback")


def section(service: Tree, *path: str) -> Tree:
    """A mapping inside of a service, an empty one where it is not there."""
    found: Any = service
    for part in path:
        inner = found.get(part)
        found = inner if isinstance(inner, Tree) else Tree(mark=found.mark)
    tree: Tree = found
    return tree


def replicas(name: str, service: Tree, problems: Problems) -> int | None:
    """How many; None for one container without a number."""
    deploy = section(service, "deploy")
    wanted = {"scale": service.get("scale"), "deploy.replicas": deploy.get("replicas")}
    given = {key: value for key, value in wanted.items() if value is not None}
    mark = service.where("scale") if "scale" in service else deploy.where("replicas")
    if len(set(given.values())) > 1:
        problems.add(
            wrong("scale", name, mark, f"it differs from deploy.replicas, {given['deploy.replicas']}", "Keep one")
        )
    for key, value in given.items():
        if value < 0:
            problems.add(wrong(key, name, mark, f"{value} is below 0", "Use 0 or more"))
            return None
    return next(iter(given.values()), None)


def update(name: str, service: Tree, problems: Problems) -> Update:
    """How replicas are replaced."""
    return Update(**(_config(name, service, "update_config", problems) or {}))


def rollback(name: str, service: Tree, problems: Problems) -> Rollback | None:
    """How replicas are put back; None where it is not said."""
    found = _config(name, service, "rollback_config", problems)
    if found is None:
        return None
    # The only values of others that are accepted are what is done anyway.
    return Rollback(**{field.name: found[field.name] for field in fields(Rollback) if field.name in found})


def _config(name: str, service: Tree, key: str, problems: Problems) -> dict[str, Any] | None:
    config = section(service, "deploy").get(key)
    if not isinstance(config, Tree):
        return None
    found: dict[str, Any] = {}
    for field, value in config.items():
        if field.startswith("x-") or value is None:
            continue
        try:
            found[field] = _update_field(field, value)
        except ValueError as error:
            problems.add(wrong(f"deploy.{key}.{field}", name, config.where(field), str(error), "Correct it"))
    return found


def _update_field(field: str, value: Any) -> Any:
    if field in ("delay", "monitor"):
        return scalars.seconds(value)
    if field == "parallelism" and value < 0:
        raise ValueError(f"{value} is below 0")
    if field == "failure_action" and value not in _FAILURE_ACTIONS:
        raise ValueError(f"'{value}' is none of {', '.join(_FAILURE_ACTIONS)}")
    if field == "max_failure_ratio":
        if not 0 <= value <= 1:
            raise ValueError(f"{value} is not between 0 and 1")
        return float(value)
    return value


def restart(name: str, service: Tree, problems: Problems) -> dict[str, Any]:
    """``restart_policy`` and ``restart_retries``; ``deploy.restart_policy`` has precedence, as in Compose."""
    policy = section(service, "deploy").get("restart_policy")
    if isinstance(policy, Tree):
        return _deployed_restart(name, policy, problems)
    written = service.get("restart")
    if not written:
        return {}
    condition, colon, count = str(written).partition(":")
    found: dict[str, Any] = {"restart_policy": _CONDITIONS.get(condition)}
    if condition not in _POLICIES or (colon and condition != "on-failure"):
        known = 'Use "no", on-failure[:COUNT], always or unless-stopped'
        problems.add(wrong("restart", name, service.where("restart"), f"Docker has no policy '{written}'", known))
    elif colon:
        if count.isdecimal():
            found["restart_retries"] = int(count)
        else:
            problems.add(wrong("restart", name, service.where("restart"), f"'{count}' is no count", "Use on-failure:3"))
    return found


def _deployed_restart(name: str, policy: Tree, problems: Problems) -> dict[str, Any]:
    condition = policy.get("condition", "any")
    if condition not in _CONDITIONS:
        problems.add(
            wrong(
                "deploy.restart_policy.condition", name, policy.where("condition"),
                f"there is no '{condition}'", "Use none, on-failure or any",
            )
        )  # fmt: skip
        return {}
    found: dict[str, Any] = {"restart_policy": _CONDITIONS[condition]}
    attempts = policy.get("max_attempts")
    if attempts:
        if found["restart_policy"] == "on-failure":
            found["restart_retries"] = attempts
        elif found["restart_policy"] != "no":
            key = "deploy.restart_policy.max_attempts"
            entry = SERVICE[key]
            problems.refuse(key, "service", name, policy.where("max_attempts"), entry.why, entry.instead)
    return found
