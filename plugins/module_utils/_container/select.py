# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Choosing container VMs as a user names them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.options import image_name
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.report import container_name
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.values import invalid
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import Ambiguous

# What a module may be given, with the field that it becomes.
_LISTS = {
    "name": "names",
    "service": "services",
    "fleet": "fleets",
    "phase": "phases",
    "host": "hosts",
    "template": "templates",
}


@dataclass(frozen=True, kw_only=True)
class Selector:
    """Which container VMs are meant: of each kind any one has to fit, of ``labels`` all. None of a kind fits all.

    A kind that is given and empty fits nothing: who removes the containers of
    an empty list means none. ``labels`` has None for a key that may have any
    value. A service of a fleet is written ``FLEET/SERVICE``, or by its own name
    where ``fleets`` are given.
    """

    names: tuple[str, ...] | None = None
    services: tuple[str, ...] | None = None
    fleets: tuple[str, ...] | None = None
    labels: Mapping[str, str | None] | None = None
    phases: tuple[str, ...] | None = None
    hosts: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None
    images: tuple[str, ...] | None = None

    @property
    def fits_all(self) -> bool:
        return self == Selector()

    def fits(self, vm: ContainerVm) -> bool:
        marks = vm.marks
        service = marks.service if self.fleets is not None else vm.title
        options = marks.applied.options
        return (
            _one_of(self.names, container_name(vm), vm.name)
            and _one_of(self.services, service)
            and _one_of(self.fleets, marks.fleet)
            and _one_of(self.phases, vm.phase)
            and _one_of(self.hosts, vm.host, vm.host.partition(".")[0])
            and _one_of(self.templates, marks.template)
            and _one_of(self.images, str(options.get("image", "")))
            and _labelled(self.labels, options.get("labels", {}))
        )


def read_selector(params: Mapping[str, Any]) -> Selector:
    """A module's options as a selector; those that the module does not have, or that are not set, fit all.

    Raises: InvalidOption for an empty name or label, which nothing can have.
    """
    found: dict[str, Any] = {}
    for option, kind in _LISTS.items():
        given = params.get(option)
        if given is not None and "" in given:
            raise invalid(option, "", "nothing has an empty name", f"Leave {option} out, or name something")
        found[kind] = None if given is None else tuple(given)
    if params.get("image") is not None:
        found["images"] = tuple(image_name("image", value) for value in params["image"])
    if params.get("labels") is not None:
        found["labels"] = _read_labels(params["labels"])
    return Selector(**found)


def select(vms: Iterable[ContainerVm], selector: Selector) -> tuple[ContainerVm, ...]:
    """The container VMs that fit, by their names."""
    return tuple(sorted((vm for vm in vms if selector.fits(vm)), key=_order))


def check_names(vms: Sequence[ContainerVm], names: Collection[str]) -> None:
    """Refuse a name that fits several containers; a container's replacement under way is no other container.

    Raises: Ambiguous.
    """
    for name in names:
        fitting = [vm for vm in vms if name in (vm.name, container_name(vm))]
        containers = {(vm.folder, vm.marks.fleet, vm.marks.service, vm.marks.ordinal) for vm in fitting}
        if len(containers) > 1:
            raise Ambiguous(
                "Cannot tell which container is meant",
                obj=name,
                why="there are " + ", ".join(f"{vm.folder}/{vm.name} of service {vm.title}" for vm in fitting),
                next_step="Name its folder in folder, or its service in service",
                details={"name": name, "moids": [vm.moid for vm in fitting]},
            )


def _read_labels(given: Iterable[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for label in given:
        key, equals, value = label.partition("=")
        if not key:
            raise invalid("labels", label, "its key is empty", "Write each label as key or key=value")
        if equals and found.get(key, value) not in (value, None):
            raise invalid("labels", label, f"'{key}' cannot have two values at once", "Keep one of them")
        # A value says more than the bare key.
        found[key] = value if equals else found.get(key)
    return found


def _one_of(wanted: tuple[str, ...] | None, *actual: str) -> bool:
    return wanted is None or any(one in wanted for one in actual)


def _labelled(wanted: Mapping[str, str | None] | None, labels: Mapping[str, str]) -> bool:
    if wanted is None:
        return True
    return bool(wanted) and all(
        key in labels and (value is None or labels[key] == value) for key, value in wanted.items()
    )


def _order(vm: ContainerVm) -> tuple[str, str, str, int, str, str]:
    marks = vm.marks
    ordinal = int(marks.ordinal) if marks.ordinal.isdecimal() else -1
    return (marks.fleet, marks.service, vm.folder, ordinal, vm.name, vm.moid)
