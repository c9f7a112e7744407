# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The template VMs that clones can be made from, and what is checked before one is made. Pure.

A clone lands on its source's host, so each frozen template VM is one place to
put containers. What is found here is found before anything is changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.options import image_name
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.spec import ContainerSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.template_marks import Marks
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    AgentUnsupported,
    BonnevilleError,
    CapacityShort,
    NotFound,
    SealBroken,
    TemplateUnusable,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol, sealing
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import ON, Scope, VmFacts
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import unknown

TEMPLATE_FOLDER = "bonneville-templates"
"""Where template VMs are made and looked for, unless the user names another folder."""

_OUT_OF_SERVICE = (template_marks.RETIRED, template_marks.TRIAL)
# An administrator's hardening setting with which no guest can report anything.
_SETINFO_DISABLED = "isolation.tools.setinfo.disable"


@dataclass(frozen=True, kw_only=True)
class Seat:
    """A frozen template VM on a host in service: a place for containers.

    Memory is in MiB; ``images`` are ids by name; ``datastores`` are moids, the first one has the VM.
    ``sequence`` counts the template's generations.
    """

    moid: str
    name: str
    template: str
    host: str
    host_name: str
    compute: str
    host_free_mb: int
    instance_uuid: str
    key: str = field(repr=False)
    cpus: int
    memory_mb: int
    reservation_mb: int
    datastores: tuple[str, ...]
    vmx_path: str
    images: Mapping[str, str]
    sequence: int = 0

    @property
    def swap_bytes(self) -> int:
        """What vSphere reserves on the datastore for each powered-on clone: its memory less its reservation."""
        return max(0, self.memory_mb - self.reservation_mb) * 2**20


@dataclass(frozen=True, kw_only=True)
class Seats:
    """All places of one template, and why its other VMs are none."""

    template: str
    usable: tuple[Seat, ...]
    troubles: tuple[BonnevilleError, ...]

    def image_ids(self, image: str) -> frozenset[str]:
        """The ids that the template's VMs hold for an image's name; more than one only after a partial rebuild."""
        return frozenset(found for seat in self.usable if (found := seat.images.get(image)))

    def check(self) -> None:
        """Raise why there is no place at all; one cause that hits every VM keeps its own class."""
        if self.usable or not self.troubles:
            return
        kinds = {type(trouble) for trouble in self.troubles}
        kind = kinds.pop() if len(kinds) == 1 else TemplateUnusable
        raise kind(
            "No container can be cloned from template",
            obj=self.template,
            why="; ".join(f"{trouble.obj}: {trouble.why}" for trouble in self.troubles),
            next_step="Run photon_template for it, which repairs what it can",
            details={"template": self.template, "template_vms": [trouble.obj for trouble in self.troubles]},
        )


def template_names(scope: Scope) -> tuple[str, ...]:
    """The names of all templates that were read, for the help in an error."""
    return tuple(sorted({marks.template for _unused, marks in _marked(scope)}))


def all_seats(scope: Scope, templates: Iterable[str]) -> dict[str, Seats]:
    """The places of each template that is named. Raises NotFound for one that has no VM at all."""
    known = template_names(scope)
    for name in templates:
        if not known:
            raise NotFound(
                "Cannot find the template",
                obj=name,
                why="there is no template at all in its folder",
                next_step="Make it with photon_template, or name its folder in template_folder",
            )
        if name not in known:
            raise unknown("template", name, known)
    return {name: seats(scope, name) for name in sorted(set(templates))}


def retired(scope: Scope) -> frozenset[str]:
    """The template VMs whose place a newer generation has taken, by moid."""
    return frozenset(vm.moid for vm, marks in _marked(scope) if marks.phase == template_marks.RETIRED)


def seats(scope: Scope, template: str) -> Seats:
    """Judge every VM of a template."""
    usable: list[Seat] = []
    troubles: list[BonnevilleError] = []
    for vm, marks in sorted(_marked(scope), key=lambda one: (one[0].name, one[0].moid)):
        if marks.template != template or marks.phase in _OUT_OF_SERVICE:
            continue
        trouble = _trouble(vm, marks, scope)
        if trouble:
            troubles.append(trouble)
        else:
            usable.append(_seat(vm, marks, scope))
    return Seats(template=template, usable=_in_service(usable), troubles=tuple(troubles))


def _in_service(usable: Iterable[Seat]) -> tuple[Seat, ...]:
    """On each host the oldest generation's: a newer one beside it was not tried out yet, and takes over when it was."""
    known = tuple(usable)
    oldest: dict[str, int] = {}
    for seat in known:
        oldest[seat.host] = min(seat.sequence, oldest.get(seat.host, seat.sequence))
    return tuple(seat for seat in known if seat.sequence == oldest[seat.host])


