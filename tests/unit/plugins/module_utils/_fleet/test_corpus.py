"""Compose files as people write them mean to our loader what they mean to docker compose itself."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

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


def test_corpus_is_there() -> None:
    assert len(CASES) >= 15
