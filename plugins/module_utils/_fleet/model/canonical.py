# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One form for everything that Compose lets one write in several; paths are made relative to the fleet. Pure."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Callable
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model import forms
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import Problems, mistake
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Items, Mark, Tree, items

# Lists of NAME=VALUE, or mappings.
PAIRS = ("annotations", "environment", "labels", "sysctls")


def canonical(tree: Tree, base: str, problems: Problems) -> None:
    """Rewrite a validated file in place. ``base`` is the directory that its relative paths start from."""
    for name, service in _entries(tree, "services"):
        if service is not None:
            _Service(name, service, base, problems).rewrite()
    for kind in ("networks", "volumes", "configs", "secrets"):
        for name, resource in list(_entries(tree, kind)):
            tree[kind][name] = _resource(resource, tree[kind].where(name), base)
    for entry in tree.get("include") or ():
        if isinstance(entry, Tree) and "env_file" in entry:
            entry["env_file"] = items(entry["env_file"], mark=entry.where("env_file"))


def join(base: str, path: str) -> str:
    """A path from the fleet's directory; absolute ones and those from a home stay."""
    if path.startswith(("/", "~")):
        return path
    return posixpath.normpath(posixpath.join(base, path))


def pairs(value: Any, mark: Mark) -> Tree:
    """NAME=VALUE entries as a mapping; a bare NAME has None."""
    if isinstance(value, Tree):
        return value
    found = Tree(mark=mark)
    for entry, place in value.marked() if isinstance(value, Items) else ():
        name, equals, text = str(entry).partition("=")
        if not name or name != name.rstrip():
            raise forms.BadForm("a name is empty or ends in a blank")
        found.put(name, text if equals else None, place)
    return found


def _entries(tree: Tree, key: str) -> list[tuple[str, Any]]:
    section = tree.get(key)
    return list(section.items()) if section else []


def _resource(value: Any, mark: Mark, base: str) -> Tree:
    found = value if isinstance(value, Tree) else Tree(mark=mark)
    external = found.get("external")
    if isinstance(external, Tree):
        # The old form: external: {name: NAME}
        found["external"] = True
        if "name" in external:
            found.setdefault("name", external["name"])
    if "labels" in found:
        found["labels"] = pairs(found["labels"], found.where("labels"))
    if "file" in found:
        found["file"] = join(base, str(found["file"]))
    return found


