from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import compare as comparing
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import secrets
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.compare import Applied, read_comparisons
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import decode_applied, encode_applied
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.module_utils._container.tables import SALT, applied, spec

SCOPE = "folder:bonneville/web"


def differing(
    before: dict[str, Any],
    after: dict[str, Any],
    *,
    comparisons: dict[str, str] | None = None,
    key: str = "",
    exact: bool = False,
) -> list[str]:
    """The options in which ``after`` differs from a container made by ``before``, through the marks' own form."""
    recorded = decode_applied(encode_applied(applied(spec(**before), key=key)))
    rules = read_comparisons(comparisons)
    found = comparing.compare(spec(**after), recorded, rules=rules, scope=SCOPE, digest_key=key, exact=exact)
    return [one.option for one in found.differences]


@pytest.mark.parametrize(
    ("before", "after", "comparisons", "options"),
    [
        ({}, {}, {}, []),
        ({"user": "root"}, {}, {}, []),  # not set any more: not compared
        ({"user": "root"}, {"user": "www"}, {}, ["user"]),
        ({}, {"user": "www"}, {}, ["user"]),
        ({}, {"read_only": False, "privileged": False, "stop_timeout": 10, "restart_policy": "no"}, {}, []),
        ({}, {"read_only": True}, {}, ["read_only"]),
        ({"command": "a b"}, {"command": ["a", "b"]}, {}, []),
        ({"command": "a b"}, {"command": "b a"}, {}, ["command"]),
        ({"command": "a b c"}, {"command": "a c"}, {"command": "allow_more_present"}, []),
        ({"command": "a b c"}, {"command": "c a"}, {"command": "allow_more_present"}, ["command"]),
        ({"published_ports": ["80", "81"]}, {"published_ports": ["80"]}, {}, []),
        ({"published_ports": ["80", "81"]}, {"published_ports": ["80"]}, {"ports": "strict"}, ["published_ports"]),
        ({"published_ports": ["80"]}, {"published_ports": ["80", "81"]}, {}, ["published_ports"]),
        ({"published_ports": ["80"]}, {"published_ports": []}, {"published_ports": "strict"}, ["published_ports"]),
        ({"labels": {"a": "1", "b": "2"}}, {"labels": {"a": "1"}}, {}, []),
        ({"labels": {"a": "1", "b": "2"}}, {"labels": {"a": "1"}}, {"labels": "strict"}, ["labels"]),
        ({"labels": {"a": "1"}}, {"labels": {"a": "2"}}, {}, ["labels"]),
        ({"labels": {"a": "1"}}, {"labels": {"a": "2"}}, {"labels": "ignore"}, []),
        ({"labels": {"a": "1"}, "user": "x"}, {"labels": {"a": "2"}, "user": "y"}, {"*": "ignore"}, []),
        ({"tty": True, "user": "x"}, {"tty": False, "user": "y"}, {"*": "ignore", "user": "strict"}, ["user"]),
        ({"labels": {"a": "1", "b": "2"}}, {"labels": {"a": "1"}}, {"*": "strict"}, ["labels"]),
        ({"image": "web:1"}, {"image": "web:2"}, {}, ["image"]),
        ({"template": "a"}, {"template": "b"}, {}, ["template"]),
        ({"healthcheck": {"retries": 1}}, {"healthcheck": {"retries": 2}}, {}, ["healthcheck"]),
        ({"volumes": ["/a"]}, {"volumes": ["/a", "/b"]}, {}, ["volumes"]),
        ({"tmpfs": ["/a:size=1m"]}, {"tmpfs": ["/a:size=2m"]}, {}, ["tmpfs"]),
        ({"env": {"A": "1"}}, {"env": {"A": "1"}}, {}, []),
        ({"env": {"A": "1"}}, {}, {}, []),
        ({"env": {"A": "1"}}, {"env": {"A": "2"}}, {}, ["env"]),
        ({"env": {"A": "1"}}, {"env": {"A": "2"}}, {"env": "ignore"}, []),
        ({"env": {"A": "1"}}, {"env": {"A": "2"}}, {"env_file": "ignore"}, []),
        ({}, {"env": {}}, {}, []),
        ({}, {"env": {"A": "1"}}, {}, ["env"]),
        ({"env_file": "app.env"}, {"env": {"A": "file", "B": "two words"}}, {}, []),
        ({}, {"volumes": ["/etc/app.conf:/x:ro"]}, {}, ["files"]),
        ({"volumes": ["/etc/app.conf:/x:ro"]}, {"volumes": ["/etc/app.conf:/x:ro"]}, {}, []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["", "vaulted"])
def test_differences(
    before: dict[str, Any], after: dict[str, Any], comparisons: dict[str, str], options: list[str], key: str
) -> None:
    assert differing(before, after, comparisons=comparisons, key=key) == options


def test_with_a_digest_key_the_diff_names_the_value_and_never_shows_it() -> None:
    recorded = applied(spec(env={"A": "alpha", "B": "beta", "C": "gamma"}), key="vaulted")
    found = comparing.compare(
        spec(env={"A": "alpha", "B": "other", "D": "delta"}),
        recorded,
        rules=read_comparisons({"env": "strict"}),
        scope=SCOPE,
        digest_key="vaulted",
    )
    assert found.before == {"env": {"B": "(secret)", "C": "(secret)"}}
    assert found.after == {"env": {"B": "(secret, changed)", "D": "(secret, added)"}}
    assert found.reason == "changed: env"
    assert not any(word in repr(found) for word in ("alpha", "beta", "gamma", "delta", "other"))


def test_without_a_digest_key_only_that_something_changed() -> None:
    recorded = applied(spec(env={"A": "1", "B": "2"}))
    found = comparing.compare(
        spec(env={"A": "1", "B": "3"}), recorded, rules=read_comparisons(None), scope=SCOPE, digest_key=""
    )
    assert found.after == {"env": {"*": "(secret, changed)"}}


def test_without_a_digest_key_a_removed_value_is_a_change() -> None:
    assert differing({"env": {"A": "1", "B": "2"}}, {"env": {"A": "1"}}) == ["env"]
    assert differing({"env": {"A": "1", "B": "2"}}, {"env": {"A": "1"}}, key="vaulted") == []


@pytest.mark.parametrize(("given_key", "words"), [("", "with a digest_key"), ("another", "another digest_key")])
def test_another_digest_key_is_no_reason_to_replace(given_key: str, words: str) -> None:
    recorded = applied(spec(env={"A": "1"}), key="vaulted")
    with pytest.raises(InvalidOption, match=words):
        comparing.compare(
            spec(env={"A": "1"}), recorded, rules=read_comparisons(None), scope=SCOPE, digest_key=given_key
        )


def test_a_key_that_comes_later_still_compares() -> None:
    recorded = applied(spec(env={"A": "1"}))
    for value, equal in (("1", True), ("2", False)):
        found = comparing.compare(
            spec(env={"A": value}), recorded, rules=read_comparisons(None), scope=SCOPE, digest_key="vaulted"
        )
        assert found.equal is equal


@pytest.mark.parametrize(
    ("image_id", "held", "equal"),
    [
        ("sha256:1", {"sha256:1"}, True),
        ("sha256:1", {"sha256:2"}, False),
        ("", {"sha256:2"}, True),
        ("sha256:1", set(), True),
    ],
)
def test_a_moved_tag_is_a_change(image_id: str, held: set[str], equal: bool) -> None:
    found = comparing.compare(
        spec(),
        applied(spec(), image_id=image_id),
        rules=read_comparisons(None),
        image_ids=held,
        scope=SCOPE,
        digest_key="",
    )
    assert found.equal is equal
    if not equal:
        assert (found.before, found.after) == ({"image": "sha256:1"}, {"image": "sha256:2"})


def test_marks_that_cannot_be_read_differ() -> None:
    for text in ("", "{", "[]", '{"options": 1}'):
        found = comparing.compare(
            spec(), decode_applied(text), rules=read_comparisons(None), scope=SCOPE, digest_key=""
        )
        assert not found.equal


@pytest.mark.parametrize(
    ("comparisons", "words"),
    [
        ({"*": "allow_more_present"}, "strict or ignore"),
        ({"labls": "strict"}, "labels"),
        ({"image": "allow_more_present"}, "strict or ignore"),
        ({"labels": "loosely"}, "allow_more_present"),
    ],
)
def test_comparisons_that_cannot_be_meant(comparisons: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        read_comparisons(comparisons)


values = st.dictionaries(st.sampled_from("ABCD"), st.text(max_size=5), max_size=4)


@given(values, values, st.booleans())
def test_keyed_digests_name_exactly_what_differs(
    before: dict[str, str], after: dict[str, str], allow_more: bool
) -> None:
    recorded = secrets.from_document(secrets.digest({"env": before}, scope=SCOPE, key="k", salt=SALT).document())
    found = secrets.changed("env", after, recorded, scope=SCOPE, key="k", allow_more=allow_more)
    expected = dict.fromkeys(after.keys() - before.keys(), "added")
    expected |= {name: "changed" for name in after.keys() & before.keys() if after[name] != before[name]}
    if not allow_more:
        expected |= dict.fromkeys(before.keys() - after.keys(), "removed")
    assert found == expected


@given(values.filter(bool))
def test_recorded_digests_hold_no_value(before: dict[str, str]) -> None:
    marked = {name: f"secret-{value}-secret" for name, value in before.items()}
    for key in ("k", ""):
        document = str(secrets.digest({"env": marked}, scope=SCOPE, key=key, salt=SALT).document())
        assert "secret-" not in document


def test_one_value_in_two_services_has_two_digests() -> None:
    first, second = (
        secrets.digest({"env": {"A": "1", "B": "1"}}, scope=scope, key="k", salt=SALT).names["env"]
        for scope in ("one", "two")
    )
    assert len({*first.values(), *second.values()}) == 4


def test_applied_survives_the_marks() -> None:
    before = applied(spec(command="a b", cpus=1.5, env={"A": "1"}), image_id="sha256:1")
    after = decode_applied(encode_applied(before))
    assert isinstance(after, Applied)
    assert after.image_id == "sha256:1"
    assert after.digests == before.digests


@pytest.mark.parametrize("key", ["", "key"])
@pytest.mark.parametrize(
    "option",
    [
        {"user": "root"}, {"command": "a b"}, {"published_ports": ["80"]}, {"labels": {"a": "1"}}, {"tty": True},
        {"tmpfs": ["/a"]}, {"volumes": ["/a"]}, {"env": {"A": "1"}}, {"healthcheck": {"retries": 1}},
    ],
)  # fmt: skip
def test_what_is_wanted_exactly_has_nothing_that_is_not_set_any_more(option: dict[str, Any], key: str) -> None:
    (name,) = option
    assert differing(option, {}, key=key) == []
    assert differing(option, {}, comparisons={"*": "strict"}, key=key, exact=True) == [name]
    assert differing(option, option, key=key, exact=True) == []
    assert differing(option, {}, comparisons={name: "ignore"}, key=key, exact=True) == []
