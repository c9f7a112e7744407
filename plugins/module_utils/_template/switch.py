# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From an older generation to a newer one: the older serves until the newer stands everywhere, and then goes.

A VM that serves no more is off, so nothing can be cloned from it. It is
destroyed, unless disks depend on it; then its marks say that it is retired, and
a later run collects it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actions import Actions
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import OFF, TemplateVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.dependents import find_dependents, names
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.hardware import extra
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.plan import Step
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.waits import Flow, OthersDid, Waiting
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session


class Switch:
    """The steps that put VMs aside, and what they wait for.

    ``retired`` has, of VMs that had to be kept, the names of the VMs that depend on them, by the steps' keys.
    """

    def __init__(
        self,
        session: Session,
        actions: Actions,
        steps: Iterable[Step],
        *,
        destroy: Callable[[TemplateVm], Waiting],
        progress: Callable[[str], None],
    ) -> None:
        work = tuple(steps)
        old = [step for step in work if step.after_switch]
        self._session = session
        self._actions = actions
        self._destroy = destroy
        self._progress = progress
        self._building = {step.key for step in work if not step.aside}
        self._serving = {step.key for step in old}
        self._old = tuple(step.vm for step in old if step.vm)
        self._failed: BonnevilleError | None = None
        self._needed: Mapping[str, tuple[str, ...]] | None = None
        self.retired: dict[str, tuple[str, ...]] = {}

    def ended(self, step: Step, error: BonnevilleError | None) -> None:
        """A step is over. One host without a sound VM of the newer generation keeps the older one in service."""
        if error and not step.aside:
            self._failed = self._failed or error
        self._building.discard(step.key)
        self._serving.discard(step.key)

    def put_aside(self, step: Step) -> Flow:
        """Destroy a VM, or keep it switched off while disks depend on it."""
        vm = step.vm
        if vm is None:
            raise AssertionError("only a VM that stands is put aside")
        if step.after_switch:
            yield OthersDid(find=lambda: self._failed or not self._building)
            if self._failed:
                raise self._failed
        if vm.power != OFF:
            yield from self._actions.pull_the_plug(vm.moid, vm.name)
        clones = step.clones
        if step.after_switch:
            # Nothing can be cloned from it any more, so what depends on it now is all that ever will.
            self._serving.discard(step.key)
            yield OthersDid(find=lambda: not self._serving)
            clones = self._clones(vm)
        if clones:
            yield from self._retire(step.key, vm, clones)
        else:
            yield from self._destroy(replace(vm, power=OFF))

    def _clones(self, vm: TemplateVm) -> tuple[str, ...]:
        if self._needed is None:
            self._needed = names(find_dependents(self._session, self._old))
        return self._needed.get(vm.moid, ())

    def _retire(self, key: str, vm: TemplateVm, clones: tuple[str, ...]) -> Waiting:
        self.retired[key] = clones
        marks = replace(vm.marks, phase=marks_of.RETIRED)
        yield from self._actions.reconfigure(vm.moid, vm.name, extra(marks.encode()))
        self._progress(f"{vm.name}: retired, disks of {len(clones)} VMs depend on it")
