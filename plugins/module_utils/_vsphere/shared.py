# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One wait for several parts of a run that go on side by side, each in a thread of its own.

vCenter allows one wait per session at a time. So one thread waits for all, and
hands what has changed to those that follow it. What is followed stands in a
list view, which may be changed while the wait goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explaining
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import moid_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim, vmodl
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

_WHAT = "Cannot wait for vCenter"
_WOKEN = ""  # no moid: another part of the run calls


class Ended(BaseException):
    """The run ends: whoever waits stops where it is. Not an Exception, so that no part of it is told as a failure."""


class SharedWatch:
    """What all parts follow, in one view; a context manager that leaves nothing at vCenter, and no thread."""

    def __init__(self, session: Session, *, keys: Sequence[str] = ()) -> None:
        self.session = session
        self.keys = tuple(keys)
        self._source = _Source(session, keys=keys)
        self._changed = threading.Condition()
        self._modify = threading.Lock()
        self._parts: dict[str, set[WatchPart]] = {}  # who follows what, by moid
        self._idle: set[str] = set()  # in the view, and followed by none
        self._all: list[WatchPart] = []
        self._error: BaseException | None = None
        self._over = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> SharedWatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()
        self._source.close()  # which ends the wait that is under way
        if self._thread is not None:
            self._thread.join()

    def part(self) -> WatchPart:
        """A watch for one part of the run, to be used from one thread."""
        part = WatchPart(self)
        with self._changed:
            self._all.append(part)
        return part

    def wake(self) -> None:
        """Have every part that waits look again."""
        with self._changed:
            for part in self._all:
                part.heard.add(_WOKEN)
            self._changed.notify_all()

    def end(self) -> None:
        """Have every part that waits, now or later, raise :class:`Ended`."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def follow(self, part: WatchPart, new: Mapping[str, Any]) -> None:
        """Have a part told of these objects, by moid. One that is followed already is told at once."""
        with self._modify:
            with self._changed:
                fresh = [managed for moid, managed in new.items() if moid not in self._parts and moid not in self._idle]
                self._idle -= new.keys()
                old = [self._source.managed(moid) for moid in self._idle]
                self._source.drop(tasks=self._idle)
                self._idle = set()
                self._source.expect(fresh)
                for moid in new:
                    self._parts.setdefault(moid, set()).add(part)
                    self._tell(part, moid)
            gone = self._source.modify(fresh, old)
            with self._changed:
                for managed in gone:
                    self._tell_all(self._source.forget(managed))
                if self._thread is None and not self._over:
                    self._thread = threading.Thread(target=self._listen, name="vsphere-watch", daemon=True)
                    self._thread.start()

    def leave(self, part: WatchPart, moids: Iterable[str]) -> None:
        """Have a part told no longer."""
        with self._changed:
            for moid in moids:
                parts = self._parts.get(moid)
                if parts is None:
                    continue
                parts.discard(part)
                if not parts:
                    del self._parts[moid]
                    self._idle.add(moid)

    def hear(self, part: WatchPart, deadline: Deadline) -> frozenset[str]:
        """What has changed for a part; waits until something has, or the deadline passed."""
        with self._changed:
            while True:
                if self._error is not None:
                    raise self._error
                if self._over:
                    raise Ended
                if part.heard or deadline.passed:
                    heard, part.heard = frozenset(part.heard), set()
                    return heard
                self._changed.wait(deadline.remaining())

    def _listen(self) -> None:
        try:
            while not self._over:
                update = self._source.next()
                if update is None:
                    continue
                with self._changed:
                    for moid in self._source.take(update):
                        self._tell_all(moid)
                    self._changed.notify_all()
                self._source.pause(Deadline(1.0))
        except BaseException as error:
            with self._changed:
                # When it is over the collector is taken away under the wait.
                self._error = None if self._over else error
                self._changed.notify_all()

    def _tell_all(self, moid: str) -> None:
        for part in self._parts.get(moid, ()):
            self._tell(part, moid)

    def _tell(self, part: WatchPart, moid: str) -> None:
        if moid in self._source.tasks and self._source.tasks[moid].state:
            part.tasks[moid] = self._source.tasks[moid]
        elif moid in self._source.vms and (self._source.vms[moid].power or self._source.vms[moid].gone):
            part.vms[moid] = self._source.vms[moid]
        elif not (moid in self._source.tasks and self._source.tasks[moid].gone):
            return
        else:
            part.tasks[moid] = self._source.tasks[moid]
        part.heard.add(moid)


class WatchPart(Watch):
    """A watch that does not wait by itself: all that it shares with others is told by :class:`SharedWatch`."""

    def __init__(self, shared: SharedWatch) -> None:
        super().__init__(shared.session, keys=shared.keys)
        self.heard: set[str] = set()
        self._shared = shared

    def __hash__(self) -> int:
        return id(self)

    def drop(self, *, tasks: Iterable[str] = (), vms: Iterable[str] = ()) -> None:
        """As ``Watch.drop``."""
        moids = [*tasks, *vms]
        super().drop(tasks=moids)
        self._shared.leave(self, moids)

    def wait(self, deadline: Deadline) -> frozenset[str]:
        """As ``Watch.wait``; an empty moid is among those that changed where another part of the run calls.

        Raises: Ended, when the run is over.
        """
        new, self._new = self._new, {}
        if new:
            self._shared.follow(self, new)
        self.calls += 1
        return self._shared.hear(self, deadline)

    def pause(self, deadline: Deadline) -> None:
        """The one who waits for all pauses for all."""


class _Source(Watch):
    """The states of all that is followed, and the calls to vCenter behind them."""

    def __init__(self, session: Session, *, keys: Sequence[str]) -> None:
        super().__init__(session, keys=keys)
        self._view: Any = None

    def managed(self, moid: str) -> Any:
        return self.session.managed("Task" if moid in self.tasks else "VirtualMachine", moid)

    def expect(self, fresh: Iterable[Any]) -> None:
        """Follow these, which the view is about to hold."""
        wanted = tuple(fresh)
        tasks = [managed for managed in wanted if isinstance(managed, vim.Task)]
        self.add(tasks=tasks, vms=[moid_of(managed) for managed in wanted if not isinstance(managed, vim.Task)])
        self._new = {}

    def modify(self, new: Sequence[Any], old: Sequence[Any]) -> Sequence[Any]:
        """Change the view; those of the new ones that do not exist any more."""
        if not new and not old:
            return ()
        with explaining(_WHAT):
            if self._view is None:
                self._open()
            return list(self._view.ModifyListView(list(new), list(old)) or ())

    def next(self) -> Any:
        """What vCenter says next; None where it has nothing to say."""
        return self._next(Deadline(3600.0))

    def take(self, update: Any) -> set[str]:
        self._version = update.version
        changed: set[str] = set()
        for filtered in update.filterSet or ():
            changed.update(self._take(one) for one in filtered.objectSet or ())
            changed.update(self._forget(missing.obj) for missing in filtered.missingSet or ())
        return {moid for moid in changed if moid in self._followed}

    def forget(self, managed: Any) -> str:
        return self._forget(managed)

    def close(self) -> None:
        for destroy in (
            self._collector and self._collector.DestroyPropertyCollector,
            self._view and self._view.DestroyView,
        ):
            if destroy:
                with suppress(Exception):
                    destroy()

    def _open(self) -> None:
        # Empty at first: to make a list view fails for an object that is gone, to change it tells which ones are.
        self._collector = self.session.content.propertyCollector.CreatePropertyCollector()
        view = self.session.content.viewManager.CreateListView([])
        query = vmodl.query.PropertyCollector
        self._new = {view._moId: view}
        spec, self._new = self._filter(), {}
        through = query.TraversalSpec(name="view", type=vim.view.ListView, path="view", skip=False)
        spec.objectSet = [query.ObjectSpec(obj=view, skip=True, selectSet=[through])]
        self._collector.CreateFilter(spec, False)
        self._view = view
