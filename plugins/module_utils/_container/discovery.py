# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeping every VM of a fleet told of the others: written only where it differs, all of them at once.

The order matters. Who is there already is told first, and says so; only then
is a newcomer, whose guest holds its container back until it finds itself on
the list: so whatever the container does first is let in everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import UNDER_WAY, ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.follow import Follow
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.roster import (
    Member,
    Roster,
    address_of,
    is_up,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import PRESENT, STOPPED, Action
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.peers import KEY_PEERS
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import KEY_STATUS
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.again import fault_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.clone import CloneRequest
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.reconfigure import Change, reconfigure_all
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

# Guests look once a second. One that is too busy to answer keeps nobody waiting longer.
_HEARD_WITHIN = 3.0

Errors = dict[str, BonnevilleError]


def publish(
    session: Session,
    roster: Roster,
    *,
    deadline: Deadline,
    watch: Watch | None = None,
    newcomers: Collection[str] = (),
    heard: bool = True,
) -> Errors:
    """Bring the lists up to date; what failed, by moid. No call is made where nothing differs.

    Returns when the guests that were told go by it, but for ``newcomers``
    (moids), which are told last. A member that is gone is forgotten.

    Args:
        heard: wait for the guests.
    """
    if watch is None and roster.outdated():
        with Watch(session, keys=(KEY_STATUS,)) as own:
            return publish(session, roster, deadline=deadline, watch=own, newcomers=newcomers, heard=heard)
    with roster.lock:
        outdated = roster.outdated()
        if not outdated or watch is None:
            return {}
        first = [moid for moid in outdated if moid not in newcomers]
        errors = _write(session, roster, first, deadline=deadline, watch=watch)
        if heard:
            _wait_heard(roster, [moid for moid in first if moid not in errors], deadline=deadline, watch=watch)
        last = [moid for moid in outdated if moid in newcomers]
        return errors | _write(session, roster, last, deadline=deadline, watch=watch)


def take_over(
    session: Session,
    roster: Roster,
    *,
    to: Iterable[str],
    off: Iterable[str],
    deadline: Deadline,
    watch: Watch | None = None,
) -> Errors:
    """Have names lead to the VMs ``to`` and no longer to ``off`` (moids), which can then be taken down."""
    for moid in to:
        roster.change(moid, named=True)
    for moid in off:
        roster.change(moid, named=False)
    return publish(session, roster, deadline=deadline, watch=watch)


class Keeper:
    """What a run does about its fleet's lists; for containers outside of a fleet (no roster) nothing."""

    def __init__(self, session: Session, roster: Roster | None, *, watch: Watch, deadline: Deadline) -> None:
        self._session = session
        self._roster = roster
        self._watch = watch
        self._deadline = deadline
        self._newcomers: dict[str, str] = {}  # whose guests hold their containers back: moids, and names
        self._behind: set[str] = set()  # made, and not named before they are as they should be
        self._errors: Errors = {}

    def introduced(self, request: CloneRequest) -> CloneRequest:
        """A clone's request with the fleet as it is without it."""
        if self._roster is None:
            return request
        return replace(request, extra_config={**request.extra_config, KEY_PEERS: self._roster.text})

    def withdraw(self, moids: Iterable[str]) -> None:
        """No name leads to these any more, before anything is done to them."""
        leaving = list(moids)
        for moid in leaving:
            self._change(moid, named=False)
        if leaving:
            self._publish()

    def off(self, outcomes: Mapping[str, BonnevilleError | None]) -> None:
        """These are off now, unless there was an error."""
        for moid in _well(outcomes):
            self._change(moid, named=False, on=False)

    def back(self, outcomes: Mapping[str, BonnevilleError | None]) -> None:
        """These are on their way again, unless there was an error."""
        for moid in _well(outcomes):
            self._change(moid, named=True, on=True)

    def gone(self, outcomes: Mapping[str, BonnevilleError | None]) -> None:
        """These are there no longer, unless there was an error."""
        for moid in _well(outcomes):
            self._newcomers.pop(moid, None)
            if self._roster:
                self._roster.leave(moid)

    def came(self, moid: str, action: Action) -> None:
        """A clone stands. Names lead to it once it is as it should be; from its start on if no other serves."""
        if self._roster is None:
            return
        takes_over = action.vm is not None and not action.stop_first
        if takes_over or self._roster.serves(action.service.name):
            self._behind.add(moid)
        self._roster.join(
            Member(
                moid=moid,
                name=action.identity.name,
                service=action.service.name,
                named=moid not in self._behind,
                told=self._roster.text,
            )
        )
        if action.service.state not in (PRESENT, STOPPED):
            self._newcomers[moid] = action.identity.name

    def admit(self, follows: Mapping[str, Follow]) -> bool:
        """Put newcomers on the list once all of them have an address or have failed; whether that was done now."""
        if not self._newcomers:
            return False
        known = [follows[name] for name in self._newcomers.values() if name in follows]
        if not all(one.over or address_of(one.status) for one in known):
            return False
        for one in known:
            self._change(one.moid, address=address_of(one.status))
        self._publish(newcomers=self._newcomers)
        self._newcomers = {}
        return True

    def remind(self, left: Collection[ContainerVm]) -> None:
        """Bring the lists up to date, where an earlier run left containers on their way.

        Their guests may hold them back until they are on the lists. Those that have no address yet are put on them
        as soon as they have.
        """
        if self._roster is None or not left:
            return
        on_way = {vm.moid for vm in left if vm.phase in UNDER_WAY and vm.moid in self._roster.members}
        self._newcomers |= {moid: self._roster.members[moid].name for moid in on_way}
        self._publish(heard=False)

    def switch(self, *, to: Iterable[str], off: Iterable[str]) -> None:
        """Names lead to the new VMs, and no longer to those that they replace."""
        for moid in to:
            self._behind.discard(moid)
            self._change(moid, named=True)
        self.withdraw(off)

    def settle(self, follows: Mapping[str, Follow]) -> Errors:
        """Tell everyone how things are in the end; all that could not be told, by the containers' names."""
        for one in follows.values():
            if one.status:
                up = is_up(one.status) and one.moid not in self._behind
                self._change(one.moid, address=address_of(one.status) or None, named=up, on=True)
        self._publish()
        return self._errors

    def _change(
        self, moid: str, *, address: str | None = None, named: bool | None = None, on: bool | None = None
    ) -> None:
        if self._roster:
            self._roster.change(moid, address=address, named=named, on=on)

    def _publish(self, *, newcomers: Collection[str] = (), heard: bool = True) -> None:
        if self._roster is None:
            return
        failed = publish(
            self._session, self._roster, deadline=Deadline(max(30.0, self._deadline.remaining())),
            watch=self._watch, newcomers=newcomers, heard=heard,
        )  # fmt: skip
        for moid, error in failed.items():
            self._errors.setdefault(self._roster.members[moid].name, error)


def _well(outcomes: Mapping[str, BonnevilleError | None]) -> Iterable[str]:
    return (moid for moid, error in outcomes.items() if error is None)


def _write(session: Session, roster: Roster, moids: Collection[str], *, deadline: Deadline, watch: Watch) -> Errors:
    text = roster.text
    names = {moid: roster.members[moid].name for moid in moids}
    changes = {moid: Change(extra_config={KEY_PEERS: text}) for moid in moids}
    errors: Errors = {}
    for moid, error in reconfigure_all(session, changes, deadline=deadline, names=names, watch=watch).items():
        if error is None:
            roster.tell(moid, text)
        elif fault_of(error) == "ManagedObjectNotFound":
            roster.leave(moid)
        else:
            errors[moid] = error
    return errors


def _wait_heard(roster: Roster, moids: Collection[str], *, deadline: Deadline, watch: Watch) -> None:
    """Until those guests go by the list that say by which they go."""
    version = roster.peers.version
    listening = [moid for moid in moids if moid in roster.members and roster.members[moid].heard]
    listening = [moid for moid in listening if roster.members[moid].on]
    if not listening:
        return
    watch.add(vms=listening)

    def heard(moid: str) -> bool:
        state = watch.vms[moid]
        return state.gone or f'"peers":"{version}"' in state.extra_config.get(KEY_STATUS, "")

    watch.until(lambda: all(heard(moid) for moid in listening), deadline.sooner(_HEARD_WITHIN))
