# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``environment``, ``env_file``, labels, and the content of configs and secrets. Pure but for the fleet's own files."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import values
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.dotenv import read_dotenv
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.places import (
    MISSING,
    Look,
    need_file,
    need_text,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import Problems, wrong
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Mark, Tree
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import Content
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate import scalars


def environment(
    name: str, service: Tree, *, variables: Mapping[str, str], look: Look, problems: Problems
) -> dict[str, str]:
    """A service's variables: its env files, and above them ``environment``. A NAME without a value is not there."""
    own = service.get("environment") or Tree(mark=service.mark)
    written = texts("environment", name, own, problems, secret=True)
    found: dict[str, str] = {}
    # A file's values may use the service's own ones, below the fleet's variables.
    known = {key: value for key, value in written.items() if value is not None} | dict(variables)
    for entry in service.get("env_file") or ():
        found |= _env_file(name, entry, known, look, problems)
    for key, value in written.items():
        if not key or "=" in key or any(char.isspace() for char in key):
            problems.add(
                wrong("environment", name, own.where(key), f"'{key}' is no variable's name", "Use one without blanks")
            )
        elif value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return dict(sorted(found.items()))


def labels(name: str, service: Tree, *, look: Look, problems: Problems) -> dict[str, str]:
    """A service's labels: its label files, and above them ``labels``."""
    found: dict[str, str] = {}
    listed = service.get("label_file")
    for path, mark in listed.marked() if listed else ():
        try:
            text = need_text(look, path, mark, role=f"label_file of service '{name}'")
            found |= read_dotenv(path, text, found)
        except InvalidOption as error:
            problems.add(error)
    written = texts("labels", name, service.get("labels") or Tree(mark=service.mark), problems)
    return found | {key: value or "" for key, value in written.items()}


def texts(key: str, service: str, tree: Tree, problems: Problems, *, secret: bool = False) -> dict[str, str | None]:
    """A mapping's values as texts.

    Numbers with a point, and for a ``secret`` mapping booleans, are errors: what
    Compose makes of them, as 1.5 of 1.50, is seldom what was meant. Errors do
    not show the values of a secret mapping.
    """
    found: dict[str, str | None] = {}
    for name, value in tree.items():
        if isinstance(value, float) or (secret and isinstance(value, bool)):
            kind = "boolean" if isinstance(value, bool) else "number with a point"
            problems.add(
                wrong(
                    f"{key}.{name}", service, tree.where(name),
                    f"YAML made it a {kind}, so it may not be what was written",
                    "Quote it" if secret else f'Quote it: "{value}"',
                )
            )  # fmt: skip
        elif isinstance(value, bool):
            found[name] = "true" if value else "false"
        else:
            found[name] = value if value is None else str(value)
    return found


def contents(
    kind: str, name: str, service: Tree, resources: Mapping[str, Tree], *, look: Look, problems: Problems
) -> list[tuple[Content, Mark]]:
    """The files of a service's ``configs`` or ``secrets``, each with where it is asked for."""
    found = []
    listed = service.get(kind)
    for entry, mark in listed.marked() if listed else ():
        source = str(entry.get("source", ""))
        resource = resources.get(source)
        if resource is None:
            problems.add(
                wrong(
                    kind,
                    name,
                    mark,
                    f"there is no '{source}' among the file's {kind}",
                    f"Add it to the top-level {kind}",
                )
            )
            continue
        try:
            content = _content(kind, source, resource, look)
            written = entry.get("mode")
            file_mode = "0444" if written is None else scalars.mode(written)
        except InvalidOption as error:
            problems.add(error)
        except ValueError as error:
            problems.add(wrong(f"{kind}.mode", name, mark, str(error), "Correct it"))
        else:
            if content is not None:
                directory = "/run/secrets" if kind == "secrets" else "/"
                target = posixpath.normpath(posixpath.join(directory, str(entry.get("target") or source)))
                found.append((Content(target=target, content=content, mode=file_mode), mark))
    return found


def _content(kind: str, name: str, resource: Tree, look: Look) -> bytes | None:
    """A config's or secret's content; None where it has no source that can be honoured, which is told already."""
    single = kind.removesuffix("s")
    sources = [key for key in ("file", "environment", "content") if key in resource]
    # A variable's value was put there as content when the file was read.
    if "environment" in sources and "content" in sources:
        sources.remove("content")
    if len(sources) > 1:
        raise wrong_resource(single, name, resource, f"it has {' and '.join(sources)}", "Keep one")
    if not sources:
        if "external" in resource:
            return None
        options = "file or environment" if kind == "secrets" else "file, content or environment"
        raise wrong_resource(single, name, resource, "it has no content", f"Give it {options}")
    if sources == ["file"]:
        path = str(resource["file"])
        return need_file(look, path, resource.where("file"), role=f"the file of {single} '{name}',").content
    if sources == ["environment"] and resource.get("content") is None:
        variable = resource["environment"]
        raise wrong_resource(
            single,
            name,
            resource,
            f"the variable '{variable}' is not set",
            "Set it in variables or in the fleet's .env",
        )
    return str(resource["content"]).encode()


def wrong_resource(kind: str, name: str, resource: Tree, why: str, next_step: str) -> InvalidOption:
    """A top-level config, secret, network or volume cannot be meant as it stands."""
    return InvalidOption(
        f"Cannot use the {kind}",
        obj=name,
        why=f"{resource.mark}: {why}",
        next_step=next_step,
        details={"file": resource.mark.file, "line": resource.mark.line},
    )


def _env_file(name: str, entry: Tree, known: Mapping[str, str], look: Look, problems: Problems) -> dict[str, str]:
    path, mark = str(entry["path"]), entry.mark
    if not entry.get("required", True) and look(path).state == MISSING:
        return {}
    try:
        text = need_text(look, path, mark, role=f"env_file of service '{name}'")
        return values.env_file(path, text) if entry.get("format") == "raw" else read_dotenv(path, text, known)
    except InvalidOption as error:
        problems.add(error)
        return {}
