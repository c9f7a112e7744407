# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A template's life: fetch the images, get ready, freeze when the host says so."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, NoReturn

from ..orders import Archive, Logins, Prepare
from ..protocol import KEY_FREEZE, KEY_KEY, KEY_LOGIN, KEY_PREPARE, ImageStatus, Login, Reason
from ..settings import Settings
from . import freeze, identity, images, network, places, precompile, setup, state, unseal, warm
from .engine import Engine, EngineError, engine_problem
from .problem import Problem, as_problem
from .report import Reporter
from .rpc import GuestRpc, RpcError
from .shell import journal, run
from .unixhttp import HttpError

_POLL = 0.25
_FREEZE_POLL = 0.2
# While it waits for the freeze, every so many polls it also looks for a new order.
_ORDER_EVERY = 10
_NETWORK_WITHIN = 60.0
_DISK_WITHIN = 10.0
_BLOCK = 1024 * 1024


def serve(rpc: GuestRpc) -> NoReturn:
    """Follow the orders in KEY_PREPARE for ever; the freeze ends it."""
    done: str | None = None
    reporter: Reporter | None = None
    while True:
        order = _next_order(rpc, done)
        done = order
        if reporter:
            reporter.close()
        reporter = None
        try:
            prepare = Prepare.decode(order)
        except Exception as error:
            reporter = Reporter(rpc, role="template", nonce="", phase="failed")
            reporter.phase("failed", as_problem(error).reason())
            continue
        reporter = Reporter(rpc, role="template", nonce=prepare.generation, phase="booting")
        try:
            _Template(rpc, reporter, prepare).carry_out(order)
        except Exception as error:
            problem = as_problem(error)
            journal(f"{problem.code}: {problem}")
            reporter.phase("failed", problem.reason())


def _next_order(rpc: GuestRpc, done: str | None) -> str:
    """Wait for an order that is not ``done`` yet."""
    while True:
        try:
            order = rpc.get(KEY_PREPARE)
            if order and order != done:
                return order
        except RpcError as error:
            journal(str(error))
        time.sleep(_POLL)


