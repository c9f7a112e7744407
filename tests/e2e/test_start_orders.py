"""An order to start is followed once: at once, or at the boot that it came before."""

from __future__ import annotations

import time
from typing import Any

import requests

from tests.e2e.conftest import Run
from tests.e2e.test_containers import ask


def end(container: dict[str, Any], code: int) -> None:
    requests.get(f"http://{container['vm']['ip']}:8080/exit?code={code}", timeout=10)


def when_ended(module: Run, name: str) -> dict[str, Any]:
    for _ in range(20):
        (found,) = module("container_vm_info", name=name, logs=3)["containers"]
        if found["phase"] == "exited":
            return found
        time.sleep(0.5)
    raise AssertionError(f"{name} ended, and its end was not told: {found}")


def test_a_container_that_ends_after_a_stop_and_a_start_stays_ended(
    container: Run, module: Run, images: dict[str, str]
) -> None:
    options: dict[str, Any] = {"name": "ordered", "image": images["web"], "published_ports": ["8080:8080"]}
    container(**options)
    container(**options, state="stopped")
    (off,) = module("container_vm_info", name="ordered")["containers"]
    assert (off["phase"], off["vm"]["power"], off["container"]["state"]) == ("stopped", "poweredOff", None)
    started = container(**options)
    assert started["phase"] == "running"
    end(started, 3)
    ended = when_ended(module, "ordered")
    assert ended["container"]["exit_code"] == 3
    assert ended["logs"]
    # An order that was left unread would be followed within a second or two.
    time.sleep(4)
    again = when_ended(module, "ordered")
    assert again["container"]["started_at"] == ended["container"]["started_at"]


def test_one_that_had_ended_before_it_was_stopped_is_started_at_boot(
    container: Run, module: Run, images: dict[str, str]
) -> None:
    options: dict[str, Any] = {"name": "reordered", "image": images["web"], "published_ports": ["8080:8080"]}
    end(container(**options), 4)
    when_ended(module, "reordered")
    container(**options, state="stopped")
    started = container(**options)
    assert not started.get("failed"), started["msg"]
    assert started["phase"] == "running"
    assert ask(started)["hostname"]


def test_a_policy_of_no_restart_does_not_keep_an_order_from_being_followed(
    container: Run, images: dict[str, str]
) -> None:
    options: dict[str, Any] = {
        "name": "unrestarted", "image": images["web"], "published_ports": ["8080:8080"], "restart_policy": "no",
    }  # fmt: skip
    container(**options)
    container(**options, state="stopped")
    started = container(**options)
    assert not started.get("failed"), started["msg"]
    assert ask(started)["hostname"]
