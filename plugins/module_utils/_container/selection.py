# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options by which a module is told which containers it is about (``select`` reads them)."""

from __future__ import annotations

from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._argspec import ArgSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.read import DEFAULT_FOLDER

TEXTS: dict[str, Any] = {"type": "list", "elements": "str"}

SELECTION = ArgSpec(
    options={
        "name": TEXTS,
        "service": TEXTS,
        "fleet": TEXTS,
        "labels": TEXTS,
        "folder": {"type": "str", "default": DEFAULT_FOLDER},
        "datacenter": {"type": "str"},
    },
)
