# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Back to what was, where a replacement failed: the old ones that made room are again what they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import power
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import (
    OFF,
    ON,
    UNDER_WAY,
    ContainerVm,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.build import Build
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.down import Outcomes
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.shelf import Shelf
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch


def ran(vm: ContainerVm) -> bool:
    """Whether it is known that its container ran when it was read, or was on its way to.

    Of one that was booting its agent knows, and starts what ran.
    """
    return vm.power != OFF and not vm.booting and vm.status is not None and vm.status.phase in UNDER_WAY | {"running"}


def step_aside(
    session: Session, builds: Mapping[str, Build], *, shelf: Shelf, watch: Watch, deadline: Deadline
) -> Outcomes:
    """Power off failed new VMs that are kept, and take their volumes, since the old ones need both address and disks.

    Args:
        builds: by the new VMs' moids, as are the outcomes: an error, or None.
    """
    stops = [
        power.Removal(moid=moid, name=build.request.name, power=ON, stop_timeout=float(build.spec.stop_timeout))
        for moid, build in builds.items()
    ]
    outcomes = power.stop(session, stops, watch=watch, deadline=deadline)
    holders = {moid: build.request.name for moid, build in builds.items() if build.spec.volumes}
    off = {moid: name for moid, name in holders.items() if outcomes[moid] is None}
    return outcomes | shelf.take(off, deadline=deadline, watch=watch)


def put_back(
    session: Session, vms: Sequence[ContainerVm], *, shelf: Shelf | None, watch: Watch, deadline: Deadline
) -> Outcomes:
    """Give old VMs their volumes again, and power on those that were on; each one's error by moid, or None.

    Only a container that ran is ordered to start: a finished job would run a second time.
    """
    lacking = shelf.give_back(vms, deadline=deadline, watch=watch) if shelf else {}
    on = [vm for vm in vms if vm.power != OFF and vm.moid not in lacking]
    outcomes: Outcomes = dict.fromkeys(vm.moid for vm in vms)
    return outcomes | lacking | power.start(session, on, watch=watch, deadline=deadline, ordered=ran)


def aside_in_words(error: BonnevilleError | None) -> str:
    """What came of a new one that failed and is kept, to be added to its error."""
    if error:
        return f"and its VM still is in the way of the old one, which stays off: {error.message}"
    return "its VM was powered off, to leave its address and its volumes to the old one"


def in_words(vm: ContainerVm, error: BonnevilleError | None) -> str:
    """What came of an old one, to be added to why its replacement failed."""
    if error:
        return f"and the old one could not be started again: {error.message}"
    if vm.power == OFF:
        return "so the old one stays off"
    return "so the old one was started again" if ran(vm) else "so the old one is on again as it was"
