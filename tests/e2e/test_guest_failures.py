"""What goes wrong inside the guest arrives at the user as itself, within seconds, and leaves nothing behind."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.conftest import Run
from tests.support.lab import Lab

CASES: list[tuple[str, dict[str, Any], str]] = [
    ("image that no registry has", {"image": "{registry}/nowhere:1"}, "image_pull_failed"),
    ("image that may not be pulled", {"image": "{registry}/arm:1", "pull": "never"}, "image_missing"),
    ("image for another architecture", {"image": "{registry}/arm:1"}, "wrong_architecture"),
    ("command that the image lacks", {"image": "{registry}/web:1", "entrypoint": ["/no/such"]}, "command_not_found"),
    ("process that ends at once", {"image": "{registry}/job:1", "env": {"JOB_EXIT": "9"}}, "container_exited"),
]


@pytest.mark.parametrize(("options", "reason"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_reason_arrives(container: Run, docker_lab: Lab, options: dict[str, Any], reason: str) -> None:
    wanted = {**options, "image": options["image"].format(registry=docker_lab.ready["registry"])}
    start = time.monotonic()
    result = container(name="broken", on_failure="remove", state="started", **wanted)
    assert result["failed"]
    assert result["reason"]["code"] == reason, result["msg"]
    assert "broken" in result["msg"]
    assert time.monotonic() - start < 30
    assert "broken" not in docker_lab.vms()


def test_a_dhcp_server_that_never_answers_is_told_as_such(
    container: Run, images: dict[str, str], docker_lab: Lab
) -> None:
    docker_lab.control("POST", "/dhcp", {"match": "unheard", "answer": False})
    try:
        result = container(name="unheard", image=images["web"], on_failure="remove", timeout=120)
    finally:
        docker_lab.control("POST", "/dhcp", {"match": "unheard", "answer": True})
    assert result["failed"]
    assert result["reason"]["code"] == "dhcp_no_answer", result["msg"]
    assert "unheard" in result["msg"]
    assert "unheard" not in docker_lab.vms()


@pytest.mark.parametrize(("process", "name"), [("agent.pyz", "agent-killed"), ("dockerd", "engine-killed")])
def test_a_program_of_the_guest_that_is_killed_while_it_is_waited_for(
    container: Run, images: dict[str, str], docker_lab: Lab, process: str, name: str
) -> None:
    options: dict[str, Any] = {"name": name, "image": images["health"], "published_ports": ["80:8080"]}

    def kill() -> None:
        """Once the container runs; its health is still to be found out."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            vm = docker_lab.vms().get(name)
            if vm and '"running"' in vm["extra_config"].get("guestinfo.bonneville.status", ""):
                docker_lab.control("POST", f"/vms/{name}/kill-guest?process={process}")
                return
            time.sleep(0.02)
        raise AssertionError("it never ran")

    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill)
        hit = container(state="healthy", **options)
        killing.result()
    # The guest starts both again by itself; of the engine the container's end may be told.
    assert not hit.get("failed") or (process == "dockerd" and hit["error_code"] == "container_failed"), hit["msg"]
    again = container(state="healthy", **options)
    assert not again.get("failed"), again["msg"]
    assert again["container"]["health"] == "healthy"
    assert not container(state="healthy", **options)["changed"]
    assert list(docker_lab.vms("bonneville-containers")).count(name) == 1
