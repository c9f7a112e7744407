# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The second start: booted as the container VM that it already is, after a reboot or a host's failure."""

from __future__ import annotations

import time
from typing import NoReturn

from ..protocol import NetworkStatus
from . import container, network, volumes
from .discovery import Discovery
from .engine import Engine
from .guest import Guest
from .problem import Problem
from .record import Record
from .report import Reporter
from .rpc import GuestRpc
from .shell import journal


def again(rpc: GuestRpc, record: Record) -> NoReturn:
    """Start what ran when the power went, or say once more how it had ended. Ends by SIGTERM."""
    begun = time.monotonic()
    phase = "network" if record.container else "failed"
    reporter = Reporter(rpc, role="container", nonce=record.nonce, phase=phase, begun=begun)
    reporter.change(container=record.last_status, reason=record.last_reason)
    engine = Engine()
    discovery = Discovery(rpc, reporter, dns=record.dns) if record.discovery else None
    with Guest(rpc, engine, reporter, record, discovery=discovery) as guest:
        if record.container:
            _take_up(engine, guest, reporter, record, discovery)
        guest.stay()


def _take_up(engine: Engine, guest: Guest, reporter: Reporter, record: Record, discovery: Discovery | None) -> None:
    # An order that came while the VM was off: left for later, it would start the container again after its next end.
    ordered = guest.ordered()
    starts = ordered or (record.ran and not record.restart_no)
    # An end that was seen before the power went is known without asking anyone.
    if not starts and not record.ran and record.last_status:
        reporter.phase(container.phase_of(record.last_status), record.last_reason, container=record.last_status)
    while True:
        try:
            engine.wait()
            if discovery and not discovery.bridge:
                discovery.begin()
            volumes.mount(record.volumes)
            now = container.read(engine, record.container, record.image_status)
            break
        except Problem as problem:
            reporter.phase("failed", problem.reason())
            if problem.code != "docker_unavailable":
                return
    runs = container.phase_of(now) == "running"
    if not runs and not starts:
        guest.look()
    own = _wait_network(reporter, record.hostname)
    if discovery:
        discovery.at(own=own.ip)
    # Not sooner: dockerd may start the container by itself, and "running" is to mean that it can be reached.
    guest.follow()
    if starts and not runs:
        guest.start()
    else:
        guest.look()


def _wait_network(reporter: Reporter, hostname: str) -> NetworkStatus:
    """What the VM's own configuration brings; it is reported when it fails, and still waited for."""
    name = network.find_nic().name
    told = False
    while True:
        try:
            found = network.wait_address(name, network.ANY, hostname)
        except Problem as problem:
            journal(str(problem))
            if not told:
                reporter.phase("failed", problem.reason())
            told = True
            continue
        reporter.change(network=found)
        return found
