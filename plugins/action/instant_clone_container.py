# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``instant_clone_container`` with its progress shown while it runs."""

from __future__ import annotations

from ansible_collections.bonneville.vsphere.plugins.plugin_utils.bulk_action import BulkAction


class ActionModule(BulkAction):
    """As the module, and tells how far it is."""
