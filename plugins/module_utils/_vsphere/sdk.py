# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one import of pyVmomi.

A missing pyVmomi must end as a sentence that names it, not as a traceback; so
everyone takes ``vim`` and ``vmodl`` from here, and ``_run.py`` looks at
``MISSING`` before anything uses them.
"""

from __future__ import annotations

import traceback
from typing import Any

vim: Any = None
vmodl: Any = None
SoapStubAdapter: Any = object

MISSING = ""
"""The traceback of the failed import; empty when pyVmomi is there."""

try:
    import pyVmomi
    from pyVmomi import SoapAdapter
except ImportError:
    MISSING = traceback.format_exc()
else:
    vim, vmodl, SoapStubAdapter = pyVmomi.vim, pyVmomi.vmodl, SoapAdapter.SoapStubAdapter
