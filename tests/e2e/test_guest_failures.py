"""What goes wrong inside the guest arrives at the user as itself, within seconds, and leaves nothing behind."""

from __future__ import annotations

import time
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
