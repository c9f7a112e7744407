"""Clones that boot again, or are shut down: the agent's second start, and a container's orderly end."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import Any

from tests.support.lab import Lab
from tests.support.machines import Machine, memory_table
from tests.vm.conftest import NAMES, Run, ask, status, wait_for, web

MIB = 1024 * 1024


def test_a_clone_has_of_its_own_only_what_it_has_written_to(job: dict[str, Any], vm_lab: Lab) -> None:
    print(memory_table(vm_lab, title="\n[vm] clones: 3"))
    memory = vm_lab.control("GET", "/guests/memory")
    assert set(memory) == {*NAMES, "job"}  # the frozen template is no process
    for one in memory.values():
        assert 0 < one["own"] < 512 * MIB  # of the 2 GiB that each has
        assert one["own"] < one["private"]  # which is the emulator's, too
        assert one["shared"] > 16 * MIB


def test_a_reset_vm_is_the_same_container_vm_again(siblings: tuple[Machine, ...], vm_lab: Lab) -> None:
    one = siblings[0]
    before = status(vm_lab, one.name)
    names = "cat /etc/machine-id /etc/hostname /etc/ssh/ssh_host_ed25519_key.pub"
    own = one.run(f"sync; {names}")
    vm_lab.control("POST", f"/vms/{one.name}/reset")
    wait_for(lambda: _runs_anew(vm_lab, one.name, before["boot"]), "the container runs again")
    assert ask(vm_lab, one.name)["hostname"]
    assert one.run(names) == own
    assert one.spoken == {vm_lab.vms()[one.name]["mac"]}


def test_a_reset_tells_a_past_exit_code_again(job: dict[str, Any], vm_lab: Lab) -> None:
    assert job["container"]["exit_code"] == 5
    before = status(vm_lab, "job")
    vm_lab.control("POST", "/vms/job/reset")
    wait_for(lambda: status(vm_lab, "job").get("boot") not in (None, before["boot"]), "the agent speaks again")
    wait_for(lambda: status(vm_lab, "job")["phase"] == "exited", "the past exit is told")
    assert status(vm_lab, "job")["container"]["exit_code"] == 5


def test_a_guest_shutdown_gives_the_container_its_time_to_stop(
    siblings: tuple[Machine, ...], deploy: Run, module: Run, images: dict[str, str], vm_lab: Lab
) -> None:
    # A request that never ends keeps the server for five seconds after SIGTERM, of the ten that it has.
    with ExitStack() as requests_open:
        for one in siblings:
            connection = socket.create_connection((vm_lab.vms()[one.name]["ip"], 8080), timeout=30)
            requests_open.enter_context(connection).sendall(b"GET / HTTP/1.1\r\n")
        deploy(name="pair", replicas=2, state="stopped", **web(images))
    for one in siblings:
        assert vm_lab.vms()[one.name]["power"] == "poweredOff"
    for told in module("container_vm_info", service="pair", logs=20)["containers"]:
        said = str(told["logs"])
        assert "web: asked to stop" in said and said.index("asked to stop") < said.index("web: stopped")


def _runs_anew(lab: Lab, name: str, boot: str) -> bool:
    said = status(lab, name)
    return said.get("boot") not in (None, boot) and said.get("phase") == "running"
