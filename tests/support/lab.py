"""Start a lab, talk to its control API, and see that it leaves nothing running."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build"
BINARY = Path(os.environ.get("BONNEVILLE_LAB", BUILD / "lab"))
# The first start of docker guests and VMs builds their root by debootstrap: about a minute, more on a slow mirror.
START_SECONDS = {"scripted": 60, "docker": 900, "vm": 900}


@dataclass(frozen=True, kw_only=True)
class Lab:
    """A running lab: what it said when it was ready, and its control API."""

    ready: Mapping[str, Any]
    process: subprocess.Popen[bytes] = field(repr=False)
    directory: Path

    @property
    def connection(self) -> dict[str, Any]:
        """The modules' connection options. The CA comes by environment, as on any controller."""
        vcenter = self.ready["vcenter"]
        return {
            "vcenter_hostname": vcenter["host"],
            "vcenter_port": vcenter["port"],
            "vcenter_username": vcenter["user"],
            "vcenter_password": vcenter["password"],
        }

    @property
    def environment(self) -> dict[str, str]:
        """The variables that AWX's VMware credential sets, and the one that names the lab's CA."""
        vcenter = self.ready["vcenter"]
        return {
            "VMWARE_HOST": vcenter["host"],
            "VMWARE_PORT": str(vcenter["port"]),
            "VMWARE_USER": vcenter["user"],
            "VMWARE_PASSWORD": vcenter["password"],
            "SSL_CERT_FILE": vcenter["ca_file"],
            "REQUESTS_CA_BUNDLE": vcenter["ca_file"],
        }

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the control API; its JSON answer, or None where there is none."""
        answer = requests.request(method, self.ready["control"] + path, json=body, timeout=120)
        if not answer.ok:
            raise RuntimeError(f"the lab's {method} {path} answered {answer.status_code}: {answer.text}")
        return answer.json() if answer.content else None

    def state(self) -> dict[str, Any]:
        """The whole of what the lab's vCenter holds."""
        state: dict[str, Any] = self.control("GET", "/state")
        return state

    def vms(self, folder: str = "") -> dict[str, dict[str, Any]]:
        """The VMs by name; with a folder, only those directly in it."""
        return {vm["name"]: vm for vm in self.state()["vms"] if not folder or vm["folder"].strip("/").endswith(folder)}

    def calls(self) -> dict[str, int]:
        """API calls by method since the last reset."""
        calls: dict[str, int] = self.control("GET", "/calls")
        return calls

    def reset_calls(self) -> None:
        self.control("DELETE", "/calls")

    @contextmanager
    def fault(self, **rule: Any) -> Iterator[None]:
        """Inject one fault rule for the time of the block."""
        self.control("POST", "/faults", rule)
        try:
            yield
        finally:
            self.control("DELETE", "/faults")

    @contextmanager
    def scripted(self, *rules: Mapping[str, Any]) -> Iterator[None]:
        """Set how scripted guests behave for the time of the block."""
        self.control("POST", "/scripted", list(rules))
        try:
            yield
        finally:
            self.control("POST", "/scripted", [])


class LabDidNotStart(RuntimeError):
    """The lab ended, or was not ready in time; its last words are in the message."""


@contextmanager
def running_lab(
    *, guests: str, hosts: int = 3, arguments: tuple[str, ...] = (), verbose: bool = False
) -> Iterator[Lab]:
    """A lab for the time of the block. With ``verbose`` its progress goes to our own stderr."""
    if not BINARY.exists():
        raise LabDidNotStart(f"{BINARY} is not built: run 'make setup'")
    with tempfile.TemporaryDirectory(prefix="bonneville-lab-") as scratch, ExitStack() as starting:
        if guests != "scripted":
            # Two at once would both build the guests' root, and might choose the same network.
            fcntl.flock(starting.enter_context((BUILD / "lab.lock").open("w")), fcntl.LOCK_EX)
        directory = Path(scratch)
        command = [str(BINARY), "serve", "--guests", guests, "--hosts", str(hosts), "--dir", str(directory / "state")]
        command += ["--cache", str(BUILD / "cache"), *arguments]
        log = directory / "lab.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=None if verbose else errors, start_new_session=True
            )
        try:
            ready = _read_ready_line(process=process, log=log, seconds=START_SECONDS[guests])
            starting.close()
            yield Lab(ready=ready, process=process, directory=directory)
        finally:
            _stop(process)


@contextmanager
def small_lab() -> Iterator[Lab]:
    """What most tests need: scripted guests, three hosts, and some VMs of others."""
    with running_lab(guests="scripted", hosts=3, arguments=("--vms", "20")) as lab:
        yield lab


def _read_ready_line(*, process: subprocess.Popen[bytes], log: Path, seconds: int) -> Any:
    """The lab's first line of output says that it is ready, and where everything is."""
    assert process.stdout is not None
    answered, _, _ = select.select([process.stdout], [], [], seconds)
    if not answered:
        raise LabDidNotStart(f"the lab was not ready after {seconds} s:\n{_tail(log)}")
    line = process.stdout.readline()
    if not line:
        raise LabDidNotStart(f"the lab ended with exit code {process.wait()}:\n{_tail(log)}")
    return json.loads(line)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the lab as a user would; a lab that does not end is killed and reported."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise RuntimeError("the lab did not end within 120 s of SIGTERM and was killed") from None


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-40:])
