# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a template VM that stands is what is wanted. Pure."""

from __future__ import annotations

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import TemplateVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import TemplateSpec


def is_sound(vm: TemplateVm, spec: TemplateSpec) -> bool:
    """Whether clones can be made from it as it stands."""
    return (
        vm.frozen
        and vm.host == vm.marks.host
        and vm.marks.generation == spec.generation
        and vm.marks.phase == marks_of.FROZEN
        and key_stands(vm)
        and spoken(vm)
    )


def is_of(vm: TemplateVm, spec: TemplateSpec) -> bool:
    """Whether a VM is, or can become, what is wanted."""
    if vm.retired or vm.trial or vm.marks.generation != spec.generation:
        return False
    return vm.marks.phase != marks_of.FROZEN or spoken(vm)


def serves(vm: TemplateVm) -> bool:
    """Whether it has been cloned from, and would be, were it frozen."""
    return vm.marks.phase == marks_of.FROZEN


def changed_options(vm: TemplateVm, spec: TemplateSpec) -> list[str]:
    """The names of the options in which a VM's recorded spec differs."""
    before, after = marks_of.spec_document(vm.marks), spec.document()
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key)) or ["unknown"]


def key_stands(vm: TemplateVm) -> bool:
    """What a guest published may be lost, as after a restart of vCenter; then its mark is believed."""
    return bool(vm.marks.key) and vm.published_key in ("", vm.marks.key)


def spoken(vm: TemplateVm) -> bool:
    """Whether its agent speaks a protocol of ours."""
    low, high = vm.marks.speaks
    return low <= protocol.SPEAKS[1] and protocol.SPEAKS[0] <= high


def worth(vm: TemplateVm, spec: TemplateSpec) -> int:
    """Which of two template VMs of one host is kept."""
    return (
        8 * is_sound(vm, spec)
        + 4 * (vm.marks.generation == spec.generation)
        + 2 * (vm.marks.phase == marks_of.FROZEN)
        + (vm.marks.phase == marks_of.PRIMED)
    )
