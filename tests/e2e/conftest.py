"""A lab whose guests are real, with one template on each of its hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.lab import Lab
from tests.support.modules import run_module

TEMPLATE = "photon"
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def module(docker_lab: Lab) -> Run:
    """Run a module against the lab: ``module("container_vm_info", service="web")``."""

    def run(module: str, /, *, check: bool = False, **options: Any) -> dict[str, Any]:
        return run_module(module, {**docker_lab.connection, **options}, check=check, environment=docker_lab.environment)

    return run


@pytest.fixture(scope="session")
def template(docker_lab: Lab, module: Run) -> str:
    """The template's name, once it is frozen on every host."""
    built = module("photon_template", **template_options(docker_lab))
    assert not built.get("failed"), built["msg"]
    assert built["changed"]
    return TEMPLATE


def template_options(lab: Lab) -> dict[str, Any]:
    """photon_template's options for the lab's OVA and images."""
    return {
        "name": TEMPLATE,
        "source": {"ova": lab.ready["ova"]},
        "accept_eula": True,
        "cluster": lab.ready["cluster"],
        "datastore": lab.ready["datastore"],
        "network": lab.ready["network"],
        "images": [lab.ready["images"][name] for name in ("web", "job", "health")],
        "insecure_registries": [lab.ready["registry"]],
    }


@pytest.fixture
def container(module: Run, template: str, request: pytest.FixtureRequest) -> Iterator[Run]:
    """Run ``instant_clone_container``; whatever bears this test's service names is removed afterwards."""
    services: set[str] = set()

    def run(*, check: bool = False, **options: Any) -> dict[str, Any]:
        services.add(options["name"])
        return module("instant_clone_container", check=check, **{"template": template, **options})

    yield run
    for service in sorted(services):
        gone = module("container_vm_absent", service=service)
        assert not gone.get("failed"), gone["msg"]


@pytest.fixture(scope="session")
def images(docker_lab: Lab) -> dict[str, str]:
    """The names of the lab's images by their short names."""
    return dict(docker_lab.ready["images"])
