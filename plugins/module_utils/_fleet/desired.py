# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the user of ``container_fleet`` wants: a project, where it is to stand, and how to get there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.compare import read_comparisons
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.desired import (
    Desired,
    Manner,
    Places,
    read_file,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.options import STRICT
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.read import DEFAULT_FOLDER
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.spec import (
    ContainerSpec,
    File,
    check_service_name,
    read_spec,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import HEALTHY, STARTED, Service
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.values import at_least, invalid
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.wish import (
    DEFAULT_SIZE_MB,
    Wish,
    disk_name,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError, InvalidOption, Several
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet import order, project
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import FleetService, Project, Volume
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import clean_path

Load = Callable[[str], Project]
ABSENT = "absent"


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A fleet that is wanted, or with ``absent`` wanted no more.

    ``desired`` has its services as plans are made from them. ``own_folder``
    tells that the folder is the fleet's alone, to be removed with it;
    ``remove_volumes`` that volumes go with the containers that had them.
    """

    project: Project
    desired: Desired
    owner: str = ""
    absent: bool = False
    own_folder: bool = True
    prune: bool = False
    max_prune: int = 10
    allow_empty: bool = False
    remove_volumes: bool = False
    expected: str = ""
    lock_timeout: float = 300.0

    @property
    def name(self) -> str:
        return self.project.name

    @property
    def folder(self) -> str:
        return self.desired.places.folder


def read_fleet(params: Mapping[str, Any], load: Load) -> Fleet:
    """Read a module's options.

    Args:
        load: reads the Compose files of a directory.

    Raises: InvalidOption, Unsupported, Several; all of the services' mistakes at once.
    """
    absent = params["state"] == ABSENT
    found = _project(params, load, absent=absent)
    check_service_name("name", found.name)
    if not absent:
        order.check(found.services)
    folder = clean_path(params["folder"] or found.places.get("folder", "") or f"{DEFAULT_FOLDER}/{found.name}")
    wishes = {volume.key: _wish(volume) for volume in found.volumes}
    services = () if absent else read_services(found, params, folder=folder, wishes=wishes)
    places = Places(
        datacenter=params["datacenter"] or "",
        folder=folder,
        template_folder=clean_path(params["template_folder"]),
        resource_pool=params["resource_pool"] or found.places.get("resource_pool", ""),
        datastore=params["datastore"] or found.places.get("datastore", ""),
    )
    check_allowed(params, services, places, wishes)
    return Fleet(
        project=found,
        desired=Desired(services=services, places=places, manner=_manner(params), volumes=wishes),
        owner=params["owner"],
        absent=absent,
        own_folder=folder.rpartition("/")[2] == found.name,
        prune=params["prune"],
        max_prune=at_least("max_prune", params["max_prune"], 0),
        allow_empty=params["allow_empty"],
        remove_volumes=params["remove_volumes"],
        expected=params["expected_plan"] or "",
        lock_timeout=float(at_least("lock_timeout", params["lock_timeout"], 0)),
    )


def read_services(
    found: Project, params: Mapping[str, Any], *, folder: str, wishes: Mapping[str, Wish]
) -> tuple[Service, ...]:
    """The project's services with the module's defaults. Raises what is wrong with any of them, together."""
    rules = read_comparisons({"*": STRICT, **(params["comparisons"] or {})})
    conditions = {
        (one.service, one.condition) for service in found.services for one in service.depends_on if one.required
    }
    services: list[Service] = []
    errors: list[BonnevilleError] = []
    for one in found.services:
        try:
            spec = _spec(one, params, fleet=found.name, wishes=wishes)
        except BonnevilleError as error:
            error.why = f"in service '{one.name}': {error.why}" if error.why else f"in service '{one.name}'"
            errors.append(error)
            continue
        services.append(
            Service(
                name=one.name,
                folder=folder,
                spec=spec,
                fleet=found.name,
                owner=params["owner"],
                replicas=one.replicas,
                state=HEALTHY if (one.name, project.HEALTHY) in conditions and not one.job else STARTED,
                recreate=params["recreate"],
                rules=rules,
                digest_key=params["digest_key"] or "",
                exact=True,
                checked=not one.job,
                ends=one.job,
                must_succeed=one.job and (one.name, project.COMPLETED) in conditions,
            )
        )
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise Several(f"Cannot use the files of fleet '{found.name}'", errors)
    return tuple(services)


def check_allowed(
    params: Mapping[str, Any], services: Iterable[Service], places: Places, wishes: Mapping[str, Wish]
) -> None:
    """Refuse every place that is not on its list, all of them together. What is not named cannot be vouched for."""
    chosen = tuple(services)
    used: dict[str, set[str]] = {"folders": {places.folder}}
    if chosen:
        used["datastores"] = {places.datastore, *(wish.datastore or places.datastore for wish in wishes.values())}
        used["networks"] = {str(one.spec.options.get("network", "")) for one in chosen if one.spec}
        used["templates"] = {one.spec.template for one in chosen if one.spec}
    errors: list[BonnevilleError] = []
    for kind, names in used.items():
        allowed = params[f"allowed_{kind}"]
        if allowed is None:
            continue
        for name in sorted(names):
            below = kind == "folders" and any(name.startswith(f"{clean_path(one)}/") for one in allowed)
            if name not in allowed and not below:
                errors.append(_not_allowed(kind, name, allowed))
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise Several("The fleet is not allowed to be where it is wanted", errors)


def _not_allowed(kind: str, name: str, allowed: Iterable[str]) -> InvalidOption:
    word = kind.removesuffix("s")
    return InvalidOption(
        f"Cannot use the {word}",
        obj=name,
        why=f"it is not in allowed_{kind}" if name else f"none is named, and only those in allowed_{kind} may be used",
        next_step=f"Name one of {', '.join(sorted(allowed)) or 'none at all'}",
        details={"option": f"allowed_{kind}"},
    )


def _project(params: Mapping[str, Any], load: Load, *, absent: bool) -> Project:
    name = params["name"] or ""
    if params["project_src"]:
        try:
            found = load(params["project_src"])
        except BonnevilleError as error:
            raise _without_files(error, name) if absent else error from error.__cause__
        return replace(found, name=name) if name else found
    if not absent:
        raise invalid("project_src", "", "there is no fleet without its files", "Name the fleet's directory")
    if not name:
        raise invalid("name", "", "it is missing", "Name the fleet, or its directory in project_src")
    return Project(name=name)


def _without_files(error: BonnevilleError, name: str) -> BonnevilleError:
    """A fleet can be removed although its files cannot be read; who asks for that knows its name and folder."""
    given = f"name: {name}" if name else "the fleet's name"
    error.next_step = (
        f"{error.next_step or 'Correct that'}. Or leave project_src out and give {given}, and its folder unless that "
        f"is {DEFAULT_FOLDER}/{name or 'NAME'}: then it is removed without its files, in no particular order"
    )
    return error


def _spec(one: FleetService, params: Mapping[str, Any], *, fleet: str, wishes: Mapping[str, Wish]) -> ContainerSpec:
    defaults = {name: params[name] for name in ("template", "network") if params[name]}
    spec = read_spec({**defaults, **one.options}, read_file=read_file)
    if spec.volumes:
        # Another name is another disk, which only another container can be given.
        disks = {volume.name: disk_name(fleet, volume.name, wishes) for volume in spec.volumes}
        found: dict[str, Any] = {"volume_names": disks}
        if external := sorted({volume for volume in disks if wishes.get(volume, Wish()).external}):
            found["external_volumes"] = external
        spec = replace(spec, options=dict(sorted({**spec.options, **found}.items())))
    if not one.contents:
        return spec
    carried = tuple(File(target=file.target, content=file.content, mode=file.mode) for file in one.contents)
    return replace(spec, files=(*(spec.files or ()), *carried))


def _wish(volume: Volume) -> Wish:
    return Wish(
        name=volume.name,
        size_mb=DEFAULT_SIZE_MB if volume.size_gb is None else volume.size_gb * 1024,
        external=volume.external,
        datastore=volume.datastore,
    )


def _manner(params: Mapping[str, Any]) -> Manner:
    return Manner(
        timeout=float(at_least("timeout", params["timeout"], 1)),
        healthy_seconds=float(at_least("healthy_wait_timeout", params["healthy_wait_timeout"], 1)),
        on_failure=params["on_failure"],
        clones_per_template=at_least("clones_per_template", params["clones_per_template"], 1),
    )
