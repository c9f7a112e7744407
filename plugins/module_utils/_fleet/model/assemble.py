# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From Compose files to the one model that they make together: extends, include, and files over files. Pure.

Each file goes the same way: read, interpolate, cast, validate, canonical form,
extends, include; then it is merged over the files before it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model import merge as merging
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.canonical import canonical, join
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.cast import cast
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.documents import Document, read_documents
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.dotenv import read_dotenv
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.interpolate import interpolate
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.places import FILE, Look, need_text
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import Problems, close, mistake
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.schema import validate
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import (
    Items,
    Mark,
    Path,
    Tree,
    clone,
    items,
)

FAILED = "Cannot use the Compose files"
_SECTIONS = ("services", "volumes", "networks", "secrets", "configs", "models")


@dataclass(frozen=True, kw_only=True)
class _Place:
    """What a file's values depend on: where its relative paths start, and its variables."""

    base: str
    variables: Mapping[str, str]


def assemble(
    files: Sequence[str],
    *,
    variables: Mapping[str, str],
    look: Look,
    part: Callable[[Tree], Tree] = lambda tree: tree,
) -> Tree:
    """The files' common model in canonical form, profiles not yet looked at.

    Args:
        part: of a file as it is written the part that counts; the rest may be wrong.

    Raises:
        InvalidOption, Several: each error names the file, and the line where it is known.
    """
    return _Assembler(look, part).files(files, _Place(base="", variables=variables), included=())


