# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a run has to have ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Deadline:
    """A point in time, ``seconds`` from its making, by the clock that nobody sets."""

    seconds: float
    made: float = field(default_factory=time.monotonic, repr=False)

    def remaining(self) -> float:
        """Seconds that are left, never less than zero."""
        return max(0.0, self.made + self.seconds - time.monotonic())

    @property
    def passed(self) -> bool:
        return self.remaining() <= 0

    def sooner(self, seconds: float) -> Deadline:
        """A deadline ``seconds`` from now, or this one if it comes first."""
        return Deadline(min(seconds, self.remaining()))
