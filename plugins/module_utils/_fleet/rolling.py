# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rolling updates: which replicas are replaced together, and when an update has failed. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import CREATE, RECREATE, Action
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import Update

STOP_FIRST, START_FIRST = "stop-first", "start-first"
PAUSE, CONTINUE, ROLLBACK = "pause", "continue", "rollback"


def batches(actions: Sequence[Action], update: Update) -> tuple[tuple[Action, ...], ...]:
    """What is done together, one after the other.

    The first one has all that replaces nothing; in a service that is not
    updated it is the only one. With a parallelism of 0 all replacements are one.
    """
    replaced = [action for action in actions if action.kind == RECREATE]
    first = tuple(action for action in actions if action.kind != RECREATE)
    width = update.parallelism or max(1, len(replaced))
    rest = (tuple(replaced[start : start + width]) for start in range(0, len(replaced), width))
    return (*((first,) if first else ()), *rest)


def is_update(actions: Sequence[Action]) -> bool:
    return any(action.kind == RECREATE for action in actions)


def has_failed(actions: Sequence[Action], failures: int, update: Update) -> bool:
    """Whether more of an update's new containers failed than may."""
    made = sum(action.kind in (CREATE, RECREATE) for action in actions)
    return failures > update.max_failure_ratio * made
