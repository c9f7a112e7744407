# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the agent keeps things in the guest."""

from __future__ import annotations

RUN = "/run/bonneville"  # tmpfs: gone with the power
LIB = "/var/lib/bonneville"  # on the VM's disk, for root only
PYZ = "/opt/bonneville/agent.pyz"
PYTHON = "/usr/bin/python3"

KEY = f"{RUN}/key.pem"
FREEZE = f"{RUN}/freeze.json"  # about to freeze, or frozen
THAW = f"{RUN}/thaw.json"  # thawed, and not yet a container VM
CONTAINER = f"{LIB}/container.json"
LOGGED = f"{LIB}/log.json"
PRIME = f"{LIB}/prime.json"
FILES = f"{LIB}/files"
VOLUMES = f"{LIB}/volumes"

DOCKER_SOCKET = "/run/docker.sock"
DOCKER_CONFIG = "/etc/docker/daemon.json"
SERIAL = "/dev/ttyS0"
NETWORK = "/etc/systemd/network/05-bonneville.network"
