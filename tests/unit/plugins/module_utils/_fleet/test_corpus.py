"""Compose files as people write them mean to our loader what they mean to docker compose itself."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet import compose
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.support import refusable

from tests.support.compose_oracle import CORPUS, settings

_SPEC = importlib.util.spec_from_file_location("rendering", Path(__file__).with_name("rendering.py"))
assert _SPEC
assert _SPEC.loader
rendering = importlib.util.module_from_spec(_SPEC)
sys.modules["rendering"] = rendering
_SPEC.loader.exec_module(rendering)

CASES = sorted(path for path in CORPUS.iterdir() if path.is_dir())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_services(case: Path) -> None:
    oracle = rendering.theirs(case, json.loads((case / "oracle.json").read_text()))
    found = rendering.ours(case, **settings(case))
    assert found["services"].keys() == oracle["services"].keys()
    for name, service in oracle["services"].items():
        assert found["services"][name] == service


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("section", ["volumes", "configs", "secrets"])
def test_resources(case: Path, section: str) -> None:
    oracle = rendering.theirs(case, json.loads((case / "oracle.json").read_text()))
    found = rendering.ours(case, **settings(case))
    # Compose leaves out what no service uses.
    assert {key: found[section].get(key) for key in oracle[section]} == oracle[section]


@pytest.mark.parametrize("case", [case for case in CASES if case.name != "volumes"], ids=lambda case: case.name)
def test_the_corpus_makes_fleets(case: Path) -> None:
    """With all that a VM per container cannot honour ignored, every service is one of a fleet; nothing else fails."""
    given = settings(case)
    oracle = json.loads((case / "oracle.json").read_text())
    found = compose.load(
        str(case), given["files"], name="fleet", profiles=given["profiles"], ignore_unsupported=sorted(refusable())
    )
    assert {one.name for one in found.services} == oracle["services"].keys()
    for one in found.services:
        assert one.options["image"] == oracle["services"][one.name]["image"]


def test_corpus_is_there() -> None:
    assert len(CASES) >= 15
