# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values that remember where they were written, so that every error can name a file and a line. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A line of a file; the file is named from the fleet's directory."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Tree(dict[str, Any]):
    """A mapping that knows where it and each of its keys stand."""

    def __init__(
        self, items: Mapping[str, Any] | None = None, *, mark: Mark, at: Mapping[str, Mark] | None = None
    ) -> None:
        super().__init__(items or {})
        self.mark = mark
        self.at: dict[str, Mark] = dict(at or {})

    def put(self, key: str, value: Any, mark: Mark) -> None:
        """Set a key and where it stands."""
        self[key] = value
        self.at[key] = mark

    def where(self, key: str) -> Mark:
        """Where a key stands; for one that was not written, where the mapping does."""
        return self.at.get(key, self.mark)


class Items(list[Any]):
    """A list that knows where it and each of its entries stand."""

    def __init__(self, items: Iterable[Any] = (), *, mark: Mark, at: Iterable[Mark] = ()) -> None:
        super().__init__(items)
        self.mark = mark
        self.at: list[Mark] = list(at)

    def put(self, value: Any, mark: Mark) -> None:
        """Append an entry that stands at ``mark``."""
        self.append(value)
        self.at.append(mark)

    def marked(self) -> Iterator[tuple[Any, Mark]]:
        """Each entry with where it stands."""
        return zip(self, self.at, strict=True)


def clone(value: Any) -> Any:
    """A copy that shares no container with the original."""
    if isinstance(value, Tree):
        return Tree({key: clone(item) for key, item in value.items()}, mark=value.mark, at=value.at)
    if isinstance(value, Items):
        return Items((clone(item) for item in value), mark=value.mark, at=value.at)
    return value


def items(value: Any, *, mark: Mark) -> Items:
    """What may be one value or a list of them, as a list; null is an empty one."""
    if isinstance(value, Items):
        return value
    return Items(mark=mark) if value is None else Items([value], mark=mark, at=[mark])


def at_path(tree: Tree, path: Iterable[Any]) -> Mark:
    """Where the value at a path stands, or else what is nearest above it."""
    found: Any = tree
    mark = tree.mark
    for part in path:
        if isinstance(found, Tree) and part in found:
            mark, found = found.where(part), found[part]
        elif isinstance(found, Items) and isinstance(part, int) and part < len(found):
            mark, found = found.at[part], found[part]
        else:
            break
    return mark


def matches(path: Path, pattern: Path) -> bool:
    """Whether a path fits a pattern, in which ``*`` stands for any one part."""
    return len(path) == len(pattern) and all(part in ("*", own) for own, part in zip(path, pattern, strict=True))
