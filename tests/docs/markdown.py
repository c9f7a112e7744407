"""The Markdown of docs/how-it-works.md as reStructuredText: headings, tables, code, links; no more than it uses."""

from __future__ import annotations

import re

REPOSITORY = "https://github.com/bonneville/vsphere/blob/main/docs/"
_NOTE = ".. Written by tests/docs/generate.py from docs/how-it-works.md: change it there.\n"


def as_rst(text: str, *, label: str) -> str:
    """A page of the docs site. Its first heading, of level 1, is the page's title."""
    lines: list[str] = []
    pending = iter(text.strip("\n").split("\n"))
    for line in pending:
        if line.startswith("```"):
            lines += [f".. code-block:: {line[3:] or 'text'}", ""]
            for inside in pending:
                if inside == "```":
                    break
                lines.append(f"   {inside}".rstrip())
        elif heading := re.fullmatch(r"(#+) (.*)", line):
            title = _inline(heading[2])
            lines += [title, ("=-~"[len(heading[1]) - 1]) * len(title)]
        elif line.startswith("|"):
            rows = [line]
            for row in pending:
                if not row.startswith("|"):
                    break
                rows.append(row)
            lines += [*_table(rows), ""]
        else:
            lines.append(_inline(line))
    body = "\n".join(lines)
    return f".. _ansible_collections.bonneville.vsphere.docsite.{label}:\n\n{_NOTE}\n{body}\n"


def _table(rows: list[str]) -> list[str]:
    cells = [[_inline(cell.strip()) for cell in row.strip("|").split("|")] for row in rows]
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (cells[0], *cells[2:]):
        lines += [f"   {'* -' if number == 0 else '  -'} {cell}".rstrip() for number, cell in enumerate(row)]
    return lines


def _inline(text: str) -> str:
    """Code, and links: to a page of the repository where they are no addresses."""
    parts = re.split(r"(`[^`]+`)", text)
    parts = [f"`{part}`" if part[:1] == "`" else part for part in parts]
    joined = "".join(parts)
    return re.sub(r"\[([^]]+)\]\(([^)]+)\)", lambda found: f"`{found[1]} <{_address(found[2])}>`__", joined)


def _address(target: str) -> str:
    return target if "://" in target else REPOSITORY + target
