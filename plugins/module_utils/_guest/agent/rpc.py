# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guest's side of VMware's RPC: guestinfo values and the freeze call.

``vmtoolsd --cmd`` first: with ``guest_rpc.rpci.auth.cmd.*`` set, it is the one that
proves to be root, where ``vmware-rpctool`` may be told "Permission denied".
"""

from __future__ import annotations

from .shell import Done, run

_TOOLS = (["/usr/bin/vmtoolsd", "--cmd"], ["/usr/bin/vmware-rpctool"])
# Where a key has no value, in the hypervisor's words.
_NO_VALUE = "no value found"


class RpcError(Exception):
    """Neither tool could do the call; the text is theirs."""


class GuestRpc:
    """guestinfo and freezing; remembers which of the two tools works."""

    def __init__(self) -> None:
        self._tools = list(_TOOLS)

    def get(self, key: str) -> str | None:
        """A key's value, or None where it has none (or an empty one); raises RpcError."""
        done = self._call(f"info-get {key}")
        if done.code and _NO_VALUE in done.said.lower():
            return None
        if done.code:
            raise RpcError(f"info-get {key}: {done.said}")
        return done.out.decode("utf-8", "replace").strip() or None

    def set(self, key: str, value: str) -> None:
        """Publish a value; raises RpcError, for example under isolation.tools.setinfo.disable."""
        done = self._call(f"info-set {key} {value}")
        if done.code:
            raise RpcError(f"info-set {key}: {done.said}")

    def freeze(self) -> None:
        """Freeze this VM; returns in each clone of it. Raises RpcError when it did not freeze."""
        done = self._call("instantclone.freeze", timeout=None)
        if done.code:
            raise RpcError(f"instantclone.freeze: {done.said}")

    def _call(self, command: str, *, timeout: float | None = 10.0) -> Done:
        failed: Done | None = None
        for index, tool in enumerate(self._tools):
            done = run([*tool, command], timeout=timeout)
            if done.code == 0 or _NO_VALUE in done.said.lower():
                if index:
                    self._tools.insert(0, self._tools.pop(index))
                return done
            # The first tool's words tell more, unless it is not there at all.
            if failed is None or failed.code == 127:
                failed = done
        if failed is None:
            raise AssertionError("there is at least one way to ask")
        return failed