class _Assembler:
    def __init__(self, look: Look, part: Callable[[Tree], Tree]) -> None:
        self._look = look
        self._part = part

    def files(self, paths: Sequence[str], place: _Place, *, included: tuple[str, ...]) -> Tree:
        """Files of one place, each merged over those before it."""
        merged: Tree | None = None
        for path in paths:
            for document in self._read(path, place):
                tree = document.tree
                self._extend_all(tree, path, document.resets, place)
                if merged is not None:
                    merging.reset(merged, document.resets)
                self._include(tree, path, place, included=(*included, path))
                merged = tree if merged is None else merging.merge(merged, tree)
        if merged is None:
            raise AssertionError("a file has at least one document")
        return merged

    def _read(self, path: str, place: _Place) -> list[Document]:
        """A file's documents, canonical, with neither extends nor include followed."""
        text = need_text(self._look, path, None, role="the Compose file")
        found = []
        for document in read_documents(path, text):
            problems = Problems()
            tree = interpolate(self._part(document.tree), place.variables, problems, mark=document.tree.mark)
            problems.settle(FAILED)
            cast(tree, problems)
            validate(tree, problems)
            problems.settle(FAILED)
            canonical(tree, place.base, problems)
            problems.settle(FAILED)
            _fill_in(tree, place.variables)
            found.append(Document(tree=tree, resets=document.resets))
        return found

    # Extends
    def _extend_all(self, tree: Tree, path: str, resets: tuple[Path, ...], place: _Place) -> None:
        services = tree.get("services") or {}
        for name in list(services):
            if isinstance(services[name], Tree):
                services[name] = self._extended(services, name, path, resets, place, chain=())

    def _extended(
        self, services: Any, name: str, path: str, resets: tuple[Path, ...], place: _Place, *, chain: tuple[str, ...]
    ) -> Tree:
        """A service with all that it extends, over any number of files."""
        service: Tree = services[name]
        extends = service.get("extends")
        if extends is None:
            return service
        mark = service.where("extends")
        link = f"{path}: {name}"
        if link in chain:
            told = ", then ".join([*chain, link])
            raise mistake("Cannot extend service", name, mark, f"it extends itself: {told}", "Break the circle")
        base_name = str(extends["service"])
        base_path, base_services, base_resets, base_place = path, services, resets, place
        if "file" in extends:
            base_path = join(place.base, str(extends["file"]))
            need_text(self._look, base_path, mark, role=f"the file that service '{name}' extends,")
            base_place = _Place(base=posixpath.dirname(base_path), variables=place.variables)
            document = self._single(base_path, base_place)
            base_services, base_resets = document.tree.get("services") or {}, document.resets
        if not isinstance(base_services.get(base_name), Tree):
            hint = close(base_name, base_services)
            raise mistake("Cannot extend service", name, mark, f"{base_path} has no service '{base_name}'", hint)
        base = self._extended(base_services, base_name, base_path, base_resets, base_place, chain=(*chain, link))
        base_service = Tree({"services": Tree({name: clone(base)}, mark=base.mark)}, mark=base.mark)
        merging.reset(base_service, resets)
        result = merging.extend(base_service["services"][name], service, name=name)
        result.pop("extends", None)
        services[name] = result
        return result

    def _single(self, path: str, place: _Place) -> Document:
        """A file that is extended, its documents as one."""
        documents = self._read(path, place)
        merged = documents[0].tree
        for document in documents[1:]:
            merging.reset(merged, document.resets)
            merged = merging.merge(merged, document.tree)
        return Document(tree=merged, resets=documents[-1].resets)

    # Include
    def _include(self, tree: Tree, path: str, place: _Place, *, included: tuple[str, ...]) -> None:
        section = tree.pop("include", None)
        for entry, mark in section.marked() if isinstance(section, Items) else ():
            wanted = entry if isinstance(entry, Tree) else Tree({"path": entry}, mark=mark)
            paths = [join(place.base, one) for one in items(wanted.get("path"), mark=mark)]
            if not paths:
                raise mistake("Cannot include into", path, mark, "no path is given", "Add 'path'")
            for one in paths:
                need_text(self._look, one, mark, role="the included file")
            for again in (one for one in paths if one in included):
                told = ", which includes ".join([*included, again])
                raise mistake("Cannot include", again, mark, f"it includes itself: {told}", "Break the circle")
            directory = wanted.get("project_directory")
            base = join(place.base, directory) if directory else posixpath.dirname(paths[0])
            inner = _Place(base=base, variables=self._include_variables(wanted, base, place, mark))
            self._take_over(tree, self.files(paths, inner, included=included), mark, paths[0])

    def _include_variables(self, wanted: Tree, base: str, place: _Place, mark: Mark) -> dict[str, str]:
        """The outer variables, and below them those of the include's env files."""
        found: dict[str, str] = {}
        if "env_file" in wanted:
            paths = [join(place.base, one) for one in items(wanted["env_file"], mark=mark)]
        else:
            default = join(base, ".env")
            paths = [default] if self._look(default).state == FILE else []
        for path in paths:
            text = need_text(self._look, path, mark, role="the env_file of the include")
            found |= read_dotenv(path, text, {**found, **place.variables})
        return {**found, **place.variables}

    @staticmethod
    def _take_over(tree: Tree, imported: Tree, mark: Mark, path: str) -> None:
        for section in _SECTIONS:
            for name, value in (imported.get(section) or {}).items():
                if not isinstance(tree.get(section), Tree):
                    tree.put(section, Tree(mark=mark), mark)
                into = tree[section]
                if name in into and into[name] != value:
                    raise mistake(
                        "Cannot include", path, mark,
                        f"{section}.{name} is in {into.where(name)} already, and differs",
                        "Rename one of the two, or override it in a further file",
                    )  # fmt: skip
                into.put(name, value, imported[section].where(name))


def _fill_in(tree: Tree, variables: Mapping[str, str]) -> None:
    """Give bare names of environments, and configs and secrets of a variable, the values that hold in their file."""
    for service in (tree.get("services") or {}).values():
        environment: Any = service.get("environment") if isinstance(service, Tree) else None
        for name, value in environment.items() if environment else ():
            if value is None:
                environment[name] = variables.get(name)
    for section in ("configs", "secrets"):
        for resource in (tree.get(section) or {}).values():
            if isinstance(resource, Tree) and variables.get(resource.get("environment", "")) is not None:
                resource["content"] = variables[resource["environment"]]
