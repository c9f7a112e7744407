"""Whether a process of this machine has died, told from a few words that it left."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere import process

from tests.support.modules import ansible_environment

_OTHER = """
import sys
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere import process
print(process.mine(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process, and what it says that it is."""
    environment = {**ansible_environment(), "PYTHONPATH": ":".join(sys.path)}
    child = subprocess.Popen(
        [sys.executable, "-c", _OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    with child:
        assert child.stdout
        yield child, child.stdout.readline().strip()
        child.kill()


def test_one_that_lives_is_known_and_has_not_died(other: tuple[subprocess.Popen[str], str]) -> None:
    _child, text = other
    assert text.startswith("process ") and text != process.mine() and len(text) <= 80
    for one in (text, process.mine()):
        assert process.is_here(one) and not process.has_died(one)


def test_one_that_was_killed_has_died_even_before_its_parent_has_heard(
    other: tuple[subprocess.Popen[str], str],
) -> None:
    child, text = other
    child.kill()
    assert child.stdout and child.stdout.read() == ""  # so it is over
    _wait_for(lambda: process.has_died(text))
    child.wait()
    assert process.has_died(text)


def test_its_number_in_use_again_is_another_process() -> None:
    here, pid, start = process.mine().removeprefix("process ").split(" ")
    assert process.has_died(f"process {here} {pid} {int(start) - 1}")


@pytest.mark.parametrize(
    "text",
    ["", "photos", "process", "process x", "process {here} one {start}", "process 0123456789abcdef {pid} 5"],
)
def test_what_cannot_be_known_has_not_died(text: str) -> None:
    here, pid, start = process.mine().removeprefix("process ").split(" ")
    written = text.format(here=here, pid=pid, start=start)
    assert not process.is_here(written) and not process.has_died(written)


def test_another_machine_is_another_place(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = process.mine()
    monkeypatch.setattr(process.socket, "gethostname", lambda: "a-clone-of-this-machine")
    assert process.mine() != mine and not process.is_here(mine)


def _wait_for(condition: Callable[[], bool]) -> None:
    """A killed process is a zombie a moment after its pipes are closed."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
