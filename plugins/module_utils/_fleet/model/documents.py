# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""YAML as Compose reads it: 1.2's scalars, anchors, merge keys, no key twice, ``!reset`` and ``!override``. Pure.

PyYAML parses; what its nodes mean is decided here, because YAML 1.1, which it
implements, makes a boolean of ``no`` and a number of ``22:22``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import mistake
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Items, Mark, Path, Tree

RESET, OVERRIDE = "!reset", "!override"

_Node = Any  # PyYAML's, which is imported where it is needed only
_PLAIN = "!plain"
_TAG = "tag:yaml.org,2002:"
_STRING_TAGS = frozenset({_TAG + "str", _TAG + "binary", "!"})
_COLLECTION_TAGS = frozenset({_TAG + "map", _TAG + "seq", OVERRIDE})
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
# An alias costs one line and may stand for thousands: files that unfold to more than this are refused.
_MOST_NODES = 100_000
_DEEPEST = 100


@functools.lru_cache(maxsize=1)
def _loader() -> Any:
    """PyYAML's loader, composing nodes only; plain scalars keep a tag of their own."""
    import yaml  # only fleets need it, so other modules do without

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: dict[Any, Any] = {}

    Loader.add_implicit_resolver(_PLAIN, re.compile(""), None)
    return Loader


@dataclass(frozen=True, kw_only=True)
class Document:
    """One YAML document, and the paths at which it resets what earlier files said."""

    tree: Tree
    resets: tuple[Path, ...] = ()


def read_documents(file: str, text: str) -> list[Document]:
    """Every document of a file; raises InvalidOption, which names the file and the line."""
    import yaml

    try:
        nodes = [node for node in yaml.compose_all(text, Loader=_loader()) if node is not None]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise _invalid(file, line, error.problem or str(error)) from error
    except yaml.YAMLError as error:
        raise _invalid(file, 0, str(error).splitlines()[0]) from error
    except RecursionError as error:
        raise _invalid(file, 0, "it is nested too deep") from error
    found = [_Builder(file).document(node) for node in nodes if (node.tag, node.value) != (_PLAIN, "")]
    if not found:
        raise mistake("Cannot use the Compose file", file, None, "it is empty", "Write at least 'services: {}'")
    return found


def plain_scalar(text: str) -> Any:
    """What an unquoted scalar means."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        digits = text.replace("_", "")
        if re.fullmatch(r"[-+]?0[0-7]+", digits):
            return int(digits, 8)
        return int(digits, 0)
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", "").replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf")
                     .replace(".nan", "nan").replace(".NaN", "nan").replace(".NAN", "nan"))  # fmt: skip
    return text


class _Builder:
    """From nodes to values. Each alias is built anew, so that no two places share a container."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._resets: list[Path] = []
        self._open: list[_Node] = []
        self._built = 0

    def document(self, node: _Node) -> Document:
        tree = self._build(node, ())
        if not isinstance(tree, Tree):
            raise self._error(node, "a Compose file is a mapping", "Begin it with 'services:'")
        return Document(tree=tree, resets=tuple(self._resets))

    def _build(self, node: _Node, path: Path) -> Any:
        self._built += 1
        if self._built > _MOST_NODES:
            raise self._error(node, "its aliases unfold to too many values", "Use fewer aliases")
        if len(self._open) > _DEEPEST:
            raise self._error(node, "it is nested too deep", "Write it flatter")
        if node in self._open:
            raise self._error(node, "an anchor holds itself", "Break the circle")
        if node.tag == OVERRIDE:
            self._resets.append(path)
        self._open.append(node)
        try:
            if node.id == "mapping":
                self._check_tag(node)
                return self._mapping(node, path)
            if node.id == "sequence":
                self._check_tag(node)
                return self._sequence(node, path)
            return self._scalar(node)
        finally:
            self._open.pop()

    def _mapping(self, node: _Node, path: Path) -> Tree:
        tree = Tree(mark=self._mark(node))
        seen: dict[str, _Node] = {}
        merged: list[Tree] = []
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key in seen:
                first = seen[key].start_mark.line + 1
                raise self._error(
                    key_node, f"the key '{key}' is there twice, first in line {first}", "Keep one of the two"
                )
            seen[key] = key_node
            if key == "<<" and key_node.tag == _PLAIN:
                merged = list(self._merged(value_node, path))
            elif value_node.tag == RESET:
                self._resets.append((*path, key))
            else:
                value, mark = self._build(value_node, (*path, key)), self._mark(key_node)
                if isinstance(value, (Tree, Items)):
                    # To a reader a block begins with its name.
                    value.mark = mark
                tree.put(key, value, mark)
        for other in merged:
            for key in other.keys() - tree.keys() - seen.keys():
                tree.put(key, other[key], other.where(key))
        return tree

    def _merged(self, node: _Node, path: Path) -> Iterator[Tree]:
        for one in node.value if node.id == "sequence" else [node]:
            found = self._build(one, path)
            if not isinstance(found, Tree):
                raise self._error(one, "only a mapping can be merged by '<<'", "Let it name an anchor of a mapping")
            yield found

    def _sequence(self, node: _Node, path: Path) -> Items:
        items = Items(mark=self._mark(node))
        for entry in node.value:
            if entry.tag == RESET:
                raise self._error(entry, "!reset stands before a key's value only", "Put it before the whole list")
            items.put(self._build(entry, (*path, str(len(items)))), self._mark(entry))
        return items

    def _key(self, node: _Node) -> str:
        key = self._scalar(node) if node.id == "scalar" else None
        if not isinstance(key, str):
            raise self._error(node, "a key is no text", "Quote it")
        return key

    def _scalar(self, node: _Node) -> Any:
        tag, text = node.tag, str(node.value)
        if tag == _PLAIN or (tag == OVERRIDE and node.style is None):
            return plain_scalar(text)
        if tag in _STRING_TAGS or tag == OVERRIDE:
            return text
        if tag in (_TAG + "int", _TAG + "float", _TAG + "bool", _TAG + "null"):
            return plain_scalar(text)
        raise self._unknown_tag(node)

    def _check_tag(self, node: _Node) -> None:
        if node.tag not in _COLLECTION_TAGS:
            raise self._unknown_tag(node)

    def _unknown_tag(self, node: _Node) -> InvalidOption:
        tag = str(node.tag).replace(_TAG, "!!")
        return self._error(node, f"Compose knows no tag '{tag}'", f"Use {RESET} or {OVERRIDE}, or leave it out")

    def _mark(self, node: _Node) -> Mark:
        return Mark(file=self._file, line=node.start_mark.line + 1)

    def _error(self, node: _Node, why: str, next_step: str) -> InvalidOption:
        return mistake("Cannot use the Compose file", self._file, self._mark(node), why, next_step)


def _invalid(file: str, line: int, why: str) -> InvalidOption:
    return mistake(
        "Cannot read the YAML of", file, Mark(file=file, line=line), why, "Correct the indentation or quoting there"
    )
