# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a replacement that was held: the new containers take over, or the old ones stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import power
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import OFF, ON
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.build import Build
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.reconfigure import Change, reconfigure_all
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

Errors = dict[str, BonnevilleError]


def commit(
    session: Session, builds: Iterable[Build], vms: Mapping[str, str], *, watch: Watch, seconds: float
) -> Errors:
    """Remove what was replaced, and give the new VMs their names; errors by the containers' names.

    Args:
        builds: those whose new containers are as wanted, and replaced one.
        vms: the new VMs' moids by the containers' names.
    """
    replaced = {vm.moid: build.final_name for build in builds if (vm := build.action.vm)}
    old = [power.removal(vm) for build in builds if (vm := build.action.vm)]
    deadline = Deadline(seconds)
    errors = _by_name(power.remove(session, old, watch=watch, deadline=deadline), replaced)
    names = {moid: name for name in replaced.values() if name not in errors and (moid := vms.get(name))}
    changes = {moid: Change(name=name) for moid, name in names.items()}
    return errors | _by_name(reconfigure_all(session, changes, deadline=deadline, names=names, watch=watch), names)


def undo(session: Session, builds: Iterable[Build], vms: Mapping[str, str], *, watch: Watch, seconds: float) -> Errors:
    """Remove new VMs, and have those that they were to replace run again; errors by the containers' names.

    Args:
        builds: all whose new VM may stand; one that replaces nothing only loses its new VM.
        vms: as in :func:`commit`.
    """
    wanted = tuple(builds)
    new = {moid: build for build in wanted if (moid := vms.get(build.final_name))}
    removals = [
        power.Removal(moid=moid, name=build.request.name, power=ON, stop_timeout=float(build.spec.stop_timeout))
        for moid, build in new.items()
    ]
    deadline = Deadline(seconds)
    found = power.remove(session, removals, watch=watch, deadline=deadline)
    errors = _by_name(found, {moid: build.final_name for moid, build in new.items()})
    stopped = {vm.moid: build.final_name for build in wanted if (vm := build.action.vm) and build.action.stop_first}
    old = [vm for build in wanted if (vm := build.action.vm) and build.action.stop_first and vm.power != OFF]
    return errors | _by_name(power.start(session, old, watch=watch, deadline=deadline), stopped)


def _by_name(outcome: Mapping[str, BonnevilleError | None], names: Mapping[str, str]) -> Errors:
    return {names[moid]: error for moid, error in outcome.items() if error}
