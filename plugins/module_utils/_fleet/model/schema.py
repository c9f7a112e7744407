# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validation by the Compose Specification's own JSON schema, told in words with file and line. Pure."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import Problems, close, mistake
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.schema_text import SCHEMA
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Mark, Tree, at_path

if TYPE_CHECKING:
    from jsonschema import Draft7Validator
    from jsonschema.exceptions import ValidationError

_TYPES = {
    "object": "a mapping", "array": "a list", "string": "text", "integer": "a whole number", "number": "a number",
    "boolean": "true or false", "null": "nothing",
}  # fmt: skip
_KINDS = (
    (Mapping, "a mapping"), (list, "a list"), (str, "text"), (bool, "a boolean"), (int, "a whole number"),
    (float, "a number"), (type(None), "empty"),
)  # fmt: skip


def validate(tree: Tree, problems: Problems) -> None:
    """Check a file against the schema; what is wrong is told to ``problems``. Needs jsonschema."""
    found = sorted(_validator().iter_errors(tree), key=lambda error: [str(part) for part in error.absolute_path])
    for error in found:
        for told in _explain(tree, error):
            problems.add(told)


@functools.lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """The schema itself."""
    parsed: dict[str, Any] = json.loads(SCHEMA)
    return parsed


@functools.lru_cache(maxsize=1)
def _validator() -> Draft7Validator:
    from jsonschema import Draft7Validator  # only fleets need it, so other modules do without

    return Draft7Validator(schema())


def _explain(tree: Tree, error: ValidationError) -> Iterable[BonnevilleError]:
    if error.validator in ("oneOf", "anyOf") and error.context:
        yield from _explain_choice(tree, error)
        return
    path = list(error.absolute_path)
    mark = at_path(tree, path)
    what, obj = place(path, mark)
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", ()))
        for name in sorted(_unknown(error)):
            here = at_path(tree, [*path, name])
            if known:
                yield mistake("There is no key", name, here, f"in {_inside(path)}", close(name, known), key=name)
            else:
                yield mistake(
                    "Cannot use the name", name, here, f"in {_inside(path)}", "Use letters, digits, '.', '_' and '-'"
                )
    elif error.validator == "required":
        missing = sorted(set(error.validator_value) - error.instance.keys())
        yield mistake(what, obj, mark, f"{' and '.join(missing)} is missing", "Add it")
    elif error.validator == "type":
        yield mistake(what, obj, mark, f"it is {_kind(error.instance)}", f"Write {_wanted([error])}")
    elif error.validator == "enum":
        allowed = [str(value) for value in error.validator_value]
        yield mistake(what, obj, mark, f"there is no '{error.instance}'", f"Use {' or '.join(allowed)}")
    elif error.validator == "uniqueItems":
        yield mistake(what, obj, mark, "an entry is there twice", "Keep one of the two")
    else:
        yield mistake(what, obj, mark, f"it does not fit '{error.validator}: {error.validator_value}'", "Correct it")


def _explain_choice(tree: Tree, error: ValidationError) -> Iterable[BonnevilleError]:
    """One of several forms: the form that was meant is the one that fits deepest."""
    errors = list(error.context or ())
    wrong_type = [one for one in errors if one.validator == "type" and not list(one.relative_path)]
    meant = [one for one in errors if one not in wrong_type]
    if meant:
        deepest = max(len(one.absolute_path) for one in meant)
        for one in meant:
            if len(one.absolute_path) == deepest:
                yield from _explain(tree, one)
        return
    path = list(error.absolute_path)
    mark = at_path(tree, path)
    what, obj = place(path, mark)
    yield mistake(what, obj, mark, f"it is {_kind(error.instance)}", f"Write {_wanted(wrong_type)}")


def place(path: list[Any], mark: Mark) -> tuple[str, str]:
    """What it is about, and the object: a service's key and the service, or the path."""
    if len(path) > 2 and path[0] == "services":
        return f"Cannot use {_dotted(path[2:])} of service", str(path[1])
    return ("Cannot use", _dotted(path)) if path else ("Cannot use the Compose file", mark.file)


def _inside(path: list[Any]) -> str:
    if len(path) == 1:
        return str(path[0])
    if len(path) == 2:
        return f"{str(path[0]).rstrip('s')} '{path[1]}'"
    if path and path[0] == "services":
        return f"{_dotted(path[2:])} of service '{path[1]}'"
    return _dotted(path) or "the file's top level"


def _dotted(path: Iterable[Any]) -> str:
    return re.sub(r"\.\[", "[", ".".join(f"[{part}]" if isinstance(part, int) else str(part) for part in path))


def _unknown(error: ValidationError) -> set[str]:
    patterns = error.schema.get("patternProperties", {})
    return {
        name
        for name in error.instance
        if name not in error.schema.get("properties", {}) and not any(re.search(one, name) for one in patterns)
    }


def _kind(value: Any) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), type(value).__name__)


def _wanted(errors: Iterable[ValidationError]) -> str:
    names: list[str] = []
    for error in errors:
        types = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        names += [name for one in types if (name := _TYPES[one]) not in names]
    return " or ".join(names)
