# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The single things that are done to a template VM, each until it is done. To be yielded from (``waits``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError, GuestSilent
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import OFF, ON, TemplateVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.hardware import (
    PROPERTIES,
    Hardware,
    extra,
    hardware_from,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.waits import (
    Pause,
    TaskEnds,
    VmShows,
    Waiting,
    powered_off,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.again import (
    TRIES,
    fault_of,
    passes,
    pause_after,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.clone import (
    CloneRequest,
    full_clone,
    instant_clone_spec,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.collect import read
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import read_hardware
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explaining
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

_SHUTDOWN_SECONDS = 120.0


class Actions:
    """Each action raises what its fault means, with the VM's name in it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def hardware(self, moid: str, name: str) -> Hardware:
        """Read a VM's hardware and settings: one call."""
        start = [(self._session.managed("VirtualMachine", moid), ())]
        what = f"Cannot read the template VM '{name}'"
        (one,) = read(self._session, start=start, properties={"VirtualMachine": PROPERTIES}, what=what)
        return hardware_from(one.values)

    def full_clone(
        self,
        *,
        source: str,
        name: str,
        folder: str,
        host: str,
        pool: str,
        datastore: str,
        bios_uuid: str,
        extra_config: Mapping[str, str],
    ) -> Waiting:
        """An independent, powered-off copy; its managed object id is sent back. All places are managed object ids."""
        what = "Cannot clone to make the template VM"
        config = extra(extra_config)
        config.uuid = bios_uuid

        def begin() -> Any:
            return full_clone(
                self._session,
                source=source,
                name=name,
                folder=folder,
                pool=pool,
                host=host,
                datastore=datastore,
                config=config,
            )

        made = yield from _done(begin, what=what, obj=name, twice=False)
        return str(made._moId)

    def instant_clone(self, request: CloneRequest) -> Waiting:
        """A running clone of a frozen VM; its managed object id is sent back."""
        what = "Cannot clone a throw-away container from the template VM"
        hardware = read_hardware(self._session, [request.source])[request.source]
        spec = instant_clone_spec(request, hardware)
        clone = self._session.managed("VirtualMachine", request.source).InstantClone_Task
        made = yield from _done(lambda: clone(spec=spec), what=what, obj=request.name, twice=False)
        return str(made._moId)

    def reconfigure(self, moid: str, name: str, config: Any) -> Waiting:
        what = "Cannot configure the template VM"
        change = self._session.managed("VirtualMachine", moid).ReconfigVM_Task
        # A device cannot be added or removed twice.
        yield from _done(lambda: change(config), what=what, obj=name, twice=not config.deviceChange)

    def power_on(self, moid: str, name: str) -> Waiting:
        what = "Cannot power on the template VM"
        call = self._session.managed("VirtualMachine", moid).PowerOnVM_Task
        yield from _done(call, what=what, obj=name, already="InvalidPowerState")

    def pull_the_plug(self, moid: str, name: str) -> Waiting:
        """Power off; a VM that is off already is as wanted."""
        what = "Cannot power off the template VM"
        try:
            yield from _done(self._session.managed("VirtualMachine", moid).PowerOffVM_Task, what=what, obj=name)
        except BonnevilleError as error:
            if fault_of(error) != "InvalidPowerState":
                raise

    def shut_down(self, moid: str, name: str) -> Waiting:
        """Let the guest end by itself, so that its disk is whole; pull the plug if it does not."""
        try:
            with explaining("Cannot shut down the guest of", obj=name):
                self._session.managed("VirtualMachine", moid).ShutdownGuest()
            yield VmShows(
                moid=moid, name=name, find=powered_off, awaited="the guest to shut down", seconds=_SHUTDOWN_SECONDS
            )
        except BonnevilleError as error:
            deaf = error.details.get("fault") in ("ToolsUnavailable", "InvalidPowerState")
            if not deaf and not isinstance(error, GuestSilent):
                raise
            yield from self.pull_the_plug(moid, name)

    def switch_off(self, vm: TemplateVm) -> Waiting:
        """Off from whatever state. A frozen guest hears nothing, and one whose agent failed has nothing to save."""
        if vm.power == ON and not vm.frozen and not vm.failed:
            yield from self.shut_down(vm.moid, vm.name)
        elif vm.power != OFF:
            yield from self.pull_the_plug(vm.moid, vm.name)

    def relocate(self, moid: str, name: str, *, host: str, pool: str) -> Waiting:
        """To another host; its files stay where they are."""
        what = "Cannot move the template VM back to its host"
        spec = vim.vm.RelocateSpec(
            host=self._session.managed("HostSystem", host), pool=self._session.managed("ResourcePool", pool)
        )
        move = self._session.managed("VirtualMachine", moid).RelocateVM_Task
        yield from _done(lambda: move(spec=spec), what=what, obj=name)

    def bring_back(self, moid: str, name: str, *, folder: str) -> Waiting:
        """Into a folder, by its managed object id, from whichever it is in."""
        move = self._session.managed("Folder", folder).MoveIntoFolder_Task
        vm = self._session.managed("VirtualMachine", moid)
        yield from _done(lambda: move([vm]), what="Cannot bring the template VM back into its folder", obj=name)

    def destroy(self, moid: str, name: str, *, power: str) -> Waiting:
        """Power off and delete; a VM that someone has removed is gone as wanted."""
        what = "Cannot destroy the template VM"
        call = self._session.managed("VirtualMachine", moid).Destroy_Task
        try:
            if power != OFF:
                yield from self.pull_the_plug(moid, name)
            yield from _done(call, what=what, obj=name)
        except BonnevilleError as error:
            if fault_of(error) != "ManagedObjectNotFound":
                raise


def _done(call: Callable[[], Any], *, what: str, obj: str, twice: bool = True, already: str = "") -> Waiting:
    """A task's result; it is begun again after a pause where another task works on the VM, or its answer was lost.

    Args:
        twice: whether it does no harm when a call whose answer was lost is made again.
        already: the fault of a further try that means that an earlier one did it.
    """
    tries = 0
    while True:
        tries += 1
        try:
            with explaining(what, obj=obj):
                task = call()
            return (yield TaskEnds(task=task, what=what, obj=obj))
        except BonnevilleError as error:
            if already and tries > 1 and fault_of(error) == already:
                return None
            if tries == TRIES or not passes(error, once=not twice):
                raise
        yield Pause(until=pause_after(tries))
