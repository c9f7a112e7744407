# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables in values: ``$NAME`` and every form of ``${NAME}``, as Compose has them. Pure.

One thing differs on purpose: a variable that is not defined and has no default
is an error. Compose puts nothing in its place and goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import Problems, close, mistake
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Items, Mark, Tree

Lookup = Callable[[str], "str | None"]

_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_OPERATOR = re.compile(r":?[-?+]")
_DEEPEST = 50


class BadVariable(Exception):
    """A text cannot be interpolated. ``name`` is the variable, empty where the syntax is wrong."""

    def __init__(self, *, why: str, name: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.name = name


def substitute(text: str, lookup: Lookup) -> str:
    """Put values in place of variables; raises BadVariable.

    ``$$`` is a dollar, and so is one that no name or brace follows. A default,
    an alternative or a message is interpolated only where it is used.
    """
    value, end = _words(text, 0, lookup, nested=False, depth=0, used=True)
    if end != len(text):
        raise AssertionError("outside of braces all text is read")
    return value


def interpolate(value: Any, variables: Mapping[str, str], problems: Problems, *, mark: Mark) -> Any:
    """Interpolate all texts below a value; what cannot be is told to ``problems``, by where it stands."""
    if isinstance(value, Tree):
        return Tree(
            {key: interpolate(item, variables, problems, mark=value.where(key)) for key, item in value.items()},
            mark=value.mark,
            at=value.at,
        )
    if isinstance(value, Items):
        return Items(
            [interpolate(item, variables, problems, mark=place) for item, place in value.marked()],
            mark=value.mark,
            at=value.at,
        )
    if not isinstance(value, str) or "$" not in value:
        return value
    try:
        return substitute(value, variables.get)
    except BadVariable as bad:
        problems.add(bad_variable(bad, mark, variables))
        return ""


def bad_variable(bad: BadVariable, mark: Mark, known: Mapping[str, str]) -> InvalidOption:
    """The error for a text that cannot be interpolated; it shows no values."""
    if not bad.name:
        return mistake("Cannot interpolate a value of", mark.file, mark, bad.why, "Write '$$' for a dollar")
    hint = close(bad.name, known)
    step = f"Set it in variables or in the fleet's .env, or write a default, as in ${{{bad.name}:-text}}"
    return mistake(
        "There is no value for the variable", bad.name, mark, bad.why, f"{hint}? {step}" if "mean" in hint else step
    )


def _words(text: str, start: int, lookup: Lookup, *, nested: bool, depth: int, used: bool) -> tuple[str, int]:
    """Text up to its end, or inside of braces up to the one that closes; returns where that is."""
    if depth > _DEEPEST:
        raise BadVariable(why="variables are nested too deep")
    parts: list[str] = []
    at, braces = start, 0
    while at < len(text):
        char = text[at]
        if char == "$":
            value, at = _variable(text, at, lookup, depth=depth, used=used)
            parts.append(value)
            continue
        if nested and char == "}":
            if not braces:
                return "".join(parts), at
            braces -= 1
        elif nested and char == "{":
            braces += 1
        parts.append(char)
        at += 1
    if nested:
        raise BadVariable(why="'${' is not closed")
    return "".join(parts), at


def _variable(text: str, at: int, lookup: Lookup, *, depth: int, used: bool) -> tuple[str, int]:
    following = text[at + 1 : at + 2]
    if following == "$":
        return "$", at + 2
    if following != "{":
        named = _NAME.match(text, at + 1)
        if not named:
            return "$", at + 1
        return (_required(named[0], lookup) if used else ""), named.end()
    named = _NAME.match(text, at + 2)
    if not named:
        raise BadVariable(why="no variable's name follows '${'")
    name, at = named[0], named.end()
    if text[at : at + 1] == "}":
        return (_required(name, lookup) if used else ""), at + 1
    operator = _OPERATOR.match(text, at)
    if not operator:
        raise BadVariable(why="the name after '${' is followed by neither '}' nor an operator such as ':-'")
    return _braced(text, operator, name, lookup, depth=depth, used=used)


def _braced(
    text: str, operator: re.Match[str], name: str, lookup: Lookup, *, depth: int, used: bool
) -> tuple[str, int]:
    value = lookup(name)
    there = bool(value) if operator[0].startswith(":") else value is not None
    kind = operator[0][-1]
    # What stands in for the value is wanted where the value is missing; only '+' wants it where it is there.
    wanted = used and (there if kind == "+" else not there)
    words, end = _words(text, operator.end(), lookup, nested=True, depth=depth + 1, used=wanted)
    if kind == "?" and wanted:
        state = "not set" if value is None else "empty"
        raise BadVariable(name=name, why=f"it is {state}: {words}" if words else f"it is {state}, and required")
    result = words if wanted else "" if kind == "+" else value or ""
    return result, end + 1


def _required(name: str, lookup: Lookup) -> str:
    value = lookup(name)
    if value is None:
        raise BadVariable(name=name, why="it is not set, and has no default")
    return value
