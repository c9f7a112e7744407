# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers as a table, for whoever reads the terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_COLUMNS = ("container", "VM", "host", "image", "address", "phase", "seconds")


def table(containers: Sequence[Mapping[str, Any]]) -> list[str]:
    """The containers as lines of aligned columns, heads first."""
    rows = [_COLUMNS, *(_row(one) for one in containers)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    vm, container = one["vm"], one["container"]
    seconds = one.get("seconds")
    cells = (one["name"], vm["moid"], vm["host"], container["image"], vm["ip"], one["phase"])
    return (*(str(cell or "") for cell in cells), "" if seconds is None else f"{seconds:.1f}")
