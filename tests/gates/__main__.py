"""``make check``: every gate, as many side by side as there are processors, each with its time.

Name some to run only these; ``ci`` names those that ``.ci/run`` has beside ``make test``.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tests.gates.gates import GATES, LONGEST_FIRST, Skipped, for_all, for_ci
from tests.gates.places import WORK, GateFailed

console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
STYLES = {"passed": "green", "SKIPPED": "bold yellow", "FAILED": "bold red"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a gate: how it ended, after how long, and what it said, of a failure all of it."""

    name: str
    end: str
    seconds: float
    said: str = ""

    @property
    def word(self) -> str:
        return "" if self.end == "FAILED" or not self.said else self.said.splitlines()[-1]


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - set(GATES) - {"ci"})
    if unknown:
        console.print(f"No gate is called {', '.join(unknown)}. There are: {', '.join(GATES)}; 'ci' is most of them.")
        return 2
    chosen = for_ci() if names == ["ci"] else names or for_all()
    WORK.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        running = [pool.submit(pass_through, name) for name in sorted(chosen, key=_rank)]
        outcomes = [tell(future.result()) for future in as_completed(running)]
    table = Table("gate", "", "seconds", "", box=None, header_style="bold")
    for one in sorted(outcomes, key=lambda one: chosen.index(one.name)):
        table.add_row(one.name, one.end, f"{one.seconds:.1f}", one.word, style=STYLES[one.end])
    table.add_row("all", "", f"{time.monotonic() - began:.1f}", "")
    console.print(table)
    return 1 if any(one.end == "FAILED" for one in outcomes) else 0


def pass_through(name: str) -> Outcome:
    """Run the gate to its end."""
    start = time.monotonic()
    try:
        end, said = "passed", GATES[name]()
    except Skipped as why:
        end, said = "SKIPPED", str(why)
    except GateFailed as failure:
        end, said = "FAILED", str(failure)
    return Outcome(name=name, end=end, seconds=time.monotonic() - start, said=said)


def tell(one: Outcome) -> Outcome:
    """Say how the gate ended, of a failure the end of its output."""
    if one.end == "FAILED":
        log = WORK / f"{one.name}.log"
        log.write_text(one.said)
        console.rule(one.name, align="left", style="red")
        print(f"... the whole of it is in {log}:\n{one.said[-8000:]}", flush=True)
    console.print(
        f"[gate] {one.name}: {one.end} in {one.seconds:.1f} s  {one.word}", style=STYLES[one.end], soft_wrap=True
    )
    return one


def _rank(name: str) -> int:
    kind = name.removesuffix("-newest")
    return LONGEST_FIRST.index(kind) if kind in LONGEST_FIRST else len(LONGEST_FIRST)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
