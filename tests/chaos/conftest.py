"""A lab of its own, since faults strike all of it, and a template that is made whole again after each case."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scripted.template_support import Template, make_folder
from tests.support.lab import Lab, running_lab


@pytest.fixture(scope="session")
def chaos_lab() -> Iterator[Lab]:
    with running_lab(guests="scripted", hosts=3, arguments=("--vms", "20")) as lab:
        yield lab


@pytest.fixture(scope="session")
def source(chaos_lab: Lab) -> Template:
    """The template that containers are cloned from, built by its module."""
    make_folder(chaos_lab, "folder-chaos-source")
    template = Template(lab=chaos_lab, name="chaos-source")
    template.built()
    return template
