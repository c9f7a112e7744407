# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugins that hand a module its options without writing them to a file."""

from __future__ import annotations

from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase


class PrivateAction(ActionBase):  # type: ignore[misc]
    """Runs the module of its own name.

    Ansible writes a module with all its options, passwords among them, to a
    file, and removes it afterwards, unless the run is killed. On this machine
    the module is handed over through a pipe instead, which is also faster.
    With ``async``, ``become`` and other machines it is as Ansible is set up.
    """

    _requires_connection = True
    _supports_check_mode = True
    _supports_async = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        return result | self._execute_module(task_vars=task_vars, wrap_async=self._task.async_val)

    def _is_pipelining_enabled(self, module_style: str, wrap_async: bool = False) -> bool:
        if super()._is_pipelining_enabled(module_style, wrap_async):
            return True
        local = self._connection.transport == "local" and not self._connection.become
        return bool(local and module_style == "new" and not wrap_async and not constants.DEFAULT_KEEP_REMOTE_FILES)
