# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a service of the model to a service of the fleet. Pure but for the fleet's own files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.options import OPTIONS
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.places import Look
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import Problems, wrong
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Tree
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import (
    COMPLETED,
    Dependency,
    FleetService,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate import (
    contents,
    deploy,
    extension,
    mounts,
    network,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.honour import honoured
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.options import options


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a service is read with: the model around it, and the fleet's variables and files."""

    model: Tree
    enabled: Mapping[str, Tree]
    top: Mapping[str, Any]
    variables: Mapping[str, str] = field(repr=False)
    look: Look
    problems: Problems

    def section(self, key: str) -> Mapping[str, Tree]:
        """A top-level section."""
        return self.model.get(key) or {}


@dataclass(frozen=True, kw_only=True)
class Translated:
    """A service, and the keys of the volumes that it mounts."""

    service: FleetService
    volumes: tuple[str, ...]


def translate(name: str, written: Tree, around: Surroundings) -> Translated:
    """One service; what is wrong with it is told to the surroundings' problems."""
    problems, look = around.problems, around.look
    service = honoured(written, "service", name, problems)
    own = extension.read(service, "service", name, problems)
    count = deploy.replicas(name, service, problems)
    if not service.get("image"):
        problems.add(wrong("image", name, written.mark, "there is none", "Name an image that is built already"))
    found = options(name, service, look=look, problems=problems)
    attached = network.attach(
        name, service, own, around.top, around.section("networks"), replicas=count, problems=problems
    )
    found |= _checked(name, service, attached.options, problems)
    template = own.get("template") or around.top.get("template")
    if template:
        found["template"] = template
    if "environment" in service or "env_file" in service:
        found["env"] = contents.environment(name, service, variables=around.variables, look=look, problems=problems)
    if "labels" in service or "label_file" in service:
        found["labels"] = contents.labels(name, service, look=look, problems=problems)
    files = [
        file
        for kind in ("configs", "secrets")
        for file in contents.contents(
            kind, name, service, _resources(kind, service, around), look=look, problems=problems
        )
    ]
    mounted = mounts.mounts(name, service, files, around.section("volumes"), look=look, problems=problems)
    if mounted.volumes:
        found["volumes"] = list(mounted.volumes)
    if mounted.tmpfs:
        found["tmpfs"] = list(mounted.tmpfs)
    job = found.get("restart_policy") == "no" or _awaited(name, around)
    if _awaited(name, around) and found.get("restart_policy") in ("always", "unless-stopped"):
        why = "another service waits for its end, and it would be started again and again"
        problems.add(wrong("restart", name, service.where("restart"), why, 'Use restart: "no" or on-failure'))
    if "ttl" in own and not job:
        why = "it counts from a container's end, and this one is not to end"
        problems.add(wrong("x-bonneville.ttl", name, service.where(extension.NAME), why, 'Add restart: "no"'))
    return Translated(
        service=FleetService(
            name=name,
            options=dict(sorted(found.items())),
            contents=mounted.contents,
            replicas=count,
            depends_on=_dependencies(service, around),
            update=deploy.update(name, service, problems),
            rollback=deploy.rollback(name, service, problems),
            aliases=attached.aliases,
            job=job,
            ttl=own.get("ttl", around.top.get("ttl")) if job else None,
        ),
        volumes=mounted.named,
    )


def _checked(name: str, service: Tree, given: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """Options of the VM, as far as their own readers accept them."""
    found = {}
    for option, value in given.items():
        try:
            OPTIONS[option].read(option, value)
        except InvalidOption as error:
            mark = service.where(option if option in service else extension.NAME)
            problems.add(wrong(option, name, mark, f"'{error.obj}': {error.why}", error.next_step))
        else:
            found[option] = value
    return found


def _resources(kind: str, service: Tree, around: Surroundings) -> dict[str, Tree]:
    """The top-level configs or secrets that a service uses, less what cannot be honoured."""
    used = {str(entry.get("source")) for entry in service.get(kind) or ()}
    level = kind.removesuffix("s")
    found = {}
    for key, resource in around.section(kind).items():
        if key in used:
            kept = honoured(resource, level, key, around.problems)
            if resource.get("external"):
                # Told already, as an error or a warning; it has no content to speak of.
                kept.put("external", True, resource.where("external"))
            found[key] = kept
    return found


def _dependencies(service: Tree, around: Surroundings) -> tuple[Dependency, ...]:
    """What it waits for, less what profiles leave out and what it can do without."""
    written = service.get("depends_on") or {}
    return tuple(
        Dependency(
            service=other,
            condition=entry["condition"],
            restart=bool(entry.get("restart", False)),
            required=bool(entry.get("required", True)),
        )
        for other, entry in sorted(written.items())
        if other in around.enabled
    )


def _awaited(name: str, around: Surroundings) -> bool:
    """Whether another service waits for this one's end."""
    return any(
        (service.get("depends_on") or {}).get(name, {}).get("condition") == COMPLETED
        for service in around.enabled.values()
    )
