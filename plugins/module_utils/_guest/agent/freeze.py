# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The freeze line: everything after the call is a clone, and nothing in memory may cross it."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any, NoReturn

from . import identity, network, places, state
from .rpc import GuestRpc


def freeze(rpc: GuestRpc, facts: dict[str, Any]) -> NoReturn:
    """Make this VM safe to be copied, write ``facts`` down, and freeze. Returns only by raising RpcError."""
    nic = network.find_nic()
    ssh = identity.drop_ssh_keys()
    state.save(places.FREEZE, {**facts, "nic": asdict(nic), "ssh": ssh})
    os.sync()
    across(rpc)


def across(rpc: GuestRpc) -> NoReturn:
    """Freeze, and in each clone go on as a new process that knows only what stands in ``places.FREEZE``."""
    frozen = state.load(places.FREEZE) or {}
    nic = network.Nic(**frozen["nic"])
    network.unbind(nic)
    try:
        rpc.freeze()
    except BaseException:
        # Still the template: it has to be reachable to be repaired.
        network.bind(nic)
        network.restart()
        if frozen.get("ssh"):
            identity.make_ssh_keys()
        state.remove(places.FREEZE)
        raise
    os.execv(places.PYTHON, [places.PYTHON, "-I", "-S", places.PYZ, "thaw"])
