# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts a module of the collection from where it is installed.

Ansible reads a module and all that it imports, packs it into an archive, and has
the module's Python compile all of it, in every run anew. Of this file it packs
its own part alone. For the action plugins, in private_action; no task can name it.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import types
from pathlib import Path

# All that the collection's modules have from Ansible, which packs what it finds imported.
import ansible.module_utils.basic  # noqa: F401

VARIABLE = "BONNEVILLE_MODULE"
PACKAGES = ("ansible_collections", "bonneville", "vsphere", "plugins")


def main() -> None:
    module = Path(os.environ.pop(VARIABLE))
    package = ""
    for name in PACKAGES:
        package = f"{package}.{name}".lstrip(".")
        # Made rather than imported: another directory of collections may be found first.
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = []
    sys.modules[package].__path__ = [str(module.parents[1])]
    # What is imported stays: not to be searched for garbage, neither now nor later.
    gc.disable()
    found = importlib.import_module(f"{package}.modules.{module.stem}")
    gc.freeze()
    gc.enable()
    found.main()


if __name__ == "__main__":
    main()
