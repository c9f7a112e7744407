# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which images a template holds by the registry's digests, and which of them were moved meanwhile. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import TemplateVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import TemplateSpec


def moved_images(vm: TemplateVm, spec: TemplateSpec) -> dict[str, tuple[str, str]]:
    """Images whose digest in the registry is not the one that a VM holds: the old and the new one, by name."""
    held = held_digests(vm)
    return {name: (held[name], digest) for name, digest in spec.digests if held.get(name, digest) != digest}


def held_digests(vm: TemplateVm) -> dict[str, str]:
    """The registry's digests of a VM's images, by name; of a VM that holds none yet, those that it was to get."""
    ordered = marks_of.spec_document(vm.marks).get("digests")
    held = {image.name: image.digest for image in vm.marks.images if image.digest}
    return {**(ordered if isinstance(ordered, dict) else {}), **held}


def pinned(spec: TemplateSpec, vms: Iterable[TemplateVm], found: Mapping[str, str]) -> TemplateSpec:
    """The spec with its images' digests in it, so that a tag that was moved makes another generation.

    A generation that stands and holds what the registry has is the wanted one, whatever was known when it was made.

    Args:
        found: the registry's digests of the spec's images, as far as it told.
    """
    bare = replace(spec, digests=())
    standing = [vm for vm in vms if vm.marks.template == spec.name and not vm.retired and not vm.trial]
    for vm in sorted(standing, key=lambda vm: (-vm.marks.sequence, vm.moid)):
        document = marks_of.spec_document(vm.marks)
        digests = document.pop("digests", {})
        held = held_digests(vm)
        if document == json.loads(bare.canonical()) and all(
            held.get(name, digest) == digest for name, digest in found.items()
        ):
            return replace(bare, digests=tuple(sorted(digests.items())))
    return replace(bare, digests=tuple(sorted(found.items())))
