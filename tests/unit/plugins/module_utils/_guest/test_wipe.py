"""Programs that leave nothing in the memory that they had, seen at real processes."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent import wipe

# The text that is looked for is made in memory only: it stands in no file, and in no argument.
SECRET = bytes(range(64, 96)) * 2
LEAVES = "kept = [bytes(range(64, 96)) * 2 for _ in range(3)]; print(len(kept))"


@pytest.fixture(scope="module", autouse=True)
def _traced() -> None:
    child = os.posix_spawn("/bin/sleep", ["sleep", "30"], {})
    refused = wipe._ptrace(wipe._SEIZE, child, 0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if refused:
        pytest.skip(f"SKIPPED: no process may be traced here: {refused}")


def held(pid: int) -> int:
    """How often the secret stands in what a process can write to."""
    found = 0
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if rights.startswith("rw"):
                start, end = (int(address, 16) for address in span.split("-"))
                memory.seek(start)
                found += memory.read(end - start).count(SECRET)
    return found


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often the secret stood in memory: when the process ended, and when the kernel got its memory."""
    seen: list[int] = []
    overwrite = wipe._overwrite

    def look(pid: int) -> None:
        seen.append(held(pid))
        overwrite(pid)
        seen.append(held(pid))

    monkeypatch.setattr(wipe, "_overwrite", look)
    return seen


def test_nothing_is_left_in_memory_when_the_program_has_ended(found: list[int]) -> None:
    done = wipe.run_wiped([sys.executable, "-I", "-S", "-c", LEAVES])
    assert (done.code, done.out, done.err) == (0, b"3\n", b"")
    assert found[0] >= 3
    assert found[1:] == [0]


def test_one_that_a_signal_ends_leaves_nothing_either(found: list[int]) -> None:
    end = f"{LEAVES}; import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    assert wipe.run_wiped([sys.executable, "-I", "-S", "-c", end]).code == -signal.SIGTERM
    assert found[0] >= 3
    assert found[1:] == [0]


def test_data_goes_in_and_out_as_it_is() -> None:
    data = bytes(range(256)) * 4096  # more than a pipe holds
    assert wipe.run_wiped(["cat"], data=data).out == data


def test_a_failure_is_told_with_its_words() -> None:
    done = wipe.run_wiped(["openssl", "pkey", "-in", "/no/such/key"])
    assert done.code == 1
    assert "/no/such/key" in done.said
    assert wipe.run_wiped(["/no/such/program"]).code == 127


def test_a_program_that_hangs_is_ended() -> None:
    done = wipe.run_wiped(["sleep", "60"], timeout=0.2)
    assert done.code
    assert "did not end within 0.2 s" in done.said


def test_where_no_process_may_be_traced_it_runs_and_the_journal_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wipe, "_ptrace", lambda *_unused: "Operation not permitted")
    assert wipe.run_wiped(["echo", "said"]).out == b"said\n"
    assert "not overwritten: Operation not permitted" in capsys.readouterr().err


def test_no_file_stays_open() -> None:
    before = os.listdir("/proc/self/fd")
    wipe.run_wiped(["true"])
    assert os.listdir("/proc/self/fd") == before
