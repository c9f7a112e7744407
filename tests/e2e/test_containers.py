"""Containers as VMs: a real agent and a real Docker Engine in each of them."""

from __future__ import annotations

import time
from typing import Any

import requests

from tests.e2e.conftest import Run
from tests.support.lab import Lab


def ask(container: dict[str, Any], path: str = "/", port: int = 8080) -> dict[str, Any]:
    answer: dict[str, Any] = requests.get(f"http://{container['vm']['ip']}:{port}{path}", timeout=10).json()
    return answer


def test_replicas_answer_over_http_and_are_spread(container: Run, images: dict[str, str], docker_lab: Lab) -> None:
    made = container(name="spread", replicas=3, image=images["web"], published_ports=["80:8080"], env={"A": "1"})
    assert made["changed"]
    assert [one["name"] for one in made["containers"]] == ["spread-0", "spread-1", "spread-2"]
    assert {one["vm"]["host"] for one in made["containers"]} == set(docker_lab.ready["hosts"])
    answers = [ask(one, port=80) for one in made["containers"]]
    assert len({answer["hostname"] for answer in answers}) == 3
    assert {answer["env"]["A"] for answer in answers} == {"1"}


def test_a_second_run_changes_nothing(container: Run, images: dict[str, str]) -> None:
    secret = {"SECRET": "s3cret-value"}
    options: dict[str, Any] = {"name": "twice", "replicas": 2, "image": images["web"], "env": secret}
    assert container(**options)["changed"]
    again = container(**options)
    assert not again["changed"]
    assert again["actions"] == []
    assert "s3cret-value" not in str(again)


def test_check_mode_tells_what_the_run_then_does(container: Run, images: dict[str, str], docker_lab: Lab) -> None:
    options: dict[str, Any] = {"name": "foretold", "image": images["web"]}
    foretold = container(check=True, **options)
    assert "foretold" not in docker_lab.vms()
    done = container(**options)
    assert foretold["changed"] and done["changed"]
    assert [(one["action"], one["name"]) for one in foretold["actions"]] == [
        (one["action"], one["name"]) for one in done["actions"]
    ]
    assert foretold["diff"] == done["diff"]


def test_a_changed_value_replaces_the_container_and_is_named(container: Run, images: dict[str, str]) -> None:
    first = container(name="value", image=images["web"], env={"A": "1", "B": "1"}, published_ports=["8080:8080"])
    second = container(name="value", image=images["web"], env={"A": "2", "B": "1"}, published_ports=["8080:8080"])
    assert second["changed"]
    assert second["vm"]["moid"] != first["vm"]["moid"]
    assert second["vm"]["name"] == "value"
    assert "env" in str(second["diff"])
    assert ask(second)["env"]["A"] == "2"


def test_scaling_down_removes_the_highest_ordinals(container: Run, images: dict[str, str], docker_lab: Lab) -> None:
    container(name="scale", replicas=3, image=images["web"])
    down = container(name="scale", replicas=1, image=images["web"])
    assert {one["name"] for one in down["actions"]} == {"scale-1", "scale-2"}
    assert {name for name in docker_lab.vms() if name.startswith("scale")} == {"scale-0"}


def test_a_job_gives_back_its_output_and_exit_code(container: Run, images: dict[str, str], docker_lab: Lab) -> None:
    job = container(
        name="job",
        image=images["job"],
        env={"JOB_LINES": "2", "JOB_EXIT": "5"},
        detach=False,
        cleanup=True,
    )
    assert job["container"]["exit_code"] == 5
    assert len(job["container"]["output"].splitlines()) >= 2
    assert "job" not in docker_lab.vms()


def test_stopped_and_started_again(container: Run, images: dict[str, str], docker_lab: Lab) -> None:
    container(name="pause", image=images["web"], published_ports=["8080:8080"])
    stopped = container(name="pause", image=images["web"], published_ports=["8080:8080"], state="stopped")
    assert stopped["changed"]
    assert docker_lab.vms()["pause"]["power"] == "poweredOff"
    assert not container(name="pause", image=images["web"], published_ports=["8080:8080"], state="stopped")["changed"]
    started = container(name="pause", image=images["web"], published_ports=["8080:8080"], state="started")
    assert started["changed"]
    assert ask(started)["hostname"]


def test_healthy_waits_for_the_health_check(container: Run, images: dict[str, str]) -> None:
    made = container(name="health", image=images["health"], published_ports=["8080:8080"], state="healthy")
    assert made["container"]["health"] == "healthy"


def test_an_exited_container_is_reported_and_started_again(container: Run, module: Run, images: dict[str, str]) -> None:
    options: dict[str, Any] = {"name": "exits", "image": images["web"], "published_ports": ["8080:8080"]}
    made = container(**options)
    requests.get(f"http://{made['vm']['ip']}:8080/exit?code=3", timeout=10)
    deadline = time.monotonic() + 30
    while (info := module("container_vm_info", service="exits", logs=5)["containers"][0])["phase"] != "exited":
        assert time.monotonic() < deadline, "its end was not told"
    assert info["container"]["exit_code"] == 3
    assert info["logs"]
    again = container(**options)
    assert again["changed"]
    assert ask(again)["hostname"]


def test_a_host_restart_brings_the_container_back(container: Run, images: dict[str, str], docker_lab: Lab) -> None:
    options: dict[str, Any] = {"name": "reboot", "image": images["web"], "published_ports": ["8080:8080"]}
    made = container(**options)
    # What vSphere HA does with a VM whose host is gone.
    docker_lab.control("POST", "/vms/reboot/power-off")
    docker_lab.control("POST", "/vms/reboot/power-on")
    again = container(**options)
    assert not again.get("failed"), again["msg"]
    assert not again["changed"]
    assert again["vm"]["moid"] == made["vm"]["moid"]
    assert ask(again)["hostname"]
