"""The examples of the documents: every block of code in the plugins' EXAMPLES, the guides and the READMEs."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
YAML = ("yaml", "yaml+jinja", "yml")
# Where blocks of code stand in for nothing that could be run: drawings and what is printed.
SHOWN = ("text",)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of code: the file that it is in, the line at which it begins, and its language."""

    path: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}"


def plugin_files() -> list[Path]:
    return sorted([*(ROOT / "plugins" / "modules").glob("*.py"), *(ROOT / "plugins" / "inventory").glob("*.py")])


def documents() -> list[Path]:
    """The guides and every README and other page of text that a user or contributor reads."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.rst")]
    found += [*(ROOT / "roles").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return sorted(path for path in found if path.name not in ("CHANGELOG.rst",))


def blocks() -> list[Block]:
    """All of them, in the order in which a reader meets them."""
    found = [_examples(path) for path in plugin_files()]
    for path in documents():
        text = path.read_text()
        found += _fenced(path, text) if path.suffix == ".md" else _directives(path, text)
    return found


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _examples(path: Path) -> Block:
    """A plugin's EXAMPLES; a plugin without any is a mistake."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "EXAMPLES":
            return Block(path=_name(path), line=node.lineno, language="yaml", text=ast.literal_eval(node.value))
    raise ValueError(f"{_name(path)} has no EXAMPLES")


def _fenced(path: Path, text: str) -> Iterator[Block]:
    for found in re.finditer(r"^([ ]*)```([\w+-]*)\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(path=_name(path), line=line, language=found[2], text=textwrap.dedent(found[3]))


def _directives(path: Path, text: str) -> Iterator[Block]:
    pattern = r"^([ ]*)\.\. code(?:-block)?::[ ]*([\w+-]*)\n((?:\1[ ]+[^\n]*\n|[ ]*\n)+)"
    for found in re.finditer(pattern, text + "\n", re.MULTILINE):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(path=_name(path), line=line, language=found[2], text=textwrap.dedent(found[3]).strip("\n") + "\n")


def parsed(block: Block) -> list[object]:
    """The YAML documents of a block."""
    return list(yaml.safe_load_all(block.text))


def is_tasks(document: object) -> bool:
    """Whether it is a list of tasks; otherwise it is one of plays, or no list."""
    return isinstance(document, list) and not any(
        "hosts" in one or "import_playbook" in one or "ansible.builtin.import_playbook" in one for one in document
    )
