"""A template is frozen on every host, stays so, and is repaired."""

from __future__ import annotations

from tests.e2e.conftest import Run, template_options
from tests.support.lab import Lab


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
