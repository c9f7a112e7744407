"""``make picture``: run the demo for real and draw what its terminal showed, as docs/img/demo.svg.

The run's own output is drawn, none of it is written by hand. Acts 2 to 4 are shown: the others would make it long.
"""

from __future__ import annotations

import io
import os
import pty
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "img" / "demo.svg"
WIDTH = 120
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def main() -> int:
    os.environ.update({"COLUMNS": str(WIDTH), "ANSIBLE_FORCE_COLOR": "true", "TERM": "xterm-256color"})
    seen = bytearray()

    def keep(terminal: int) -> bytes:
        data = os.read(terminal, 65536)
        seen.extend(data)
        return data

    status = pty.spawn([sys.executable, "-m", "tests.demo"], keep)
    if status:
        return os.waitstatus_to_exitcode(status)
    (ROOT / ".build" / "demo.ansi").write_bytes(seen)
    draw(seen.decode(errors="replace"))
    return 0


def draw(said: str) -> None:
    """Draw the acts that are shown. Raises: ValueError where the output has not got them."""
    lines = [line.rstrip("\r") for line in said.replace("\r\n", "\n").split("\n")]
    plain = [COLOUR.sub("", line) for line in lines]
    first = next((i for i, line in enumerate(plain) if line.startswith("2. ")), None)
    last = next((i for i, line in enumerate(plain) if line.startswith("5. ")), None)
    if first is None or last is None:
        raise ValueError("the demo's output has no acts 2 to 4 to draw")
    # What Ansible prints between its tasks is empty of news: one rule of stars for each task would be half the picture.
    shown = [re.sub(r"\*{6,}", "****", lines[i]) for i in range(first, last) if plain[i].strip()]
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi("\n".join(["$ make demo", "…", *shown])), soft_wrap=False)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(console.export_svg(title="make demo", unique_id="demo"))


if __name__ == "__main__":
    sys.exit(main())
