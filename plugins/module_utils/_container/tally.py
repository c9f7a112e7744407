# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far many containers are on their way, in one line."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from ansible_collections.bonneville.vsphere.plugins.module_utils._progress import Progress


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many of a part's containers were removed, cloned, started, healthy, and how many failed."""

    removed: int = 0
    cloned: int = 0
    started: int = 0
    healthy: int = 0
    failed: int = 0


class Tally:
    """Adds up what the parts of a run count, and tells when the sum changes."""

    def __init__(self, progress: Progress, *, total: int) -> None:
        self._progress = progress
        self._total = total
        self._counts: dict[Hashable, Count] = {}
        self._told = ""

    def count(self, part: Hashable, count: Count) -> None:
        """Replace what a part has counted so far."""
        self._counts[part] = count
        text = self._text()
        if text != self._told:
            self._told = text
            self._progress(text, tally=True)

    def _text(self) -> str:
        sums = {
            word: sum(getattr(count, word) for count in self._counts.values())
            for word in ("removed", "cloned", "started", "healthy", "failed")
        }
        told = [f"{number} {word}" for word, number in sums.items() if number]
        return f"{self._total} container{'s' if self._total != 1 else ''}: {', '.join(told) or 'begun'}"
