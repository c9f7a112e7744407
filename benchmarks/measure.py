"""Run one process and say what it took: seconds, processor time, the module's memory, calls of the API."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.support.lab import Lab

PROBE = Path(__file__).parent / "probe"


class ContestantFailed(RuntimeError):
    """A process that was to be measured did not do its work; its output is in the message."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One process. Times are in seconds, of ``module_*`` summed over the modules' own processes; memory in MiB."""

    lab: str
    round: int
    contestant: str
    cell: str
    wall: float
    cpu: float
    calls: int
    calls_by_method: Mapping[str, int] = field(repr=False)
    module_wall: float = 0.0
    module_cpu: float = 0.0
    module_rss_mb: float = 0.0

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Took:
    """What :func:`run` found out, beside the process's output."""

    wall: float
    cpu: float
    calls: Mapping[str, int]
    modules: tuple[tuple[float, float, float], ...]
    output: str


def run(command: Sequence[str], *, environment: Mapping[str, str], lab: Lab, scratch: Path) -> Took:
    """Run a process to its end. Raises: ContestantFailed where its exit code is not 0."""
    notes, said = scratch / "modules", scratch / "output"
    notes.unlink(missing_ok=True)
    lab.reset_calls()
    with said.open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            env={**environment, "PYTHONPATH": str(PROBE), "BENCHMARK_PROBE": str(notes)},
            cwd=Path(__file__).parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        # With the times of all descendants that were waited for, so of the modules as well.
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    text = said.read_text(errors="replace")
    if process.returncode:
        raise ContestantFailed(f"{' '.join(command)} ended with {process.returncode}:\n{text[-4000:]}")
    lines = notes.read_text().splitlines() if notes.exists() else []
    modules = tuple((float(wall), float(cpu), float(kib) / 1024) for wall, cpu, kib in (line.split() for line in lines))
    return Took(wall=wall, cpu=used.ru_utime + used.ru_stime, calls=lab.calls(), modules=modules, output=text)