class _Service:
    def __init__(self, name: str, service: Tree, base: str, problems: Problems) -> None:
        self._name = name
        self._service = service
        self._base = base
        self._problems = problems

    def rewrite(self) -> None:
        service = self._service
        for key in ("deploy", "develop"):
            if key in service and service[key] is None:
                del service[key]
        for key in PAIRS:
            self._replace(key, pairs)
        self._replace("env_file", self._env_files)
        self._replace("label_file", self._label_files)
        self._replace("depends_on", _dependencies)
        self._replace("networks", _networks)
        self._replace("ports", lambda value, mark: forms.ports(value))
        self._replace("volumes", self._volumes)
        for key in ("configs", "secrets"):
            self._replace(key, _each(forms.file_mount))
        for key in ("dns", "dns_search", "tmpfs"):
            self._replace(key, lambda value, mark: items(value, mark=mark))
        for key in ("expose", "group_add"):
            self._replace(key, _each(lambda entry, mark: str(entry)))
        self._replace("extra_hosts", _hosts)
        self._replace(
            "extends", lambda value, mark: Tree({"service": value}, mark=mark) if isinstance(value, str) else value
        )
        self._replace(
            "build", lambda value, mark: Tree({"context": value}, mark=mark) if isinstance(value, str) else value
        )
        for key in ("command", "entrypoint"):
            self._replace(key, _words)
        self._replace("healthcheck", _healthcheck)
        if isinstance(service.get("deploy"), Tree) and "labels" in service["deploy"]:
            service["deploy"]["labels"] = pairs(service["deploy"]["labels"], service.where("deploy"))

    def _replace(self, key: str, rewrite: Callable[[Any, Mark], Any]) -> None:
        value = self._service.get(key)
        if value is None:
            return
        mark = self._service.where(key)
        try:
            self._service[key] = rewrite(value, mark)
        except forms.BadForm as bad:
            self._problems.add(
                mistake(
                    f"Cannot use {key} of service",
                    self._name,
                    mark,
                    str(bad),
                    "Correct it",
                    key=key,
                    service=self._name,
                )
            )
            del self._service[key]

    def _env_files(self, value: Any, mark: Mark) -> Items:
        found = Items(mark=mark)
        for entry, place in items(value, mark=mark).marked():
            one = entry if isinstance(entry, Tree) else Tree({"path": entry}, mark=place)
            one["path"] = join(self._base, str(one["path"]))
            one.setdefault("required", True)
            found.put(one, place)
        return found

    def _label_files(self, value: Any, mark: Mark) -> Items:
        listed = items(value, mark=mark)
        return Items((join(self._base, path) for path in listed), mark=mark, at=listed.at)

    def _volumes(self, value: Any, mark: Mark) -> Items:
        found = Items(mark=mark)
        for entry, place in value.marked():
            one = entry if isinstance(entry, Tree) else forms.volume(entry, place)
            if not one.get("target"):
                raise forms.BadForm("a volume has no target")
            one["target"] = forms.clean(str(one["target"]))
            if one["type"] == "bind":
                if not one.get("source"):
                    raise forms.BadForm(f"the bind mount at '{one['target']}' has no source")
                one["source"] = join(self._base, str(one["source"]))
            found.put(one, place)
        return found


def _each(rewrite: Callable[[Any, Mark], Any]) -> Callable[[Any, Mark], Items]:
    def rewritten(value: Any, mark: Mark) -> Items:
        return Items((rewrite(entry, place) for entry, place in value.marked()), mark=mark, at=value.at)

    return rewritten


def _dependencies(value: Any, mark: Mark) -> Tree:
    found = Tree(mark=mark)
    if isinstance(value, Tree):
        for name, condition in value.items():
            condition.setdefault("required", True)
            found.put(name, condition, value.where(name))
    else:
        for name, place in value.marked():
            found.put(name, Tree({"condition": "service_started", "required": True}, mark=place), place)
    return found


def _networks(value: Any, mark: Mark) -> Tree:
    if isinstance(value, Tree):
        return value
    return Tree(dict.fromkeys(value), mark=mark, at=dict(value.marked()))


def _hosts(value: Any, mark: Mark) -> Tree:
    """Names with the lists of their addresses, which may stand in brackets."""
    found = Tree(mark=mark)
    written: list[tuple[str, str, Mark]] = []
    if isinstance(value, Tree):
        for name, addresses in value.items():
            written += [(name, str(one), value.where(name)) for one in items(addresses, mark=mark)]
    else:
        for entry, place in value.marked():
            name, separator, addresses = entry.partition("=") if "=" in entry else entry.partition(":")
            if not separator:
                raise forms.BadForm(f"'{entry}' has no address; write NAME=ADDRESS")
            written += [(name, one, place) for one in addresses.split(",")]
    for name, address, place in written:
        if not name or ":" in name or "=" in name:
            raise forms.BadForm(f"'{name}' is no host's name")
        if name not in found:
            found.put(name, Items(mark=place), place)
        found[name].put(address.removeprefix("[").removesuffix("]"), place)
    return found


def _words(value: Any, mark: Mark) -> Any:
    if not isinstance(value, str):
        return value
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise forms.BadForm(f"its quotes are not balanced ({error})") from error
    return Items(words, mark=mark, at=[mark] * len(words))


def _healthcheck(value: Any, mark: Mark) -> Tree:
    found: Tree = value
    if isinstance(found.get("test"), str):
        place = found.where("test")
        found["test"] = Items(["CMD-SHELL", found["test"]], mark=place, at=[place, place])
    return found
