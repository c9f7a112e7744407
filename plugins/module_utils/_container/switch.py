# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a replacement that was held: the new containers take over, or the old ones stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import back, follow, power
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import OFF, ON, ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.build import Build
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.discovery import publish, take_over
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.follow import Follow, follow_all
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.roster import Roster, address_of, is_up
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.shelf import Shelf
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.reconfigure import Change, reconfigure_all
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

Errors = dict[str, BonnevilleError]


def commit(
    session: Session,
    builds: Iterable[Build],
    vms: Mapping[str, str],
    *,
    watch: Watch,
    roster: Roster | None,
    seconds: float,
) -> Errors:
    """Remove what was replaced, and give the new VMs their names; errors by the containers' names.

    Args:
        builds: those whose new containers are as wanted, and replaced one.
        vms: the new VMs' moids by the containers' names.
    """
    pairs = [(build, vm) for build in builds if (vm := build.action.vm)]
    replaced = {vm.moid: build.final_name for build, vm in pairs}
    deadline = Deadline(seconds)
    to = [moid for name in replaced.values() if (moid := vms.get(name))]
    errors = _take_over(session, roster, to=to, off=replaced, names=replaced, watch=watch, deadline=deadline)
    removed = power.remove(session, [power.removal(vm) for _unused, vm in pairs], watch=watch, deadline=deadline)
    errors |= _by_name(removed, replaced)
    _leave(roster, removed)
    names = {moid: name for name in replaced.values() if name not in errors and (moid := vms.get(name))}
    changes = {moid: Change(name=name) for moid, name in names.items()}
    found = reconfigure_all(session, changes, deadline=deadline, names=names, watch=watch)
    return errors | _by_name(found, names) | _publish(session, roster, names=names, watch=watch, deadline=deadline)


def undo(
    session: Session,
    builds: Iterable[Build],
    vms: Mapping[str, str],
    *,
    watch: Watch,
    roster: Roster | None,
    shelf: Shelf | None = None,
    start_first: bool = False,
    steady_seconds: float = 0.0,
    seconds: float,
) -> Errors:
    """Remove new VMs, and have those that they were to replace run again; errors by the containers' names.

    Args:
        builds: all whose new VM may stand; one that replaces nothing only loses its new VM.
        vms: as in :func:`commit`.
        shelf: has the volumes that were taken from those that made room.
        start_first: have the old ones run before the new ones go, where the two can run side by side.
        steady_seconds: how long one that was started again has to stay well.
    """
    wanted = tuple(builds)
    new = {moid: build for build in wanted if (moid := vms.get(build.final_name))}
    names = {moid: build.final_name for moid, build in new.items()}
    deadline = Deadline(seconds)
    early = {
        vm.moid: (build.final_name, vm)
        for build in new.values()
        if start_first and _made_room(build) and not build.spec.is_exclusive and (vm := build.action.vm)
    }
    errors = _put_back(
        session, early, shelf=None, watch=watch, roster=roster, deadline=deadline, steady_seconds=steady_seconds
    )
    errors |= _take_over(session, roster, to=(), off=new, names=names, watch=watch, deadline=deadline)
    removals = [
        power.Removal(moid=moid, name=build.request.name, power=ON, stop_timeout=float(build.spec.stop_timeout))
        for moid, build in new.items()
    ]
    removed = power.remove(session, removals, watch=watch, deadline=deadline)
    _leave(roster, removed)
    errors |= _by_name(removed, names)
    stopped = {
        vm.moid: (build.final_name, vm)
        for build in new.values()
        if build.action.stop_first and (vm := build.action.vm) and vm.moid not in early
    }
    errors |= _put_back(
        session, stopped, shelf=shelf, watch=watch, roster=roster, deadline=deadline, steady_seconds=steady_seconds
    )
    return errors | _publish(session, roster, names=names, watch=watch, deadline=deadline)


def see_back(
    builds: Iterable[Build], *, watch: Watch, roster: Roster | None, steady_seconds: float, seconds: float
) -> Errors:
    """See that those run which were started again when their own replacement failed; errors by the containers' names.

    One that could not be powered on is left out: that was told with the failure.
    """
    old = {
        vm.moid: (build.final_name, vm)
        for build in builds
        if _made_room(build) and (vm := build.action.vm) and vm.moid in watch.vms and watch.vms[vm.moid].power == ON
    }
    return _follow_back(old, watch=watch, roster=roster, deadline=Deadline(seconds), steady_seconds=steady_seconds)


def _made_room(build: Build) -> bool:
    return build.action.stop_first and build.action.vm is not None and build.action.vm.power != OFF


def _put_back(
    session: Session,
    old: Mapping[str, tuple[str, ContainerVm]],
    *,
    shelf: Shelf | None,
    watch: Watch,
    roster: Roster | None,
    deadline: Deadline,
    steady_seconds: float,
) -> Errors:
    """Old ones that had made room, until they run as they did; errors by the containers' names."""
    names = {moid: name for moid, (name, _unused) in old.items()}
    vms = [vm for _unused, vm in old.values()]
    errors = _by_name(back.put_back(session, vms, shelf=shelf, watch=watch, deadline=deadline), names)
    begun = {moid: one for moid, one in old.items() if one[0] not in errors}
    return errors | _follow_back(begun, watch=watch, roster=roster, deadline=deadline, steady_seconds=steady_seconds)


def _follow_back(
    old: Mapping[str, tuple[str, ContainerVm]],
    *,
    watch: Watch,
    roster: Roster | None,
    deadline: Deadline,
    steady_seconds: float,
) -> Errors:
    errors: Errors = {}
    follows = [
        Follow(
            moid=moid, name=name, nonce=vm.marks.nonce, goal=follow.RUNNING, limit=deadline, before=vm.status,
            restarted=True, steady_seconds=steady_seconds,
        )
        for moid, (name, vm) in old.items()
        if vm.phase == "running"
    ]  # fmt: skip
    follow_all(watch, follows)
    for one in follows:
        if one.error:
            errors[one.name] = one.error
        if roster is not None:
            up = is_up(one.status)
            roster.change(one.moid, address=address_of(one.status) or None, named=up, on=True)
    return errors


def _take_over(
    session: Session,
    roster: Roster | None,
    *,
    to: Iterable[str],
    off: Iterable[str],
    names: Mapping[str, str],
    watch: Watch,
    deadline: Deadline,
) -> Errors:
    if roster is None:
        return {}
    failed = take_over(session, roster, to=to, off=off, deadline=deadline, watch=watch)
    return {names[moid]: error for moid, error in failed.items() if moid in names}


def _leave(roster: Roster | None, removed: Mapping[str, BonnevilleError | None]) -> None:
    for moid, error in removed.items():
        if roster is not None and error is None:
            roster.leave(moid)


def _publish(
    session: Session, roster: Roster | None, *, names: Mapping[str, str], watch: Watch, deadline: Deadline
) -> Errors:
    if roster is None:
        return {}
    failed = publish(session, roster, deadline=deadline, watch=watch, heard=False)
    return {names[moid]: error for moid, error in failed.items() if moid in names}


def _by_name(outcome: Mapping[str, BonnevilleError | None], names: Mapping[str, str]) -> Errors:
    return {names[moid]: error for moid, error in outcome.items() if error}
