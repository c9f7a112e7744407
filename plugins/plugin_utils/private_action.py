# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugins that start a module on this machine without packing it, and without a file of its options."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase

# In a directory of its own, as a role's modules are: it is no module of the collection.
_INSTALLED = "ansible.legacy.bonneville_vsphere_installed"
_LIBRARY = Path(__file__).parent / "library"
_MODULES = Path(__file__).parents[1] / "modules"


class PrivateAction(ActionBase):  # type: ignore[misc]
    """Runs the module of its own name.

    Ansible packs a module with all that it imports, which takes longer than
    most of our modules run, and writes it with all its options, passwords among
    them, to a file, which it removes afterwards unless the run is killed. On
    this machine the module is started from where it is installed instead, and
    has its options through a pipe, and is asked to end when ansible-playbook is
    killed. With ``async``, ``become``, other machines and kept files it is as
    Ansible is set up.
    """

    _requires_connection = True
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        if not self._is_installed_there():
            return result | self._execute_module(task_vars=task_vars, wrap_async=self._task.async_val)
        self._shared_loader_obj.module_loader.add_directory(str(_LIBRARY))
        # Ansible runs each task in a process of its own. What began it stays known when it has ended.
        controller = multiprocessing.parent_process()
        environment = {
            "BONNEVILLE_MODULE": str(_MODULES / f"{self._module_name()}.py"),
            "BONNEVILLE_CONTROLLER": str(controller.pid if controller else os.getppid()),
        }
        with more_environment(self._task, environment):
            return result | self._execute_module(module_name=_INSTALLED, task_vars=task_vars)

    def _is_installed_there(self) -> bool:
        """Whether the module is to run on this machine and as this user, who can read it where it is."""
        local = self._connection.transport == "local" and not self._connection.become
        return bool(local and not self._task.async_val and not constants.DEFAULT_KEEP_REMOTE_FILES)

    def _module_name(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    def _update_module_args(self, module_name: str, module_args: dict[str, Any], *others: Any, **more: Any) -> None:
        """Have the module know the name that its user knows, for its errors and its line in the system's log."""
        super()._update_module_args(module_name, module_args, *others, **more)
        module_args["_ansible_module_name"] = self._task.action

    def _is_pipelining_enabled(self, module_style: str, wrap_async: bool = False) -> bool:
        if super()._is_pipelining_enabled(module_style, wrap_async):
            return True
        return self._is_installed_there() and module_style == "new" and not wrap_async


@contextmanager
def more_environment(task: Any, variables: dict[str, str]) -> Iterator[None]:
    """More variables in the environment of a task's module."""
    before = task.environment
    task.environment = [*(before or []), variables]
    try:
        yield
    finally:
        task.environment = before
