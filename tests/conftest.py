"""What every test directory shares: the collection by its name, and labs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test is timed: how fast things are is the benchmarks' to say. `make chaos` looks at far more examples.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("untimed"), max_examples=5000)
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parents[1]
for entry in (ROOT, ROOT / ".build" / "collections"):
    if str(entry) not in sys.path:
        sys.path.insert(0, str(entry))

from tests.support.lab import Lab, running_lab, small_lab  # noqa: E402


@pytest.fixture(scope="module")
def scripted_lab() -> Iterator[Lab]:
    """A lab with scripted guests and three hosts for each file, so that none meets what another left behind.

    It is there in a quarter of a second. The tests of one file use folders of their own.
    """
    with small_lab() as lab:
        yield lab


@pytest.fixture(scope="session")
def docker_lab() -> Iterator[Lab]:
    """One lab with real Docker guests and three hosts for the whole run."""
    with running_lab(guests="docker", hosts=3, verbose=True) as lab:
        yield lab
