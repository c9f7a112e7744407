# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Texts that stand for booleans and numbers, as variables leave them, by the places where Compose casts. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import Problems, mistake
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.schema import place
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import (
    Items,
    Path,
    Tree,
    at_path,
)

_TRUE, _FALSE = frozenset({"true", "y", "yes", "on"}), frozenset({"false", "n", "no", "off"})


def _boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered not in _TRUE | _FALSE:
        raise ValueError("it is neither true nor false")
    return lowered in _TRUE


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ValueError("it is no whole number") from error


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ValueError("it is no number") from error


_Cast = Callable[[str], Any]


def _service(cast: _Cast, *paths: str) -> dict[Path, _Cast]:
    return {("services", "*", *path.split(".")): cast for path in paths}


CASTS: dict[Path, _Cast] = {
    **_service(
        _boolean,
        "init", "oom_kill_disable", "privileged", "read_only", "stdin_open", "tty", "attach", "healthcheck.disable",
        "volumes.*.read_only", "volumes.*.volume.nocopy", "volumes.*.bind.create_host_path", "env_file.*.required",
        "depends_on.*.restart",
    ),
    **_service(
        _whole,
        "cpu_count", "cpu_period", "cpu_quota", "cpu_shares", "oom_score_adj", "pids_limit", "scale", "mem_swappiness",
        "deploy.replicas", "deploy.update_config.parallelism", "deploy.rollback_config.parallelism",
        "deploy.restart_policy.max_attempts", "deploy.placement.max_replicas_per_node", "deploy.resources.limits.pids",
        "healthcheck.retries", "ports.*.target", "ulimits.*", "ulimits.*.hard", "ulimits.*.soft",
    ),
    **_service(
        _number,
        "cpus", "cpu_percent", "deploy.update_config.max_failure_ratio", "deploy.rollback_config.max_failure_ratio",
        "deploy.resources.limits.cpus", "deploy.resources.reservations.cpus",
    ),
    **{
        (kind, "*", key): _boolean
        for kind, keys in {
            "networks": ("external", "internal", "attachable", "enable_ipv4", "enable_ipv6"),
            "volumes": ("external",),
            "secrets": ("external",),
            "configs": ("external",),
        }.items()
        for key in keys
    },
}  # fmt: skip


def cast(tree: Tree, problems: Problems) -> None:
    """Cast in place; what cannot be cast is told to ``problems``."""
    by_root: dict[str, list[tuple[Path, _Cast]]] = {}
    for pattern, to in CASTS.items():
        by_root.setdefault(pattern[0], []).append((pattern, to))
    for root, patterns in by_root.items():
        if root in tree:
            _walk(tree, tree[root], (root,), patterns, problems)


def _walk(
    tree: Tree, value: Any, path: tuple[Any, ...], patterns: list[tuple[Path, _Cast]], problems: Problems
) -> None:
    """Go down only where a pattern leads; ``patterns`` are those that fit so far."""
    depth = len(path)
    entries: Any = value.items() if isinstance(value, Tree) else enumerate(value) if isinstance(value, Items) else ()
    for key, item in list(entries):
        here = (*path, key)
        fitting = [(pattern, to) for pattern, to in patterns if len(pattern) > depth and pattern[depth] in ("*", key)]
        if not fitting:
            continue
        if not isinstance(item, str):
            _walk(tree, item, here, fitting, problems)
            continue
        for pattern, to in fitting:
            if len(pattern) == len(here):
                try:
                    value[key] = to(item)
                except ValueError as error:
                    mark = at_path(tree, here)
                    problems.add(mistake(*place(list(here), mark), mark, f"'{item}': {error}", "Correct the value"))
