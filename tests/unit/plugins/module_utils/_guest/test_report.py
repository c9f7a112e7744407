"""What the agent says of a container whose process ends at once."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent.container import Process
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent.report import Reporter
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import Reason

from tests.unit.plugins.module_utils._guest.conftest import Host


@pytest.fixture
def reporter(host: Host) -> Iterator[Reporter]:
    one = Reporter(host, role="container", nonce="n", phase="starting")  # type: ignore[arg-type]
    assert one.flush()
    yield one
    one.close()


def after(seconds: float, act: Callable[[], None]) -> None:
    threading.Timer(seconds, act).start()


def test_an_end_that_the_engine_tells_late_is_the_first_that_the_host_hears(host: Host, reporter: Reporter) -> None:
    reporter.runs(lambda: True)
    reporter.phase("running")
    after(0.4, lambda: reporter.phase("exited"))
    assert reporter.flush()
    assert host.phases() == ["exited"]


def test_a_process_that_lives_is_said_to_run_though_it_ends_soon_after(host: Host, reporter: Reporter) -> None:
    reporter.runs(lambda: False)
    reporter.phase("running")
    assert reporter.flush()
    reporter.phase("exited")
    assert reporter.flush()
    assert host.phases() == ["running", "exited"]


def test_one_that_the_engine_starts_again_is_not_waited_for(host: Host, reporter: Reporter) -> None:
    reporter.runs(lambda: True)
    reporter.phase("running")
    after(0.3, lambda: reporter.phase("running", Reason(code="container_exited", message="restarted 1 times")))
    assert reporter.flush(2.0), "it waited for an end that does not come"
    assert host.phases() == ["running"]


def test_the_kernel_knows_whether_a_process_ended() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        process = Process(pid=child.pid, bridge_address="")
        assert not process.ended()
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it ended, and nobody has fetched it yet
        assert process.ended()
    assert process.ended()
