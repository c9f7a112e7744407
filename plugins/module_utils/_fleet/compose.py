# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From Compose files on disk to a fleet. Pure but for the fleet's own files, which a function handed in reads."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.values import text
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet import order
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.files import inside
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.assemble import FAILED, assemble
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.dotenv import read_dotenv
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.places import (
    FILE,
    MISSING,
    Look,
    need_text,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import Problems
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Tree
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import (
    Dependency,
    FleetService,
    Project,
    Volume,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate import extension, together
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.contents import wrong_resource
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.honour import check_ignored, honoured
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.services import (
    Surroundings,
    translate,
)

# What reading Compose files needs beyond Python: modules by the packages that bring them.
LIBRARIES = {"PyYAML": "yaml", "jsonschema": "jsonschema"}
# As Compose looks for them, the first that is there; its override, too.
DEFAULT_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_PLACES = ("folder", "datastore", "resource_pool")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def load(
    directory: str,
    files: Sequence[str] = (),
    *,
    name: str = "",
    variables: Mapping[str, Any] | None = None,
    profiles: Sequence[str] = (),
    ignore_unsupported: Sequence[str] = (),
    look: Look | None = None,
) -> Project:
    """Read a fleet's Compose files.

    Args:
        directory: the fleet's directory; no file outside of it is ever read.
        files: the Compose files from there, later ones over earlier ones. None given, it is ``compose.yaml`` or what
            else Compose looks for, and its override.
        name: the fleet's name. Empty, it is the ``name`` in the files, or else the directory's.
        variables: what interpolation and bare names of environments take their values from, above the directory's
            ``.env``. The process's environment is never looked at.
        profiles: the chosen profiles, ``*`` for all. None given, those of the variable ``COMPOSE_PROFILES``.
        ignore_unsupported: keys that may stand in the files although they cannot be honoured, such as ``build`` or
            ``deploy.placement``; each becomes a warning.
        look: reads the directory's files; only tests need another one.

    Raises:
        InvalidOption, Unsupported, Several: all that is wrong, each with its file, and its line where it is known.
    """
    look = look or inside(directory)
    paths = _files(files, look)
    known, fleet = _named(name, directory, paths, look=look, variables=_variables(variables or {}, look))
    model = assemble(paths, variables=known, look=look)
    problems = Problems(ignore_unsupported)
    check_ignored(list(ignore_unsupported), problems)
    kept = honoured(model, "fleet", fleet, problems)
    services: Mapping[str, Tree | None] = model.get("services") or {}
    enabled = together.enabled(services, profiles or known.get("COMPOSE_PROFILES", "").split(","))
    together.check_dependencies(enabled, services, problems)
    top = extension.read(kept, "top", "", problems)
    around = Surroundings(model=kept, enabled=enabled, top=top, variables=known, look=look, problems=problems)
    found = [translate(one, enabled[one], around) for one in sorted(enabled)]
    together.check_names(fleet, enabled, found, problems)
    together.check_disks(enabled, found, problems)
    mounted = {volume for one in found for volume in one.volumes}
    volumes = _volumes(fleet, around.section("volumes"), top, problems, mounted=mounted)
    problems.settle(FAILED)
    return Project(
        name=fleet,
        services=tuple(one.service for one in found),
        idle=tuple(sorted(services.keys() - enabled.keys())),
        volumes=volumes,
        places={key: top[key] for key in _PLACES if key in top},
        warnings=tuple(dict.fromkeys(problems.warnings)),
    )


def outline(
    directory: str,
    files: Sequence[str] = (),
    *,
    name: str = "",
    variables: Mapping[str, Any] | None = None,
    look: Look | None = None,
) -> Project:
    """Of a fleet that is to go what its removal needs: its name and places, its volumes, and who depends on whom.

    Services count whatever their profiles. All else may be wrong, or have variables without a value. Arguments as
    ``load`` takes them.

    Raises: InvalidOption, Several, for what is needed and cannot be read.
    """
    look = look or inside(directory)
    paths = _files(files, look)
    known, fleet = _named(name, directory, paths, look=look, variables=_variables(variables or {}, look))
    model = assemble(paths, variables=known, look=look, part=_needed_to_remove)
    problems = Problems()
    top = extension.read(model, "top", "", problems)
    volumes = _volumes(fleet, model.get("volumes") or {}, top, problems, mounted=frozenset())
    problems.settle(FAILED)
    return Project(
        name=fleet,
        services=_bare_services(model.get("services") or {}),
        volumes=volumes,
        places={key: top[key] for key in _PLACES if key in top},
    )


def _needed_to_remove(tree: Tree) -> Tree:
    found = _some(tree, ("name", "include", "services", "volumes", extension.NAME))
    for section, keys in (("services", ("depends_on", "extends")), ("volumes", ("name", "external", extension.NAME))):
        inner = found.get(section)
        if isinstance(inner, Tree):
            named = {
                key: _some(one, keys) if isinstance(one, Tree) else Tree(mark=inner.where(key))
                for key, one in inner.items()
            }
            found[section] = Tree(named, mark=inner.mark, at=inner.at)
    return found


def _some(tree: Tree, keys: Sequence[str]) -> Tree:
    return Tree({key: tree[key] for key in keys if key in tree}, mark=tree.mark, at=tree.at)


def _bare_services(written: Mapping[str, Tree | None]) -> tuple[FleetService, ...]:
    """Services of which only the order is known; where they wait for each other in a circle there is none."""
    waits = {name: sorted(service.get("depends_on") or {}) if service else [] for name, service in written.items()}
    found = tuple(
        FleetService(
            name=name, options={}, depends_on=tuple(Dependency(service=one) for one in others if one in written)
        )
        for name, others in sorted(waits.items())
    )
    try:
        order.check(found)
    except InvalidOption:
        return tuple(FleetService(name=one.name, options={}) for one in found)
    return found


def _named(
    name: str, directory: str, paths: Sequence[str], *, look: Look, variables: Mapping[str, str]
) -> tuple[dict[str, str], str]:
    """The variables with the fleet's name among them, and that name: as given, or as Compose finds it."""
    if name:
        return {**variables, "COMPOSE_PROJECT_NAME": name}, name
    found = _fleet_name(assemble(paths, variables=variables, look=look, part=_only_name), directory)
    return {"COMPOSE_PROJECT_NAME": found, **variables}, found


def _only_name(tree: Tree) -> Tree:
    return _some(tree, ("name",))


def _variables(given: Mapping[str, Any], look: Look) -> dict[str, str]:
    """The variables given, and below them those of ``.env``."""
    own = {
        str(name): text(f"variables.{name}", value, secret=True) for name, value in given.items() if value is not None
    }
    if look(".env").state != MISSING:
        return read_dotenv(".env", need_text(look, ".env", None, role="the variables in"), own) | own
    return own


def _files(files: Sequence[str], look: Look) -> list[str]:
    if files:
        return list(files)
    for default in DEFAULT_FILES:
        if look(default).state == MISSING:
            continue
        stem = default.rpartition(".")[0]
        overrides = [f"{stem}.override.{ending}" for ending in ("yaml", "yml")]
        return [default, *[one for one in overrides if look(one).state == FILE][:1]]
    raise InvalidOption(
        "Cannot find a Compose file",
        why=f"the fleet's directory has none of {', '.join(DEFAULT_FILES)}",
        next_step="Add one, or name the files",
    )


def _fleet_name(model: Tree, directory: str) -> str:
    """The name of the files, or else as Compose makes it of the directory's."""
    if model.get("name"):
        return str(model["name"])
    made = re.sub(r"[^a-z0-9_-]", "", directory.rstrip("/").rpartition("/")[2].lower()).lstrip("_-")
    if not _NAME.fullmatch(made):
        raise InvalidOption(
            "Cannot name the fleet", obj=directory, why="its directory's name has no letter that it could be called by",
            next_step="Set a name",
        )  # fmt: skip
    return made


def _volumes(
    fleet: str, section: Mapping[str, Tree], top: Mapping[str, Any], problems: Problems, *, mounted: Collection[str]
) -> tuple[Volume, ...]:
    """The named volumes, those too that no chosen service mounts: what a file still names is not to be pruned."""
    volumes = []
    for key, written in sorted(section.items()):
        # Of an unmounted one only its name counts, so nothing of it has to be honoured.
        tree = honoured(written, "volume", key, problems if key in mounted else Problems())
        own = extension.read(tree, "volume", key, problems)
        external = bool(tree.get("external"))
        if external and "size_gb" in own:
            problems.add(wrong_resource("volume", key, tree, "an external one has its size already", "Remove size_gb"))
        volumes.append(
            Volume(
                key=key,
                name=str(tree.get("name") or (key if external else f"{fleet}_{key}")),
                size_gb=None if external else own.get("size_gb", top.get("size_gb")),
                external=external,
                datastore=own.get("datastore", ""),
            )
        )
    return tuple(volumes)
