from __future__ import annotations

import contextlib
import string

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.interpolate import (
    BadVariable,
    interpolate,
    substitute,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import Problems
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Items, Mark, Tree
from hypothesis import given
from hypothesis import strategies as st

VARIABLES = {"SET": "value", "EMPTY": "", "OTHER": "o"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("no variable", "no variable"),
        ("$SET", "value"),
        ("${SET}", "value"),
        ("a$SET.b", "avalue.b"),
        ("$SET$OTHER${SET}", "valueovalue"),
        ("$EMPTY", ""),
        ("$$SET", "$SET"),
        ("$${SET}", "${SET}"),
        ("$$$SET", "$value"),
        ("5$", "5$"),
        ("$5 and $ 6", "$5 and $ 6"),
        ("${SET:-d}", "value"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${UNSET:-d}", "d"),
        ("${UNSET-d}", "d"),
        ("${UNSET:-}", ""),
        ("${UNSET-}", ""),
        ("${SET:+r}", "r"),
        ("${EMPTY:+r}", ""),
        ("${EMPTY+r}", "r"),
        ("${UNSET:+r}", ""),
        ("${UNSET+r}", ""),
        ("${SET:?must}", "value"),
        ("${EMPTY?must}", ""),
        ("${UNSET:-${SET}}", "value"),
        ("${UNSET:-${ALSO:-${OTHER}}}-x", "o-x"),
        ("${UNSET:-a$SET}", "avalue"),
        ("${UNSET:-a$$b}", "a$b"),
        ("${SET:+${OTHER}}", "o"),
        ('${UNSET:-{"a": {}}}', '{"a": {}}'),
        ("${UNSET:-http://h:80/?a=b-c+d}", "http://h:80/?a=b-c+d"),
        ("${SET:-${UNSET}}", "value"),
        ("${UNSET:+${ALSO}}", ""),
        ("${UNSET:-two\nlines}", "two\nlines"),
    ],
)
def test_forms(text: str, result: str) -> None:
    assert substitute(text, VARIABLES.get) == result


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        ("$UNSET", "UNSET", "not set"),
        ("${UNSET}", "UNSET", "not set"),
        ("${UNSET:?}", "UNSET", "required"),
        ("${UNSET?say $SET}", "UNSET", "it is not set: say value"),
        ("${EMPTY:?say so}", "EMPTY", "it is empty: say so"),
        ("${EMPTY:-${UNSET}}", "UNSET", "not set"),
        ("${SET", "", "neither"),
        ("${SET:-x", "", "not closed"),
        ("${}", "", "no variable's name"),
        ("${1A}", "", "no variable's name"),
        ("${SET!x}", "", "neither"),
        ("${A:-" * 60 + "}" * 60, "", "too deep"),
    ],
)
def test_what_cannot_be(text: str, name: str, why: str) -> None:
    with pytest.raises(BadVariable) as error:
        substitute(text, VARIABLES.get)
    assert error.value.name == name
    assert why in error.value.why


_names = st.text(string.ascii_letters + "_", min_size=1, max_size=5)
_words = st.text(st.characters(exclude_characters="${}", exclude_categories=["Cs"]), max_size=12)


@given(st.text())
def test_escaped_text_stays(text: str) -> None:
    assert substitute(text.replace("$", "$$"), {}.get) == text


@given(st.text(), st.dictionaries(_names, st.text()))
def test_nothing_but_its_own_error_comes_out(text: str, variables: dict[str, str]) -> None:
    with contextlib.suppress(BadVariable):
        substitute(text, variables.get)


@given(
    st.lists(st.one_of(_words.map(lambda text: (text, text)), _names.map(lambda name: (f"${{{name}}}", None)))),
    st.text(),
)
def test_parts_are_put_together(parts: list[tuple[str, str | None]], value: str) -> None:
    template = "".join(written for written, _ in parts)
    assert substitute(template, lambda name: value) == "".join(value if text is None else text for _, text in parts)


@given(_names, _words, st.one_of(st.none(), st.text(max_size=5)), st.sampled_from(["-", ":-", "+", ":+", "?", ":?"]))
def test_operators_are_the_shells(name: str, word: str, value: str | None, operator: str) -> None:
    there = value if operator.startswith(":") else value is not None
    template = f"${{{name}{operator}{word}}}"
    if operator[-1] == "?" and not there:
        with pytest.raises(BadVariable):
            substitute(template, lambda _: value)
        return
    expected = {"-": value if there else word, "+": word if there else "", "?": value}[operator[-1]]
    assert substitute(template, lambda _: value) == expected


@given(_names, _words, st.integers(min_value=1, max_value=20))
def test_defaults_nest(name: str, word: str, depth: int) -> None:
    template = word
    for _ in range(depth):
        template = f"${{{name}:-{template}}}"
    assert substitute(template, {}.get) == word


def test_every_undefined_variable_is_told_with_its_line() -> None:
    line = [Mark(file="compose.yaml", line=number) for number in range(5)]
    listed = Items(["$SET", "${TWO}"], mark=line[2], at=[line[3], line[4]])
    tree = Tree({"a": "$ONE", "b": listed, "c": 5}, mark=line[0], at={"a": line[1]})
    problems = Problems()
    found = interpolate(tree, VARIABLES, problems, mark=tree.mark)
    assert found["b"][0] == "value"
    assert found["c"] == 5
    assert [error.message.partition(". ")[0] for error in problems.errors] == [
        "There is no value for the variable 'ONE': compose.yaml:1: it is not set, and has no default",
        "There is no value for the variable 'TWO': compose.yaml:4: it is not set, and has no default",
    ]
