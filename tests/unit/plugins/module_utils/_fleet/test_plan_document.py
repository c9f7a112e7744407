"""The plan that people review: stable, complete, without secrets, and as its schema says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import steps
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption, PlanDiffers
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.plan_document import (
    PlanDocument,
    check_expected,
    document,
)
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from tests.unit.plugins.module_utils._container import tables

SCHEMA = json.loads((Path(__file__).resolve().parents[5] / "docs" / "plan.schema.json").read_text())
PHASES = ("running", "exited", "stopped", "silent", "failed", "thawed")


def plan_of(services: list[steps.Service], vms: list[Any]) -> PlanDocument:
    return document(tables.make_plan(services, vms), fleet="shop", folder="bonneville")


def member(name: str, **fields: Any) -> steps.Service:
    return tables.service(name, fleet="shop", **fields)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[steps.Service], list[Any]]:
    services, vms = [], []
    for name in ("api", "db", "web"):
        count = draw(st.integers(0, 3))
        image = draw(st.sampled_from(["web:1", "web:2"]))
        one = member(name, replicas=count, options={"image": image, "env": {"TOKEN": "hush"}})
        services.append(one)
        for number in range(draw(st.integers(0, 3))):
            made = replace(one, spec=tables.spec(image="web:1", env={"TOKEN": "hush"}))
            vms.append(tables.vm(one.identity(str(number)), made, phase=draw(st.sampled_from(PHASES))))
    return services, vms


@given(fleets(), st.randoms())
def test_the_same_fleet_gives_the_same_bytes_in_any_order(found: tuple[list[Any], list[Any]], chance: Any) -> None:
    services, vms = found
    one = plan_of(services, vms)
    chance.shuffle(services)
    chance.shuffle(vms)
    other = plan_of(services, [replace(vm, moid=f"vm-{number}") for number, vm in enumerate(vms)])
    assert other.content == one.content and other.sha256 == one.sha256


@given(fleets())
def test_a_plan_is_as_its_schema_says_and_counts_what_it_lists(found: tuple[list[Any], list[Any]]) -> None:
    plan = plan_of(*found)
    Draft7Validator(SCHEMA).validate(plan.content)
    Draft7Validator.check_schema(SCHEMA)
    for section, count in plan.content["counts"].items():
        assert len(plan.content[section]) == count
        names = [entry["container"] for entry in plan.content[section]]
        assert names == sorted(names)
    assert "hush" not in json.dumps(plan.content)
    assert "vm-" not in json.dumps(plan.content)


def test_the_summary_says_what_is_done_and_why() -> None:
    old = member("web", replicas=3, options={"image": "web:1"})
    new = member("web", replicas=3, options={"image": "web:2"})
    db = member("db")
    gone = member("cron", replicas=0)
    vms = [
        tables.vm(old.identity("0"), old),
        tables.vm(db.identity(""), db, phase="stopped"),
        tables.vm(gone.identity("0"), replace(gone, spec=tables.spec())),
    ]
    plan = plan_of([new, db, gone, member("api", replicas=1)], vms)
    assert plan.summary == "+ 3 create, ^ 1 update (start), ~ 1 recreate (image), - 1 remove"
    assert plan_of([db], [tables.vm(db.identity(""), db)]).summary == "= 1 unchanged"
    assert plan_of([], []).summary == "= 0 unchanged"


def test_another_value_of_a_secret_is_another_plan_only_with_a_digest_key() -> None:
    def plan(value: str, key: str) -> PlanDocument:
        return plan_of([member("web", digest_key=key, options={"env": {"TOKEN": value}})], [])

    assert plan("a", "key").sha256 != plan("b", "key").sha256
    assert plan("a", "").sha256 == plan("b", "").sha256
    assert plan("a", "key").sha256 != plan("a", "other").sha256


def test_only_the_expected_plan_passes(tmp_path: Path) -> None:
    first, second = plan_of([member("web")], []), plan_of([member("api")], [])
    check_expected(first, "")
    check_expected(first, first.sha256.upper())
    kept = tmp_path / "plan.json"
    kept.write_text(json.dumps(first.content, indent=2))
    check_expected(first, str(kept))
    with pytest.raises(PlanDiffers) as refused:
        check_expected(second, first.sha256)
    assert first.sha256 in refused.value.message and second.sha256 in refused.value.message
    with pytest.raises(PlanDiffers) as told:
        check_expected(second, str(kept))
    assert told.value.details["differences"] == [
        "shop-api: was not there, is create",
        "shop-web: was create, is not there",
    ]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1}', "nonsense"])
def test_what_is_no_plan_is_refused(tmp_path: Path, content: str) -> None:
    kept = tmp_path / "plan.json"
    kept.write_text(content)
    with pytest.raises(InvalidOption, match="expected_plan"):
        check_expected(plan_of([], []), str(kept))
