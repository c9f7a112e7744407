# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What services have to be together: who depends on whom, which names they bear, which disks they share. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.spec import check_service_name
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption, Unsupported
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import Problems, close, wrong
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Tree
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.services import Translated


def enabled(services: Mapping[str, Tree | None], profiles: Iterable[str]) -> dict[str, Tree]:
    """The services of the chosen profiles, and those that have none; ``*`` chooses all."""
    chosen = set(profiles)
    return {
        name: service
        for name, service in services.items()
        if service is not None and (not service.get("profiles") or "*" in chosen or chosen & set(service["profiles"]))
    }


def check_dependencies(services: Mapping[str, Tree], all_names: Iterable[str], problems: Problems) -> None:
    """Every service that is waited for has to be there, and none may wait for itself."""
    known = set(all_names)
    waits: dict[str, list[str]] = {}
    for name, service in services.items():
        written = service.get("depends_on") or Tree(mark=service.mark)
        waits[name] = sorted(other for other in written if other in services)
        for other in sorted(written.keys() - services.keys()):
            if other in known and not written[other].get("required", True):
                continue
            why = f"there is no service '{other}'"
            step = close(other, known)
            if other in known:
                why, step = f"no chosen profile has service '{other}'", "Choose its profile, or set required: false"
            problems.add(wrong("depends_on", name, written.where(other), why, step))
    circle = _circle(waits)
    if circle:
        first = services[circle[0]]
        why = f"they wait for each other: {' → '.join([*circle, circle[0]])}"
        problems.add(wrong("depends_on", circle[0], first.where("depends_on"), why, "Take one of these out"))


def _circle(waits: Mapping[str, Sequence[str]]) -> list[str]:
    """Services that wait for each other, the first such circle in the order of names."""
    done: set[str] = set()
    for start in sorted(waits):
        trail: list[tuple[str, Iterable[str]]] = [(start, iter(waits[start]))] if start not in done else []
        while trail:
            name, others = trail[-1]
            following = next(iter(others), None)
            if following is None:
                done.add(name)
                trail.pop()
            elif any(following == one for one, _unused in trail):
                names = [one for one, _unused in trail]
                return names[names.index(following) :]
            elif following not in done:
                trail.append((following, iter(waits[following])))
    return []


def check_names(fleet: str, services: Mapping[str, Tree], found: Iterable[Translated], problems: Problems) -> None:
    """Every container's name can be a VM's, and no two have the same; vSphere does not tell capitals apart."""
    taken: dict[str, str] = {}
    for one in found:
        service = one.service
        base = f"{fleet}-{service.name}"
        mark = services[service.name].mark
        try:
            check_service_name("the name", base)
        except InvalidOption as error:
            problems.add(wrong("the name", service.name, mark, f"'{base}': {error.why}", error.next_step))
            continue
        names = [base] if service.replicas is None else [f"{base}-{number}" for number in range(service.replicas)]
        for name in names:
            other = taken.setdefault(name.casefold(), service.name)
            if other != service.name:
                why = f"a container of it and one of service '{other}' would both be called '{name}'"
                problems.add(wrong("the name", service.name, mark, why, "Rename one of the services"))
                break


def check_disks(services: Mapping[str, Tree], found: Iterable[Translated], problems: Problems) -> None:
    """A disk is attached to one VM at a time, so a volume has one container."""
    users: dict[str, list[str]] = {}
    for one in found:
        for volume in one.volumes:
            users.setdefault(volume, []).append(one.service.name)
            if (one.service.replicas or 0) > 1:
                problems.add(_shared(volume, one.service.name, services, f"{one.service.replicas} replicas mount it"))
    for volume, names in sorted(users.items()):
        if len(names) > 1:
            problems.add(_shared(volume, names[1], services, f"services {' and '.join(names)} mount it"))


def _shared(volume: str, name: str, services: Mapping[str, Tree], who: str) -> Unsupported:
    mark = services[name].where("volumes")
    return Unsupported(
        f"Cannot share volume '{volume}' in service",
        obj=name,
        why=f"{mark}: {who}, and a volume is a disk, which one VM has at a time",
        next_step="Give each container a volume of its own, or share by a service",
        details={"file": mark.file, "line": mark.line, "key": "volumes", "service": name},
    )
