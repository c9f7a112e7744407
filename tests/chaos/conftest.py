"""A lab of its own, since faults strike all of it, and a template that is made whole again after each case."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere import transport

pytest.register_assert_rewrite("tests.chaos.judge")

from tests.chaos.world import World  # noqa: E402
from tests.scripted.template_support import Template, make_folder  # noqa: E402
from tests.support.lab import Lab, small_lab  # noqa: E402


@pytest.fixture(scope="session")
def chaos_lab() -> Iterator[Lab]:
    with small_lab() as lab:
        yield lab


@pytest.fixture(scope="session")
def source(chaos_lab: Lab) -> Template:
    """The template that containers are cloned from, built by its module."""
    make_folder(chaos_lab, "folder-chaos-source")
    template = Template(lab=chaos_lab, name="chaos-source")
    template.built()
    return template


@pytest.fixture
def world(
    chaos_lab: Lab, source: Template, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """The operation's world, prepared."""
    world = World(lab=chaos_lab, source=source, operation=request.getfixturevalue("operation"))
    world.prepare(request.node.callspec.params.get("fault"))
    # A minute for an answer that never comes would be most of what the hanging faults take.
    monkeypatch.setattr(transport, "CALL_SECONDS", 10.0)
    yield world
    world.mend()
    if not world.ended:
        world.end()
