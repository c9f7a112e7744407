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
import select
import signal
import sys
import threading
import types
from pathlib import Path

# All that the collection's modules have from Ansible, which packs what it finds imported.
import ansible.module_utils.basic  # noqa: F401  # pylint: disable=unused-import

MODULE = "BONNEVILLE_MODULE"
CONTROLLER = "BONNEVILLE_CONTROLLER"
PACKAGES = ("ansible_collections", "bonneville", "vsphere", "plugins")


def main() -> None:
    _end_with(int(os.environ.pop(CONTROLLER)))
    module = Path(os.environ.pop(MODULE))
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


def _end_with(controller: int) -> None:
    """Be asked to end when ansible-playbook is gone: who cancels a job kills that alone, and its module would go on."""
    try:
        process = os.pidfd_open(controller)
    except ProcessLookupError:
        raise SystemExit("ansible-playbook has ended") from None
    except (AttributeError, OSError):  # no Linux, or one before 5.3
        return

    def watch() -> None:
        select.select([process], [], [])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="controller", daemon=True).start()


if __name__ == "__main__":
    main()
