# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Container VMs on their way down, away, and up again: all of them side by side, over one watch.

Down is graceful: the guest is asked to shut down, and its agent stops the
container as ``docker stop`` does. A guest that cannot be asked, or that does not
go, loses its power.
"""

from __future__ import annotations

import secrets as random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import (
    OFF,
    ON,
    UNDER_WAY,
    ContainerVm,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.down import (
    Down,
    OnDone,
    Outcomes,
    Removal,
    removal,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import KEY_START
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.again import fault_of, run_tasks
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.reconfigure import Change, reconfigure_all
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

__all__ = ["Removal", "removal", "remove", "start", "stop"]

# What a guest gets for its own shutdown, beside the container's stop timeout. One that stays has
# a disk to be left whole; one that is deleted has not.
STOP_SECONDS = 60.0
REMOVE_SECONDS = 20.0

_POWER_ON = "Cannot power on the container VM"


def remove(
    session: Session,
    vms: Sequence[Removal],
    *,
    watch: Watch | None = None,
    deadline: Deadline,
    on_done: OnDone = lambda moid, error: None,
    grace: float = REMOVE_SECONDS,
) -> Outcomes:
    """Take VMs down and delete them; each one's error by moid, or None where it is gone.

    Before a VM is deleted it is read once more, all that are ready in one call:
    it has to be ours still, and disks that are not its own are detached, since
    they would be deleted with it. A VM that someone else removed is gone as
    wanted. ``on_done`` is called for each as it ends, from this thread. A step
    whose answer was lost, or whose VM is busy, is taken again after a pause.

    Args:
        grace: seconds that a guest gets beside the stop timeout.

    Raises: what ends them all: SessionLost, and Unreachable once vCenter stays away.
    """
    return _down(session, vms, watch=watch, deadline=deadline, on_done=on_done, grace=grace, away=True)


def stop(
    session: Session,
    vms: Sequence[Removal],
    *,
    watch: Watch | None = None,
    deadline: Deadline,
    on_done: OnDone = lambda moid, error: None,
    grace: float = STOP_SECONDS,
) -> Outcomes:
    """Take VMs down and leave them off; as :func:`remove`, but one that is gone is an error (NotFound)."""
    return _down(session, vms, watch=watch, deadline=deadline, on_done=on_done, grace=grace, away=False)


def start(
    session: Session,
    vms: Sequence[ContainerVm],
    *,
    watch: Watch | None = None,
    deadline: Deadline,
    ordered: Callable[[ContainerVm], bool] = lambda vm: True,
) -> Outcomes:
    """Have containers started: power VMs on, resume suspended ones, and give agents the order to start.

    Each one's error by moid, or None where it has begun. What comes of it is to
    be followed (``follow.Follow``), with the VM's status of now as ``before``
    and ``restarted`` set.

    Args:
        ordered: whether a VM's agent gets the order; without it the VM is powered on, and no more.

    Raises: what ends them all: SessionLost, and Unreachable once vCenter stays away.
    """
    known = {vm.moid: vm for vm in vms}
    names = {moid: vm.name for moid, vm in known.items()}
    outcomes: Outcomes = dict.fromkeys(known)
    with _watching(session, watch) as followed:
        power = {moid: _power(vm, followed) for moid, vm in known.items()}
        # A token of its own: an agent remembers the last one that it followed, also over a boot.
        orders = {
            moid: Change(extra_config={KEY_START: random.token_hex(8)})
            for moid, vm in known.items()
            if ordered(vm) and _needs_order(vm, power[moid])
        }
        outcomes |= reconfigure_all(session, orders, deadline=deadline, names=names, watch=followed)
        asleep = [moid for moid in known if power[moid] != ON and outcomes[moid] is None]

        begun = run_tasks(
            session,
            {moid: session.managed("VirtualMachine", moid).PowerOnVM_Task for moid in asleep},
            what=_POWER_ON,
            names=names,
            deadline=deadline,
            watch=followed,
        )
    for moid, error in begun.items():
        # Someone else may have powered it on meanwhile, or a call whose answer was lost.
        outcomes[moid] = None if error and fault_of(error) == "InvalidPowerState" else error
    return outcomes


def _power(vm: ContainerVm, watch: Watch) -> str:
    """Its power state as last heard of: a watch that follows it knows better than an earlier read."""
    state = watch.vms.get(vm.moid)
    return (state.power if state else "") or vm.power


def _needs_order(vm: ContainerVm, power: str) -> bool:
    """One that was off keeps no status, and its container may have ended before; one that is resumed may run."""
    return power in (ON, OFF) or not (vm.status and vm.status.phase in UNDER_WAY | {"running"})


def _down(
    session: Session,
    vms: Sequence[Removal],
    *,
    watch: Watch | None,
    deadline: Deadline,
    on_done: OnDone,
    grace: float,
    away: bool,
) -> Outcomes:
    with _watching(session, watch) as followed:
        down = Down(session, vms, watch=followed, deadline=deadline, on_done=on_done, grace=grace, away=away)
        outcomes = down.run()
        if watch is not None:
            down.leave()
    return outcomes


@contextmanager
def _watching(session: Session, watch: Watch | None) -> Iterator[Watch]:
    if watch is not None:
        yield watch
        return
    with Watch(session) as own:
        yield own
