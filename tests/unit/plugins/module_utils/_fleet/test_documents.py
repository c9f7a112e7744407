from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.documents import (
    plain_scalar,
    read_documents,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Tree, at_path
from hypothesis import given
from hypothesis import strategies as st


def _read(text: str) -> Tree:
    (document,) = read_documents("compose.yaml", text)
    return document.tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("true", True), ("FALSE", False), ("yes", "yes"), ("no", "no"),
        ("on", "on"), ("y", "y"), ("1", 1), ("-7", -7), ("+3", 3), ("0", 0), ("0777", 511), ("0o17", 15), ("0x1F", 31),
        ("0b101", 5), ("1_000", 1000), ("22:22", "22:22"), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("1.", 1.0),
        ("08", 8.0), ("1.2.3", "1.2.3"), ("2024-01-01", "2024-01-01"), ("0xZZ", "0xZZ"), ("-", "-"),
        ("=", "="), ("3.8-alpine", "3.8-alpine"),
    ],
)  # fmt: skip
def test_plain_scalars(text: str, value: Any) -> None:
    found = plain_scalar(text)
    assert found == value
    assert type(found) is type(value)


@given(st.text())
def test_plain_scalars_never_fail(text: str) -> None:
    plain_scalar(text)


def test_quoted_and_tagged_scalars_are_text() -> None:
    assert _read("a: '1'\nb: \"yes\"\nc: !!str 5\nd: |\n  x\n") == {"a": "1", "b": "yes", "c": "5", "d": "x\n"}


def test_merge_keys() -> None:
    tree = _read(
        "x-a: &a {one: 1, two: 1}\nx-b: &b {two: 2, three: 2}\nc:\n  three: 3\n  <<: [*a, *b]\nd: {<<: *a, two: 4}\n"
    )
    assert tree["c"] == {"one": 1, "two": 1, "three": 3}
    assert tree["d"] == {"one": 1, "two": 4}


def test_aliases_share_nothing() -> None:
    tree = _read("a: &a [1]\nb: *a\n")
    tree["a"].put(2, tree.mark)
    assert tree["b"] == [1]


def test_lines_are_known() -> None:
    tree = _read("services:\n  web:\n    image: nginx\n    ports:\n      - 80\n      - target: 81\n")
    assert str(at_path(tree, ["services", "web", "image"])) == "compose.yaml:3"
    assert str(at_path(tree, ["services", "web", "ports", 0])) == "compose.yaml:5"
    assert str(at_path(tree, ["services", "web", "ports", 1, "target"])) == "compose.yaml:6"
    assert str(at_path(tree, ["services", "web", "no", "such"])) == "compose.yaml:2"


def test_reset_and_override_are_noted() -> None:
    (document,) = read_documents(
        "f", "services:\n  a:\n    ports: !reset []\n    env: !override {A: 1}\n    x: !override yes\n"
    )
    assert document.resets == (("services", "a", "ports"), ("services", "a", "env"), ("services", "a", "x"))
    assert document.tree == {"services": {"a": {"env": {"A": 1}, "x": "yes"}}}


def test_documents_of_one_file() -> None:
    assert [document.tree for document in read_documents("f", "a: 1\n---\nb: 2\n---\n")] == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [1\nb: 2\n", "compose.yaml:2: "),
        ("a:\n\tb: 1\n", "compose.yaml:2: found character '\\t' that cannot start any token"),
        ("a: 1\nb: 2\na: 3\n", "compose.yaml:3: the key 'a' is there twice, first in line 1"),
        ("a: &a {b: *a}\n", "compose.yaml:1: an anchor holds itself"),
        ("a: *nowhere\n", "compose.yaml:1: found undefined alias 'nowhere'"),
        ("- a\n", "compose.yaml:1: a Compose file is a mapping"),
        ("text\n", "compose.yaml:1: a Compose file is a mapping"),
        ("", "it is empty"),
        ("# only this\n", "it is empty"),
        ("1: a\n", "compose.yaml:1: a key is no text"),
        ("? [a]\n: b\n", "compose.yaml:1: a key is no text"),
        ("a: !python/object:os.system x\n", "compose.yaml:1: Compose knows no tag '!python/object:os.system'"),
        ("a: !!python/name:os.system\n", "compose.yaml:1: Compose knows no tag '!!python/name:os.system'"),
        ("a: !new [1]\n", "compose.yaml:1: Compose knows no tag '!new'"),
        ("a: [!reset 1]\n", "compose.yaml:1: !reset stands before a key's value only"),
        ("b: {<<: [1]}\n", "compose.yaml:1: only a mapping can be merged by '<<'"),
        ("a: \x07\n", "special characters are not allowed"),
        ("a: " + "[" * 150 + "]" * 150, "compose.yaml:1: it is nested too deep"),
        ("a: " + "[" * 5000 + "]" * 5000, "it is nested too deep"),
    ],
)
def test_bad_yaml(text: str, told: str) -> None:
    with pytest.raises(InvalidOption) as error:
        read_documents("compose.yaml", text)
    assert told in error.value.message
    assert error.value.next_step


def test_few_lines_that_unfold_to_millions_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    with pytest.raises(InvalidOption, match="too many values"):
        _read("\n".join(lines))