def check_size(name: str, spec: ContainerSpec, places: Seats) -> None:
    """Refuse limits above what the template's VMs have: a clone cannot be larger. Raises CapacityShort."""
    memory = max((seat.memory_mb for seat in places.usable), default=0)
    if spec.memory > memory * 2**20:
        raise CapacityShort(
            "Cannot give the container its memory",
            obj=name,
            why=f"{-(-spec.memory // 2**20)} MiB are asked for, the VMs of template '{places.template}' "
            f"have {memory} MiB, and a clone has no more",
            next_step="Lower memory, or use a template that is larger",
            details={"asked_mb": -(-spec.memory // 2**20), "template_mb": memory},
        )
    cpus = max((seat.cpus for seat in places.usable), default=0)
    asked = int(spec.options.get("cpus", 0)) / 10**9
    if asked > cpus:
        raise CapacityShort(
            "Cannot give the container its CPUs",
            obj=name,
            why=f"{asked:g} are asked for, the VMs of template '{places.template}' have {cpus}, "
            "and a clone has no more",
            next_step="Lower cpus, or use a template that is larger",
            details={"asked_cpus": asked, "template_cpus": cpus},
        )


def check_swap_space(chosen: Iterable[tuple[Seat, str]], scope: Scope) -> None:
    """Refuse what the datastores have no room for, by clones' seats and the datastores they go to.

    Each powered-on clone needs a swap file; where it does not fit, vSphere
    fails in the middle. Raises CapacityShort.
    """
    needed: Counter[str] = Counter()
    for seat, datastore in chosen:
        needed[datastore] += seat.swap_bytes
    for moid, amount in sorted(needed.items()):
        facts = scope.datastores.get(moid)
        if facts and amount > facts.free_bytes:
            raise CapacityShort(
                "Too little space for the clones' swap files on datastore",
                obj=facts.name,
                why=f"{_mib(amount)} MiB are needed, {_mib(facts.free_bytes)} MiB are free",
                next_step="Free space, ask for fewer containers, or give the template a memory reservation",
                details={"needed_mb": _mib(amount), "free_mb": _mib(facts.free_bytes)},
            )


def check_image(name: str, spec: ContainerSpec, places: Seats) -> None:
    """With ``pull: never`` the template has to hold the image. Raises TemplateUnusable."""
    if spec.pull != "never" or places.image_ids(spec.image):
        return
    held = sorted({image for seat in places.usable for image in seat.images})
    raise TemplateUnusable(
        "Cannot run the container",
        obj=name,
        why=f"its image {spec.image} is not in template '{places.template}', and pull is never; "
        f"the template holds {', '.join(held) or 'none'}",
        next_step="Add it to the template's images, or set pull: missing",
        details={"reason": {"code": "image_missing", "message": f"{spec.image} is not in the template"}},
    )


def _trouble(vm: VmFacts, marks: Marks, scope: Scope) -> BonnevilleError | None:
    host = scope.hosts.get(vm.host)
    if host is None or not host.in_service:
        why = f"its host {scope.host_name(vm.host)} is out of service"
        return _unusable(vm, why + _because(host.trouble if host else ""))
    if vm.power != ON:
        return _unusable(vm, f"it is {vm.power}")
    if not vm.frozen or marks.phase != template_marks.FROZEN:
        return _unusable(vm, "it runs and is not frozen" if not vm.frozen else "its preparation was interrupted")
    if vm.extra_config.get(_SETINFO_DISABLED, "").upper() == "TRUE":
        return _unusable(vm, f"{_SETINFO_DISABLED} is TRUE, so its guests could report nothing")
    low, high = marks.speaks
    if not (low <= protocol.SPEAKS[1] and protocol.SPEAKS[0] <= high):
        spoken = f"{protocol.SPEAKS[0]} to {protocol.SPEAKS[1]}"
        return AgentUnsupported(
            "Cannot use the template VM",
            obj=vm.name,
            why=f"its agent speaks protocol {low} to {high}, this collection {spoken}",
        )
    try:
        published = vm.extra_config.get(protocol.KEY_KEY, "")
        sealing.verify_key(recorded=marks.key, published=published, obj=vm.name)
    except SealBroken as error:
        return error
    return None if marks.key else _unusable(vm, "no sealing key is recorded for it")


def _unusable(vm: VmFacts, why: str) -> TemplateUnusable:
    return TemplateUnusable("Cannot use the template VM", obj=vm.name, why=why)


def _because(trouble: str) -> str:
    return f": {trouble}" if trouble else ""


def _seat(vm: VmFacts, marks: Marks, scope: Scope) -> Seat:
    host = scope.hosts[vm.host]
    return Seat(
        moid=vm.moid,
        name=vm.name,
        template=marks.template,
        host=vm.host,
        host_name=host.name,
        compute=host.compute,
        host_free_mb=host.memory_free_mb,
        instance_uuid=vm.instance_uuid,
        key=marks.key,
        cpus=vm.cpus,
        memory_mb=vm.memory_mb,
        reservation_mb=vm.memory_reservation_mb,
        datastores=vm.datastores,
        vmx_path=vm.vmx_path,
        # By each name as the engine reads it.
        images={image_name("images", image.name): image.id for image in marks.images if image.name},
        sequence=marks.sequence,
    )


def _marked(scope: Scope) -> Iterator[tuple[VmFacts, Marks]]:
    """The template VMs of a scope with their marks."""
    for vm in scope.vms:
        marks = template_marks.decode(vm.extra_config, bios_uuid=vm.bios_uuid)
        if marks:
            yield vm, marks


def _mib(amount: int) -> int:
    return amount >> 20
