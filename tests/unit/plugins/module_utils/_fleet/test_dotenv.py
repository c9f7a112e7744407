from __future__ import annotations

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.dotenv import read_dotenv
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("# only a comment", {}),
        ("A=1\nB = two words \n", {"A": "1", "B": "two words"}),
        ("export A=1", {"A": "1"}),
        ("A: yaml", {"A": "yaml"}),
        ("A=", {"A": ""}),
        ("A=\nB=1", {"A": "", "B": "1"}),
        ("A=x # comment", {"A": "x"}),
        ("A=x#y", {"A": "x#y"}),
        ("A='$B # \" \\n'", {"A": '$B # " \\n'}),
        ('A="a\\tb\\"c\\$d"', {"A": 'a\tb"c$d'}),
        ('A="x" # comment\nB=1', {"A": "x", "B": "1"}),
        ('A="one\ntwo"', {"A": "one\ntwo"}),
        ("A=1\nB=${A}2\nC=$B", {"A": "1", "B": "12", "C": "12"}),
        ("A=inner\nB=$GIVEN", {"A": "inner", "B": "given"}),
        ("GIVEN\nMISSING\nA=1", {"GIVEN": "given", "A": "1"}),
        ("A=${MISSING:-d}", {"A": "d"}),
        ("A=a$$b", {"A": "a$b"}),
        ("\ufeffA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("a.b-c[0]=1", {"a.b-c[0]": "1"}),
    ],
)
def test_forms(text: str, found: dict[str, str]) -> None:
    assert read_dotenv(".env", text, {"GIVEN": "given"}) == found


def test_variables_have_precedence_over_what_the_file_assigned() -> None:
    assert read_dotenv(".env", "A=file\nB=$A", {"A": "given"})["B"] == "given"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("A=1\n=x", ".env:2: it is no NAME=value"),
        ("A B=1", ".env:1: it is no NAME=value"),
        ("\n\nA='secret", ".env:3: a quote is not closed"),
        ("PASSWORD=secret$word", ".env:1: the value uses a variable that has no value. For a dollar itself write '$$'"),
        ("A=${secret", ".env:1: the value uses '${' wrongly"),
    ],
)
def test_mistakes(text: str, told: str) -> None:
    with pytest.raises(InvalidOption) as error:
        read_dotenv(".env", text, {})
    assert told in error.value.message
    assert "secret" not in error.value.message
    assert "word" not in error.value.message


@given(
    st.dictionaries(
        st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,8}\Z"), st.text(st.characters(exclude_characters="'\\\r"))
    )
)
def test_what_is_in_single_quotes_stays(values: dict[str, str]) -> None:
    text = "\n".join(f"{name}='{value}'" for name, value in values.items() if name != "export")
    assert read_dotenv(".env", text, {}) == {name: value for name, value in values.items() if name != "export"}
