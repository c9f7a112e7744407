# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent: the daemon in the guest that freezes, thaws, and runs the one container.

It runs on what Photon OS 5 ships (Python 3.11, openssl, systemd, open-vm-tools) and
imports the standard library, its own package and the protocol, nothing else.
"""
