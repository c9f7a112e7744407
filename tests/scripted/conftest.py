"""What tests with scripted guests share: a template that is frozen on every host, and a session."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

from tests.support.lab import Lab
from tests.support.modules import run_module
from tests.support.vsphere import FrozenTemplate, connected, freeze_template

Fleet = Callable[..., dict[str, Any]]
IMAGES = ("registry.example/web:1", "registry.example/job:1")


@pytest.fixture(scope="module")
def frozen_template(scripted_lab: Lab) -> FrozenTemplate:
    """The template ``scripted`` with one frozen VM on each of the three hosts, its marks genuine. Leave it as it is."""
    with connected(scripted_lab) as session:
        return freeze_template(session, scripted_lab, name="scripted", images=IMAGES)


@pytest.fixture
def session(scripted_lab: Lab) -> Iterator[Session]:
    """A session of this test's own."""
    with connected(scripted_lab) as session:
        yield session


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A fleet of this test's own."""
    short = request.node.name.removeprefix("test_").replace("[", "-").replace("]", "").replace("_", "-")
    return short[:24].strip("-")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Write the fleet's Compose file; its directory."""

    def call(text: str) -> Path:
        (tmp_path / "compose.yaml").write_text(textwrap.dedent(text))
        return tmp_path

    return call


@pytest.fixture
def fleet(
    scripted_lab: Lab, frozen_template: FrozenTemplate, name: str, write: Callable[[str], Path]
) -> Iterator[Fleet]:
    """Run the module on a fleet, which is removed afterwards."""

    def call(text: str | None = None, *, check: bool = False, ok: bool = True, **options: Any) -> dict[str, Any]:
        given: dict[str, Any] = {
            **scripted_lab.connection,
            "name": name,
            "template": frozen_template.name,
            "timeout": 60,
        }
        if text is not None:
            given["project_src"] = str(write(text))
        result = run_module("container_fleet", {**given, **options}, check=check, environment=scripted_lab.environment)
        assert not (ok and result.get("failed")), result["msg"]
        return result

    yield call
    call(state="absent", owner="", ok=False)
