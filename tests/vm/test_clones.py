"""Two clones of one running kernel: what was copied while it ran, and has to become another's.

Here nothing is reset or stopped: the clones are what they were when they thawed.
"""

from __future__ import annotations

import time

import pytest

from tests.support.lab import Lab
from tests.support.machines import Machine, differ
from tests.support.traces import traces
from tests.vm.conftest import FROZEN_FOR, ask, wait_for

pytestmark = pytest.mark.quick

PEM, END = b"-----BEGIN PRIVATE KEY-----\n", b"-----END PRIVATE KEY-----\n"
PAGE = 4096


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
    made = "test -s /etc/ssh/ssh_host_ed25519_key.pub && echo made || true"
    wait_for(lambda: all(one.run(made) for one in siblings), "host keys")
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


def test_the_templates_sealing_key_is_in_no_clone(siblings: tuple[Machine, ...], frozen: Machine) -> None:
    texts = {place.content.partition(END)[0] + END for place in frozen.find(PEM, length=4096) if END in place.content}
    [key] = [text for text in texts if len(text) > 2000]
    secrets = traces(key)
    # In its file, which a clone overwrites, and nowhere else: neither in openssl's memory, nor in what was openssl's.
    assert {place.at // PAGE for place in frozen.find(*secrets)} == {place.at // PAGE for place in frozen.find(key)}
    for one in siblings:
        assert {secrets[place.pattern] for place in one.find(*secrets)} == set()
