# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The VM's packet filter: every port of the container for its fleet, and nothing more for anyone else.

Docker's own rules publish ports for everyone. Ours stand in chains of their
own: one before Docker's translation, one in the chain that Docker leaves to
others, and one that lets the container ask this VM for names even where
everything that comes in is dropped, as on Photon OS.
"""

from __future__ import annotations

from collections.abc import Iterable

from .problem import Problem
from .shell import journal, run

PEERS = "BONNEVILLE-PEERS"
NAMES = "BONNEVILLE-NAMES"

_WAIT = "5"  # seconds for whoever else holds the lock


def rules(*, bridge: str, bridge_address: str, own: str, container: str, peers: Iterable[str]) -> str:
    """What iptables-restore takes: our chains, whole; others' are left alone.

    ``own`` is the VM's address, ``container`` the container's on the bridge;
    with one of them empty no peer is let in.
    """
    admitted = sorted(set(peers) - {own}) if own and container else []
    lines = ["*nat", f":{PEERS} - [0:0]"]
    lines += [f"-A {PEERS} -s {peer}/32 -d {own}/32 -j DNAT --to-destination {container}" for peer in admitted]
    lines += ["COMMIT", "*filter", f":{PEERS} - [0:0]", f":{NAMES} - [0:0]"]
    if admitted:
        # However many peers there are, a connection that stands costs one rule.
        lines += [f"-A {PEERS} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"]
    lines += [f"-A {PEERS} ! -i {bridge} -s {peer}/32 -d {container}/32 -j ACCEPT" for peer in admitted]
    lines += [
        f"-A {NAMES} -i {bridge} -d {bridge_address}/32 -p {protocol} --dport 53 -j ACCEPT"
        for protocol in ("udp", "tcp")
    ]
    return "\n".join([*lines, "COMMIT", ""])


def apply(text: str) -> None:
    """Replace our chains as a whole, and see that packets pass them. Raises Problem."""
    done = run(["iptables-restore", "-w", _WAIT, "--noflush"], data=text.encode())
    if done.code:
        raise Problem("internal", f"iptables-restore: {done.said}")
    # Docker leaves DOCKER-USER to others and passes it first; where it is not there, FORWARD is what is left.
    _jump("nat", "PREROUTING", PEERS)
    if not _jumped("filter", "DOCKER-USER", PEERS):
        _jump("filter", "FORWARD", PEERS)
    _jump("filter", "INPUT", NAMES)


def _jump(table: str, chain: str, target: str) -> None:
    """Have a chain begin with a jump to ours, if it has none yet."""
    if not _jumped(table, chain, target):
        journal(f"no jump from {chain} to {target}")


def _jumped(table: str, chain: str, target: str) -> bool:
    base = ["iptables", "-w", _WAIT, "-t", table]
    if run([*base, "-C", chain, "-j", target]).code == 0:
        return True
    return run([*base, "-I", chain, "1", "-j", target]).code == 0
