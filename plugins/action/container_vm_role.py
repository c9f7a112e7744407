# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``container_vm_role`` with its password in no file."""

from __future__ import annotations

from ansible_collections.bonneville.vsphere.plugins.plugin_utils.private_action import PrivateAction


class ActionModule(PrivateAction):
    """As the module."""
