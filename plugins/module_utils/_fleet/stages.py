# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services side by side: each begins as soon as what it depends on is as it has to be, whatever the others do."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.order import BLOCKED, GO, State, turn
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import Dependency


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One service's part of a run. ``work`` is called in a thread of its own with what it calls once all containers
    have begun, and returns whether all is well. ``needs`` is what it waits for."""

    work: Callable[[Callable[[], None]], bool]
    needs: tuple[Dependency, ...] = ()


def go_through(stages: Mapping[str, Stage], *, blocked: Callable[[str, str], None], end: Callable[[], None]) -> None:
    """Do all stages, each as soon as it may begin.

    Args:
        blocked: is told a stage that can never begin, and why; its own dependents are blocked in turn.
        end: has every stage that goes on stop soon; called when this is left before all are over.

    Raises: what a stage raised, once all others have ended; a stage's own failures are not raised.
    """
    if not stages:
        return
    states = dict.fromkeys(stages, State())
    waiting = dict(stages)
    events: queue.SimpleQueue[tuple[str, Future[bool] | None]] = queue.SimpleQueue()
    pool = ThreadPoolExecutor(max_workers=len(stages), thread_name_prefix="service")
    running: set[str] = set()
    try:
        while waiting or running:
            _begin(waiting, running, states, pool=pool, events=events, blocked=blocked)
            if not running:
                # Only a circle could leave anything here, and that is refused before.
                break
            name, ended = events.get()
            if ended is None:
                states[name] = replace(states[name], begun=True)
            else:
                running.discard(name)
                ok = ended.result()
                states[name] = State(begun=ok, over=True, ok=ok)
    finally:
        if running:
            end()
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(
    waiting: dict[str, Stage],
    running: set[str],
    states: dict[str, State],
    *,
    pool: ThreadPoolExecutor,
    events: Any,
    blocked: Callable[[str, str], None],
) -> None:
    """Begin all that may; tell all that never can, until nothing follows from that any more."""
    while True:
        blocks: list[str] = []
        for name, stage in list(waiting.items()):
            found = turn(stage.needs, states)
            if found.verdict == GO:
                del waiting[name]
                running.add(name)
                future = pool.submit(stage.work, lambda name=name: events.put((name, None)))  # type: ignore[misc]
                future.add_done_callback(lambda future, name=name: events.put((name, future)))  # type: ignore[misc]
            elif found.verdict == BLOCKED:
                del waiting[name]
                states[name] = State(over=True)
                blocked(name, found.why)
                blocks.append(name)
        if not blocks:
            return
