# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first start: resumed from the freeze, as a new VM that has to become its container."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import asdict, replace
from typing import Any, NoReturn

from ..protocol import KEY_SPEC, ImageStatus, NetworkStatus, Spec, unread_nonce
from . import container, identity, images, network, places, state, unseal, volumes
from .discovery import Discovery
from .engine import Engine
from .guest import Guest
from .problem import Problem, as_problem
from .record import Record
from .report import Reporter
from .rpc import GuestRpc, RpcError
from .shell import journal

_POLL = 0.25
_PATIENT_AFTER = 60.0
_PATIENT_POLL = 1.0


def resume(rpc: GuestRpc) -> NoReturn:
    """Become the container that the sealed spec describes. Never returns; ends by SIGTERM.

    What the frozen template left is in ``places.FREEZE`` (or ``places.THAW``, when
    the agent was restarted in the middle).
    """
    begun = time.monotonic()
    # From here on this VM is a clone; a restarted agent must not freeze it again.
    if os.path.exists(places.FREEZE):
        os.replace(places.FREEZE, places.THAW)
    frozen = state.load(places.THAW) or {}
    identity.set_clock()
    sealed = _wait_spec(rpc)
    try:
        plain = unseal.unseal(sealed)
        spec = Spec.decode(plain)
    except Exception as error:
        nonce = unread_nonce(sealed)
        _fail(rpc, Reporter(rpc, role="container", nonce=nonce, phase="thawed", begun=begun), _unread(nonce), error)
    finally:
        # Before anything of the user's runs here: the key opens what its siblings are sent.
        unseal.erase_key()
    identity.reseed(spec.seed)
    reporter = Reporter(rpc, role="container", nonce=spec.nonce, phase="thawed", begun=begun)
    try:
        _compare(spec, frozen)
        identity.set_names(spec.hostname)
        _become(rpc, spec, frozen, reporter)
    except Exception as error:
        _fail(rpc, reporter, Record.of(spec), error)


def _wait_spec(rpc: GuestRpc) -> str:
    """The sealed spec; it came with the clone, so only the RPC itself may keep it waiting."""
    begun = time.monotonic()
    while True:
        try:
            if sealed := rpc.get(KEY_SPEC):
                return sealed
        except RpcError as error:
            journal(str(error))
        time.sleep(_POLL if time.monotonic() - begun < _PATIENT_AFTER else _PATIENT_POLL)


def _compare(spec: Spec, frozen: dict[str, Any]) -> None:
    """A spec sealed for another template is refused."""
    own = str(frozen.get("template_uuid") or "")
    if own and spec.template_uuid and own.lower() != spec.template_uuid.lower():
        raise Problem("spec_rejected", f"the spec is for template VM {spec.template_uuid}, this clone is of {own}")


class _Network(threading.Thread):
    """Brings the VM's network up beside the container's making."""

    def __init__(self, spec: Spec, frozen: dict[str, Any]) -> None:
        super().__init__(name="network", daemon=True)
        self._spec = spec
        self._nic = network.Nic(**frozen["nic"]) if "nic" in frozen else network.find_nic()
        self.found: NetworkStatus | None = None
        self.problem: Problem | None = None

    def run(self) -> None:
        try:
            name = self._nic.name
            network.configure(name, self._spec.network)
            bound = network.bind(self._nic)
            if bound != name:
                network.configure(bound, self._spec.network)
            network.restart()
            self.found = network.wait_address(bound, self._spec.network, self._spec.hostname)
        except Exception as error:
            self.problem = as_problem(error)

    def wait(self, reporter: Reporter) -> None:
        """Return with the address reported. A server that answers too late is reported, and still welcome."""
        self.join()
        if self.problem and self.problem.code != "dhcp_no_answer":
            raise self.problem
        if self.problem:
            reporter.phase("failed", self.problem.reason())
            while not self.found:
                try:
                    self.found = network.wait_address(network.find_nic().name, self._spec.network, self._spec.hostname)
                except Problem as problem:
                    journal(str(problem))
        reporter.change(network=self.found)


def _become(rpc: GuestRpc, spec: Spec, frozen: dict[str, Any], reporter: Reporter) -> NoReturn:
    net = _Network(spec, frozen)
    net.start()
    engine = Engine()
    engine.wait()
    image = None if spec.pull == "always" else images.find(engine, spec.image)
    if image is None:
        if spec.pull == "never":
            raise Problem("image_missing", f"image {spec.image} is not in the template, and pull is 'never'")
        reporter.phase("network")
        net.wait(reporter)
        reporter.phase("pulling")
        image = images.pull(engine, spec.image, (spec.login,) if spec.login else ())
    record = Record.of(spec)
    if spec.volumes:
        reporter.phase("volumes")
        record = replace(record, volumes=volumes.wait(rpc, spec.volumes))
        volumes.mount(record.volumes)
        volumes.offer(engine, record.volumes)
    reporter.phase("creating")
    discovery = Discovery(rpc, reporter, dns=record.dns) if spec.discovery else None
    created = container.create(engine, spec, image, names=discovery.begin() if discovery else "")
    record = replace(record, image=asdict(image), container=created, ran=spec.start)
    with Guest(rpc, engine, reporter, record, discovery=discovery) as guest:
        guest.follow()
        if not reporter.status.network:
            reporter.phase("network")
            net.wait(reporter)
        # Whole on disk at once; durable when it runs and is saved again.
        record.save(durable=False)
        state.remove(places.THAW)
        if discovery and net.found:
            discovery.at(own=net.found.ip)
            if spec.start:
                discovery.wait_admitted()
        if spec.start:
            guest.start()
        else:
            guest.look()
        # Not sooner: a host key takes a processor for longer than a container's start does.
        ssh = bool(frozen.get("ssh"))
        threading.Thread(target=identity.settle, name="settle", kwargs={"ssh": ssh}, daemon=True).start()
        guest.stay()


def _unread(nonce: str) -> Record:
    return Record(
        nonce=nonce, hostname="", stop_timeout=0, restart_no=True, log_max_bytes=0, tty=False,
        image=asdict(ImageStatus(name="", id="")),
    )  # fmt: skip


def _fail(rpc: GuestRpc, reporter: Reporter, record: Record, error: Exception) -> NoReturn:
    """No container came of it; say so now and after every boot, for the spec cannot be read twice."""
    unseal.erase_key()
    reason = as_problem(error).reason()
    journal(f"{reason.code}: {reason.message}")
    reporter.phase("failed", reason)
    try:
        replace(record, reason=asdict(reason)).save()
        state.remove(places.THAW)
    except OSError as full:
        journal(f"{as_problem(full)}")
    with Guest(rpc, Engine(), reporter, record) as guest:
        guest.stay()
