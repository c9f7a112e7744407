"""What tests with scripted guests share: a template that is frozen on every host, and a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

from tests.support.lab import Lab
from tests.support.vsphere import FrozenTemplate, connected, freeze_template

IMAGES = ("registry.example/web:1", "registry.example/job:1")


@pytest.fixture(scope="session")
def frozen_template(scripted_lab: Lab) -> FrozenTemplate:
    """The template ``scripted`` with one frozen VM on each of the three hosts, its marks genuine. Leave it as it is."""
    with connected(scripted_lab) as session:
        return freeze_template(session, scripted_lab, name="scripted", images=IMAGES)


@pytest.fixture
def session(scripted_lab: Lab) -> Iterator[Session]:
    """A session of this test's own."""
    with connected(scripted_lab) as session:
        yield session
