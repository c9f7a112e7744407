# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is tried again, how often, and after which pause: work on a VM that another task holds, and lost answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    SessionLost,
    Unreachable,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explaining
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.transport import BACKOFF, was_turned_away
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch, wait_for_tasks

Done: TypeAlias = Callable[[Sequence[str]], Mapping[str, Any]]

BUSY = ("TaskInProgress", "ResourceInUse")
TRIES = 6  # of one step, over 8 seconds


def fault_of(error: BonnevilleError) -> str:
    """The type of vSphere's fault behind an error, empty where there is none."""
    return str(error.details.get("fault", ""))


def is_busy(error: BonnevilleError) -> bool:
    """Whether nothing was done, since another task works on the object."""
    return fault_of(error) in BUSY


def passes(error: BonnevilleError, *, once: bool = False) -> bool:
    """Whether a step is worth another try; one that must not be taken twice (``once``) only where it was not taken."""
    return is_busy(error) or (isinstance(error, Unreachable) and (not once or was_turned_away(error.__cause__)))


def pause_after(tries: int) -> Deadline:
    """The end of the pause after so many tries."""
    return Deadline(BACKOFF * 2 ** (tries - 1))


def attempt(what: str, name: str, call: Callable[[], Any]) -> Any:
    """What a call returns, or its error where that is one VM's alone."""
    try:
        with explaining(what, obj=name):
            return call()
    except SessionLost:
        raise
    except BonnevilleError as error:
        return error


def run_tasks(
    session: Session,
    calls: Mapping[str, Callable[[], Any]],
    *,
    what: str,
    names: Mapping[str, str],
    deadline: Deadline,
    watch: Watch | None = None,
    once: Collection[str] = (),
    done: Done = lambda keys: {},
) -> dict[str, BonnevilleError | None]:
    """Begin tasks side by side and await them; each one's error by key, or None. All else as :func:`task_results`."""
    results = task_results(
        session, calls, what=what, names=names, deadline=deadline, watch=watch, once=once, done=done
    )  # fmt: skip
    return {key: one if isinstance(one, BonnevilleError) else None for key, one in results.items()}


def task_results(
    session: Session,
    calls: Mapping[str, Callable[[], Any]],
    *,
    what: str,
    names: Mapping[str, str],
    deadline: Deadline,
    watch: Watch | None = None,
    once: Collection[str] = (),
    done: Done = lambda keys: {},
) -> dict[str, Any]:
    """Begin tasks side by side and await them; each one's result by key, or its error.

    A task whose object is busy, or whose call had no answer, is begun again
    after a pause.

    Args:
        calls: what begins each task.
        what, names: for the words of a failure; names by key.
        once: keys of what must not be done twice, so not begun again where an answer was lost.
        done: is asked before tasks are begun again; the results, by key, of those that did their work after all.

    Raises: SessionLost, and Unreachable once vCenter stays away.
    """
    results: dict[str, Any] = dict.fromkeys(calls)
    open_keys = list(calls)
    for tries in range(1, TRIES + 1):
        begun = session.in_parallel(lambda key: attempt(what, names[key], calls[key]), open_keys)
        tasks = {}
        for key, task in zip(open_keys, begun, strict=True):
            if isinstance(task, BonnevilleError):
                results[key] = task
            else:
                tasks[key] = task
        for key, state in wait_for_tasks(session, tasks, deadline=deadline, watch=watch).items():
            results[key] = state.result if state.ok else state.error(what, obj=names[key])
        failed = {key: one for key in open_keys if isinstance(one := results[key], BonnevilleError)}
        open_keys = [key for key, error in failed.items() if passes(error, once=key in once)]
        pause = pause_after(tries)
        if not open_keys or tries == TRIES or pause.remaining() >= deadline.remaining():
            break
        time.sleep(pause.remaining())
        results |= (found := done(open_keys))
        open_keys = [key for key in open_keys if key not in found]
    return results