class _Template:
    """One order, carried out."""

    def __init__(self, rpc: GuestRpc, reporter: Reporter, order: Prepare) -> None:
        self._rpc = rpc
        self._reporter = reporter
        self._order = order
        self._engine = Engine()
        self._settings = order.settings or Settings()

    def carry_out(self, order: str) -> None:
        """Prime, or get ready and freeze; ``order`` is its text, to tell a newer one."""
        self._reporter.phase("preparing")
        precompile.precompile()
        self._dockerd()
        common: dict[str, Any] = {"engine": self._engine.version, "memory_mb": identity.memory_mb()}
        if self._order.prime:
            setup.configure(self._settings)
            found = self._prime()
            setup.close(self._settings)
            state.save(places.PRIME, {"images": [asdict(image) for image in found]})
            identity.forget_machine_id()
            os.sync()
            self._reporter.phase("primed", images=tuple(found), **common)
            return
        found = self._verify()
        cold = warm.warm(self._engine)
        self._rpc.set(KEY_KEY, unseal.make_key())
        reason = Reason(code="internal", message=cold) if cold else None
        self._reporter.phase("ready", reason, images=tuple(found), **common)
        self._freeze_when_told(order)

    def _dockerd(self) -> None:
        config = state.load(places.DOCKER_CONFIG) or {}
        wanted = {**config, **setup.engine_config(self._settings)}
        if self._order.insecure_registries:
            wanted["insecure-registries"] = list(self._order.insecure_registries)
        if self._order.bridge_cidr:
            wanted["bip"] = bridge_address(self._order.bridge_cidr)
        verb = "start"
        if wanted != config:
            state.save(places.DOCKER_CONFIG, wanted)
            verb = "restart"
        done = run(["systemctl", verb, "docker.service"], timeout=120.0)
        if done.code:
            raise Problem("docker_unavailable", f"systemctl {verb} docker: {done.said}")
        run(["systemctl", "enable", "docker.service"])
        self._engine.wait()

    # priming -------------------------------------------------------------

    def _prime(self) -> list[ImageStatus]:
        order = self._order
        logins = self._logins() if order.login_sealed else ()
        found = []
        steps = len(order.archives) + len(order.images)
        for number, archive in enumerate(order.archives, 1):
            self._progress(number, steps, f"archive {archive.uuid}")
            found += self._load(archive)
        pulls = any(image.pull or not images.find(self._engine, image.name) for image in order.images)
        if pulls or self._settings.packages:
            # Without an address a pull fails for a reason that is not the image's.
            found_network = network.wait_address(
                network.find_nic().name, network.ANY, os.uname().nodename, within=_NETWORK_WITHIN
            )
            self._reporter.change(network=found_network)
        if self._settings.packages:
            setup.install(self._settings)
        for number, image in enumerate(order.images, len(order.archives) + 1):
            self._progress(number, steps, image.name)
            there = None if image.pull else images.find(self._engine, image.name)
            found.append(there or images.pull(self._engine, image.name, logins))
        return found

    def _progress(self, number: int, steps: int, what: str) -> None:
        self._reporter.phase("preparing", Reason(code="progress", message=f"image {number}/{steps}: {what}"))

    def _logins(self) -> tuple[Login, ...]:
        """The registry logins, sealed to a key of this boot; they stay in this process and end with the reboot."""
        self._rpc.set(KEY_KEY, unseal.make_key())
        while not (sealed := self._rpc.get(KEY_LOGIN)):
            time.sleep(_POLL)
        try:
            logins = Logins.decode(unseal.unseal(sealed))
        finally:
            unseal.erase_key()
        if (logins.nonce, logins.template) != (self._order.generation, self._order.template):
            raise Problem("spec_rejected", f"the login is for template {logins.template} {logins.nonce}")
        return logins.logins

    def _load(self, archive: Archive) -> list[ImageStatus]:
        device = f"/dev/disk/by-id/wwn-0x{archive.uuid.replace('-', '').lower()}"
        until = time.monotonic() + _DISK_WITHIN
        while not os.path.exists(device):
            if time.monotonic() > until:
                raise Problem("archive_damaged", f"the archive's disk {archive.uuid} is not there as {device}")
            time.sleep(_POLL)
        try:
            digest = hashlib.sha256()
            for block in blocks(device, archive.size):
                digest.update(block)
            if digest.hexdigest() != archive.sha256:
                raise Problem(
                    "archive_damaged", f"the archive on disk {archive.uuid} has not the digest it should have"
                )
            names = self._engine.load(blocks(device, archive.size))
        except (EngineError, HttpError) as error:
            problem = engine_problem(error, "archive_damaged")
            raise Problem(problem.code, f"archive {archive.uuid}: {problem}") from error
        if not names:
            raise Problem("archive_damaged", f"the archive on disk {archive.uuid} holds no image")
        loaded = [images.find(self._engine, name) for name in names]
        return [image for image in loaded if image]

    # getting ready -------------------------------------------------------

    def _verify(self) -> list[ImageStatus]:
        """Every image of the order, and of the archives that were loaded when this disk was primed."""
        primed = [str(item["name"]) for item in (state.load(places.PRIME) or {}).get("images", ())]
        names = list(dict.fromkeys([*primed, *(image.name for image in self._order.images)]))
        found = []
        for name in names:
            image = images.find(self._engine, name)
            if image is None:
                raise Problem("image_missing", f"image {name} is not on this template VM's disk; it has to be primed")
            found.append(image)
        return found

    def _freeze_when_told(self, order: str) -> None:
        """Wait for the freeze order for this very boot; returns when there is a new order to prepare for."""
        boot = self._reporter.status.boot
        polls = 0
        while True:
            if self._rpc.get(KEY_FREEZE) == boot:
                break
            polls += 1
            if polls % _ORDER_EVERY == 0 and self._rpc.get(KEY_PREPARE) not in (None, order):
                return
            time.sleep(_FREEZE_POLL)
        self._reporter.phase("freezing")
        self._reporter.close()
        facts = {
            "template": self._order.template,
            "generation": self._order.generation,
            "template_uuid": self._order.template_uuid,
        }
        try:
            freeze.freeze(self._rpc, facts)
        except RpcError as error:
            raise Problem("internal", f"the host did not freeze this VM: {error}") from error


def blocks(path: str, size: int) -> Iterator[bytes]:
    """The first ``size`` bytes of a raw disk."""
    with open(path, "rb") as disk:
        while size and (block := disk.read(min(size, _BLOCK))):
            size -= len(block)
            yield block


def bridge_address(cidr: str) -> str:
    """Docker's ``bip`` is the bridge's own address; a network's first one is meant where a network is given."""
    interface = ipaddress.ip_interface(cidr)
    if interface.ip == interface.network.network_address:
        return f"{interface.network.network_address + 1}/{interface.network.prefixlen}"
    return interface.with_prefixlen
