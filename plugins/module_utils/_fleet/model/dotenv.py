# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``.env`` and ``env_file`` as Compose reads them: quotes, comments, ``export``, and variables in values. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.interpolate import BadVariable, substitute
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import mistake
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Mark

_KEY = re.compile(r"(?:export[ \t]+)?([A-Za-z0-9_.\-\[\]]+)[ \t]*([=:]|$)", re.MULTILINE)
_QUOTED = {quote: re.compile(rf"{quote}((?:[^{quote}\\]|\\.)*){quote}", re.DOTALL) for quote in "'\""}
_ESCAPE = re.compile(r"\\([abfnrtv$\"\\]|0[0-7]{0,3})")
_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "$": "$$",
    '"': '"',
    "\\": "\\",
}


def read_dotenv(file: str, text: str, variables: Mapping[str, str]) -> dict[str, str]:
    """The assignments of a file.

    A value may use ``variables`` and what the file assigned above, of which
    ``variables`` have precedence. A bare NAME takes its value from
    ``variables``, and is left out where there is none.

    Raises:
        InvalidOption: names the file and the line; shows no values.
    """
    text = text.lstrip("\ufeff").replace("\r\n", "\n")
    found: dict[str, str] = {}
    at = 0
    while True:
        at = _next_statement(text, at)
        if at == len(text):
            return found
        mark = Mark(file=file, line=text.count("\n", 0, at) + 1)
        key = _KEY.match(text, at)
        if not key:
            raise mistake("Cannot read", file, mark, "it is no NAME=value", "Write each variable as NAME=value")
        name, separator = key[1], key[2]
        at = key.end()
        if not separator:
            if name in variables:
                found[name] = variables[name]
            continue
        while text[at : at + 1] in (" ", "\t"):
            at += 1
        value, at = _value(text, at, mark, {**found, **variables})
        found[name] = value


def _next_statement(text: str, at: int) -> int:
    while at < len(text):
        if text[at] == "#":
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif text[at].isspace():
            at += 1
        else:
            break
    return at


def _value(text: str, at: int, mark: Mark, known: Mapping[str, str]) -> tuple[str, int]:
    quote = text[at : at + 1]
    if quote in _QUOTED:
        quoted = _QUOTED[quote].match(text, at)
        if not quoted:
            raise mistake("Cannot read", mark.file, mark, "a quote is not closed", f"Close it with {quote}")
        body = quoted[1].replace(f"\\{quote}", quote)
        value = _expand(_ESCAPE.sub(_escape, body), mark, known) if quote == '"' else body
        return value, quoted.end()
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    line = text[at:end].partition(" #")[0].rstrip()
    return _expand(line, mark, known), end


def _escape(match: re.Match[str]) -> str:
    written = match[1]
    if written[0] == "0":
        return chr(int(written, 8))
    return _ESCAPES[written]


def _expand(value: str, mark: Mark, known: Mapping[str, str]) -> str:
    try:
        return substitute(value, known.get)
    except BadVariable as bad:
        # A password with a dollar is what people trip over here, so not even the name is shown: it may be part of one.
        why = "the value uses a variable that has no value" if bad.name else "the value uses '${' wrongly"
        step = "For a dollar itself write '$$' or put the value in single quotes, or else set the variable"
        raise mistake("Cannot read", mark.file, mark, why, step) from bad
