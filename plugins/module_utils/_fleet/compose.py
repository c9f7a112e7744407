# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From Compose files on disk to a fleet. Pure but for the fleet's own files, which a function handed in reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.values import text
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
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
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import Project, Volume
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate import extension, together
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.contents import wrong_resource
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.honour import check_ignored, honoured
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.services import (
    Surroundings,
    Translated,
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
    known = _variables(variables or {}, look)
    if name:
        known["COMPOSE_PROJECT_NAME"] = name
    model = assemble(_files(files, look), variables=known, look=look)
    problems = Problems(ignore_unsupported)
    check_ignored(list(ignore_unsupported), problems)
    fleet = _fleet_name(name, model, directory)
    kept = honoured(model, "fleet", fleet, problems)
    services: Mapping[str, Tree | None] = model.get("services") or {}
    enabled = together.enabled(services, profiles or known.get("COMPOSE_PROFILES", "").split(","))
    together.check_dependencies(enabled, services, problems)
    top = extension.read(kept, "top", "", problems)
    around = Surroundings(model=kept, enabled=enabled, top=top, variables=known, look=look, problems=problems)
    found = [translate(one, enabled[one], around) for one in sorted(enabled)]
    together.check_names(fleet, enabled, found, problems)
    together.check_disks(enabled, found, problems)
    volumes = _volumes(fleet, found, around)
    problems.settle(FAILED)
    return Project(
        name=fleet,
        services=tuple(one.service for one in found),
        idle=tuple(sorted(services.keys() - enabled.keys())),
        volumes=volumes,
        places={key: top[key] for key in _PLACES if key in top},
        warnings=tuple(dict.fromkeys(problems.warnings)),
    )


def _variables(given: Mapping[str, Any], look: Look) -> dict[str, str]:
    """The variables given, and below them those of ``.env``."""
    own = {
        str(name): text(f"variables.{name}", value, secret=True) for name, value in given.items() if value is not None
    }
    if look(".env").state == MISSING:
        return own
    return read_dotenv(".env", need_text(look, ".env", None, role="the variables in"), own) | own


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


def _fleet_name(name: str, model: Tree, directory: str) -> str:
    """The name as it is given, or else as Compose makes it."""
    if name:
        return name
    if model.get("name"):
        return str(model["name"])
    made = re.sub(r"[^a-z0-9_-]", "", directory.rstrip("/").rpartition("/")[2].lower()).lstrip("_-")
    if not _NAME.fullmatch(made):
        raise InvalidOption(
            "Cannot name the fleet", obj=directory, why="its directory's name has no letter that it could be called by",
            next_step="Set a name",
        )  # fmt: skip
    return made


def _volumes(fleet: str, found: Sequence[Translated], around: Surroundings) -> tuple[Volume, ...]:
    """The named volumes, those too that no chosen service mounts: what a file still names is not to be pruned."""
    problems = around.problems
    mounted = {volume for one in found for volume in one.volumes}
    volumes = []
    for key, written in sorted(around.section("volumes").items()):
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
                size_gb=None if external else own.get("size_gb", around.top.get("size_gb")),
                external=external,
                datastore=own.get("datastore", ""),
            )
        )
    return tuple(volumes)
