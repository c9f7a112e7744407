"""A template is frozen on every host, stays so, and is repaired."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.e2e.conftest import Run, template_options
from tests.support.lab import Lab

SMALL = "small"


def template_vms(lab: Lab) -> list[dict[str, object]]:
    return [vm for vm in lab.state()["vms"] if vm["extra_config"].get("bonneville.kind") == "template"]


def test_one_frozen_template_vm_on_each_host(template: str, docker_lab: Lab) -> None:
    found = template_vms(docker_lab)
    assert {vm["host"] for vm in found} == set(docker_lab.ready["hosts"])
    assert all(vm["frozen"] for vm in found)


def test_a_second_run_changes_nothing(template: str, docker_lab: Lab, module: Run) -> None:
    again = module("photon_template", **template_options(docker_lab))
    assert not again.get("failed"), again["msg"]
    assert not again["changed"]


def test_an_unfrozen_template_vm_is_frozen_again(template: str, docker_lab: Lab, module: Run) -> None:
    victim = template_vms(docker_lab)[0]["name"]
    docker_lab.control("POST", f"/vms/{victim}/power-off")
    repaired = module("photon_template", **template_options(docker_lab))
    assert not repaired.get("failed"), repaired["msg"]
    assert repaired["changed"]
    assert {action["name"] for action in repaired["actions"]} == {victim}
    assert all(vm["frozen"] for vm in template_vms(docker_lab))


@pytest.fixture
def small(docker_lab: Lab, module: Run) -> Iterator[Run]:
    """A template of this test's own on one host; it is removed afterwards."""

    def build(**options: Any) -> dict[str, Any]:
        own = {"name": SMALL, "cluster": None, "hosts": docker_lab.ready["hosts"][:1], "images": None}
        given = {**template_options(docker_lab), **own, **options}
        return module("photon_template", **{name: value for name, value in given.items() if value is not None})

    yield build
    gone = module("photon_template", name=SMALL, state="absent")
    assert not gone.get("failed"), gone["msg"]
    assert not docker_lab.state()["violations"]


def test_a_private_registry_takes_the_login_that_is_given(small: Run, docker_lab: Lab) -> None:
    private = docker_lab.ready["private"]
    image = private["images"]["web"]
    login = {name: private[name] for name in ("server", "username", "password")}
    refused = small(images=[image])
    assert refused["reason"]["code"] == "image_pull_failed", refused["msg"]
    assert "registry_logins" in refused["msg"]
    assert not [vm for vm in template_vms(docker_lab) if str(vm["name"]).startswith(SMALL)]
    built = small(images=[image], registry_logins=[login])
    assert not built.get("failed"), built["msg"]
    assert [one["name"] for one in built["template"]["images"]] == [image]
    assert built["template"]["images"][0]["digest"].startswith("sha256:")
    assert private["password"] not in json.dumps([built, docker_lab.state()])


def test_a_wrong_login_is_told_and_leaves_nothing(small: Run, docker_lab: Lab) -> None:
    private = docker_lab.ready["private"]
    login = {"server": private["server"], "username": "lab", "password": "wrong"}
    refused = small(images=[private["images"]["web"]], registry_logins=[login])
    assert refused["reason"]["code"] == "image_pull_failed", refused["msg"]
    assert not [vm for vm in template_vms(docker_lab) if str(vm["name"]).startswith(SMALL)]


def test_containers_run_from_an_archive_that_no_registry_has(small: Run, container: Run, docker_lab: Lab) -> None:
    archives = docker_lab.ready["archives"]
    built = small(image_archives=[archives["web"], archives["job"]])
    assert not built.get("failed"), built["msg"]
    assert [one["name"] for one in built["template"]["images"]] == ["lab/job:1", "lab/web:1"]
    assert not small(image_archives=[archives["job"], archives["web"]])["changed"]
    made = container(
        name="loaded", template=SMALL, image="lab/web:1", pull="never", published_ports=["8080:8080"], state="started"
    )
    assert not made.get("failed"), made["msg"]
    answer = requests.get(f"http://{made['vm']['ip']}:8080/", timeout=10).json()
    assert answer["hostname"]
    kept = small(image_archives=[archives["web"]])
    assert kept["error_code"] == "in_use", kept["msg"]
    assert "loaded" in kept["msg"]
