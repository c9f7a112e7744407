"""``make check``: every gate, one after the other, each with its time. Name some to run only these."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.table import Table

from tests.gates.gates import GATES, Skipped
from tests.gates.places import WORK, GateFailed

console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - set(GATES))
    if unknown:
        console.print(f"[red]No gate is called {', '.join(unknown)}.[/] There are: {', '.join(GATES)}.")
        return 2
    WORK.mkdir(parents=True, exist_ok=True)
    table = Table("gate", "", "seconds", "", box=None, header_style="bold")
    failed = 0
    for name in names or GATES:
        start = time.monotonic()
        try:
            word, mark = GATES[name](), "[green]passed[/]"
        except Skipped as why:
            word, mark = str(why), "[bold yellow]SKIPPED[/]"
        except GateFailed as failure:
            failed += 1
            word, mark = "", "[bold red]failed[/]"
            console.rule(f"[red]{name}", align="left")
            log = WORK / f"{name}.log"
            log.write_text(str(failure))
            print(f"... the whole of it is in {log}:\n{str(failure)[-8000:]}", flush=True)
        seconds = f"{time.monotonic() - start:.1f}"
        console.print(f"[gate] {name}: {mark} in {seconds} s {word.splitlines()[-1] if word else ''}", soft_wrap=True)
        table.add_row(name, mark, seconds, word.splitlines()[-1] if word else "")
    console.print(table)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
