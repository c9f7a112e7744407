"""What only a real kernel shows: memory that was copied while it ran, and what has to become another's in it.

Two siblings of one template are looked at first, then one of them is reset and shut down.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests

from tests.support.lab import Lab
from tests.support.machines import Machine, differ, memory_table
from tests.vm.conftest import FROZEN_FOR, Run, status, wait_for

PEM = b"-----BEGIN PRIVATE KEY-----\n"
NAMES = ("pair-0", "pair-1")


def ask(lab: Lab, name: str, path: str = "/") -> dict[str, Any]:
    answer: dict[str, Any] = requests.get(f"http://{lab.vms()[name]['ip']}:8080{path}", timeout=30).json()
    return answer


@pytest.fixture(scope="module")
def siblings(deploy: Run, images: dict[str, str], vm_lab: Lab) -> tuple[Machine, ...]:
    """Two clones of one frozen VM, made one after the other, each running a web server."""
    options: dict[str, Any] = {"name": "pair", "image": images["web"], "published_ports": ["8080:8080"]}
    for replicas in (1, 2):
        start = time.monotonic()
        made = deploy(replicas=replicas, **options)["containers"][-1]
        ran = time.monotonic() - start
        assert ask(vm_lab, made["name"])["hostname"]
        timings = status(vm_lab, made["name"])["timings"]
        print(f"\n[vm] {made['name']}: deployed in {ran:.1f} s, HTTP 200 after {time.monotonic() - start:.1f} s")
        print(f"[vm]   seconds since its thaw: {timings}")
        print(memory_table(vm_lab, title=f"[vm] {replicas} clone(s)"))
    return tuple(Machine(lab=vm_lab, name=name) for name in NAMES)


def test_each_answers_over_http_at_an_address_of_its_own(siblings: tuple[Machine, ...], vm_lab: Lab) -> None:
    assert len({ask(vm_lab, one.name)["hostname"] for one in siblings}) == 2
    vms = vm_lab.vms()
    assert len({vms[one.name]["ip"] for one in siblings}) == 2
    leases = vm_lab.control("GET", "/guests/leases")
    assert all(leases[vms[one.name]["mac"]] == vms[one.name]["ip"] for one in siblings)


def test_only_its_own_mac_is_ever_on_the_wire(siblings: tuple[Machine, ...], frozen: Machine, vm_lab: Lab) -> None:
    macs = {one.name: vm_lab.vms()[one.name]["mac"] for one in (*siblings, frozen)}
    assert len(set(macs.values())) == 3
    for one in siblings:
        assert one.spoken == {macs[one.name]}


@pytest.mark.parametrize(
    "command",
    [
        "hostname",
        "cat /etc/hostname",
        "cat /etc/machine-id",
        "cat /proc/sys/kernel/random/boot_id",
        "cat /etc/ssh/ssh_host_ed25519_key.pub",
        "cat /etc/ssh/ssh_host_rsa_key.pub",
        "head -c 32 /dev/urandom | base64 -w0",
        "sha256sum </var/lib/systemd/random-seed",
        "cat /sys/class/net/eth0/address",
    ],
)
def test_nothing_that_names_a_machine_is_shared(siblings: tuple[Machine, ...], command: str) -> None:
    # The host keys are made beside the container's start.
    wait_for(lambda: all(one.run("ls /etc/ssh/ssh_host_ed25519_key.pub || true") for one in siblings), "host keys")
    assert differ(siblings, command)


def test_the_clock_is_right_after_a_long_freeze(siblings: tuple[Machine, ...]) -> None:
    for one in siblings:
        before = time.time()
        now = float(one.run("date +%s.%N"))
        # The RTC counts whole seconds.
        assert before - 2.0 < now < time.time() + 2.0
        # It was wrong before the agent looked: else this test would show nothing.
        said = one.run("journalctl --directory=/run/log/journal --unit=bonneville-agent --output=cat | grep 'behind'")
        assert int(said.split(" s behind")[0].rpartition(" ")[2]) >= FROZEN_FOR


def test_the_journal_is_kept_under_the_name_that_the_machine_has_now(siblings: tuple[Machine, ...]) -> None:
    for one in siblings:
        one.run("systemd-cat --identifier=probe echo heard in the clone")
        read = "journalctl --sync; journalctl --identifier=probe --output=cat"
        assert one.run(read) == "heard in the clone"


@pytest.mark.xfail(
    reason="known: openssl leaves the key in pages that it frees, and now and then a clone has not used them again"
)
def test_the_templates_sealing_key_is_in_no_clone(siblings: tuple[Machine, ...], frozen: Machine) -> None:
    keys = {place.partition(b"-----END")[0] for place in frozen.find(PEM, length=4096)}
    whole = [key for key in keys if len(key) > 2000]
    assert whole, "the frozen template has no key to look for"
    for key in whole:
        middle = key[len(key) // 2 :][:64]
        assert frozen.find(middle)
        for one in siblings:
            assert one.find(middle) == []


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


def test_a_reset_tells_a_past_exit_code_again(deploy: Run, images: dict[str, str], vm_lab: Lab) -> None:
    options: dict[str, Any] = {"name": "job", "image": images["job"], "env": {"JOB_EXIT": "5"}}
    done = deploy(**options, detach=False)
    assert done["container"]["exit_code"] == 5
    print(memory_table(vm_lab, title="\n[vm] 3 clones, one of them reset"))
    before = status(vm_lab, "job")
    vm_lab.control("POST", "/vms/job/reset")
    wait_for(lambda: status(vm_lab, "job").get("boot") not in (None, before["boot"]), "the agent speaks again")
    wait_for(lambda: status(vm_lab, "job")["phase"] == "exited", "the past exit is told")
    assert status(vm_lab, "job")["container"]["exit_code"] == 5


def test_a_guest_shutdown_stops_the_container_in_order(
    siblings: tuple[Machine, ...], deploy: Run, module: Run, images: dict[str, str], vm_lab: Lab
) -> None:
    deploy(name="pair", replicas=2, image=images["web"], published_ports=["8080:8080"], state="stopped")
    for one in siblings:
        assert vm_lab.vms()[one.name]["power"] == "poweredOff"
    told = module("container_vm_info", service="pair", logs=20)["containers"]
    assert all("web: asked to stop" in str(one["logs"]) for one in told)


def _runs_anew(lab: Lab, name: str, boot: str) -> bool:
    said = status(lab, name)
    return said.get("boot") not in (None, boot) and said.get("phase") == "running"
