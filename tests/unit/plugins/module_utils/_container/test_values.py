from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import values
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("value", [True, False, 1.0, 1.10, None, [], {}])
def test_what_yaml_damaged_is_to_be_quoted(value: Any) -> None:
    with pytest.raises(InvalidOption, match="quote it"):
        values.variables("env", {"DEBUG": value})
    with pytest.raises(InvalidOption, match=r"labels\.tier"):
        values.pairs("labels", {"tier": value})


def test_an_error_about_one_variable_shows_no_value() -> None:
    with pytest.raises(InvalidOption) as error:
        values.variables("env", {"PIN": 12.34})
    assert "12.34" not in str(error.value)
    assert "env.PIN" in str(error.value)


def test_whole_numbers_are_text() -> None:
    assert values.variables("env", {"PORT": 8080, "A": "b"}) == {"A": "b", "PORT": "8080"}


@pytest.mark.parametrize("name", ["", "A=B", "A B", "\0"])
def test_a_variable_needs_a_name(name: str) -> None:
    with pytest.raises(InvalidOption):
        values.variables("env", {name: "x"})


@pytest.mark.parametrize(
    ("written", "read"),
    [("512", 512), ("512b", 512), ("64k", 65536), ("64M", 2**26), ("64MiB", 2**26), ("1.5g", 3 * 2**29), ("2T", 2**41)],
)
def test_sizes(written: str, read: int) -> None:
    assert values.size("memory", written) == read


@pytest.mark.parametrize("written", ["", "-1", "1x", "m", "1 2m", "lots"])
def test_what_is_no_size(written: str) -> None:
    with pytest.raises(InvalidOption, match="no size"):
        values.size("memory", written)


@pytest.mark.parametrize("written", [-1, "-1", "unlimited"])
def test_unlimited_swap(written: Any) -> None:
    assert values.swap("memory_swap", written) == -1


@pytest.mark.parametrize(
    ("written", "seconds"), [("90s", 90), ("1m30s", 90), ("500ms", 0.5), ("1h", 3600), ("1.5s", 1.5), ("10us", 1e-5)]
)
def test_durations(written: str, seconds: float) -> None:
    assert values.duration("interval", written) == round(seconds * 1e9)


@pytest.mark.parametrize("written", ["", "90", "s", "1d", "1s 2s", "-1s"])
def test_what_is_no_duration(written: str) -> None:
    with pytest.raises(InvalidOption, match="no duration"):
        values.duration("interval", written)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("sh -c 'sleep 1; exit 3'", ("sh", "-c", "sleep 1; exit 3")),
        (["a b", 1], ("a b", "1")),
        ("", ()),
    ],
)
def test_commands(written: Any, read: tuple[str, ...]) -> None:
    assert values.words("command", written) == read


def test_a_command_with_an_open_quote() -> None:
    with pytest.raises(InvalidOption, match="Balance the quotes"):
        values.words("command", "sh -c 'oops")


@pytest.mark.parametrize(
    ("written", "read"),
    [("nofile:1024:2048", "nofile:1024:2048"), ("nofile=1024", "nofile:1024:1024"), ("core:-1", "core:-1:-1")],
)
def test_ulimits(written: str, read: str) -> None:
    assert values.ulimit("ulimits", written) == read


def test_a_health_check_in_the_engines_form() -> None:
    written = {"test": "curl -f localhost", "interval": "1m30s", "timeout": "10s", "retries": 3, "start_period": "1s"}
    assert values.healthcheck("healthcheck", written) == {
        "Test": ["CMD-SHELL", "curl -f localhost"],
        "Interval": 90 * 10**9,
        "Timeout": 10 * 10**9,
        "Retries": 3,
        "StartPeriod": 10**9,
    }
    assert values.healthcheck("healthcheck", {"test": "NONE"}) == {"Test": ["NONE"]}
    assert values.healthcheck("healthcheck", {"interval": "5s"}) == {"Interval": 5 * 10**9}
    with pytest.raises(InvalidOption, match="begins with"):
        values.healthcheck("healthcheck", {"test": ["curl", "localhost"]})


def test_an_env_file() -> None:
    content = "\ufeff# comment\n\nA=1\n  B=two words \nC=x=y\n"
    assert values.env_file("app.env", content) == {"A": "1", "B": "two words ", "C": "x=y"}
    with pytest.raises(InvalidOption, match="line 1"):
        values.env_file("app.env", "HOME")


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), st.text(st.characters(exclude_characters="\0"))))
def test_variables_keep_what_was_written(env: dict[str, str]) -> None:
    assert values.variables("env", env) == env
