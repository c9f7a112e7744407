# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the guest of a template what its settings ask for, once, when it is primed; and close it."""

from __future__ import annotations

import base64
import os
from typing import Any

from ..settings import Settings
from . import identity, state
from .problem import Problem
from .shell import run

_PACKAGES_WITHIN = 600.0
# sshd may be started by any of these.
_SSH_UNITS = ["sshd.service", "sshd.socket", "sshd-keygen.service"]
# A day in the past: a password that was never to be changed lets a key in without asking for a new one.
_DAY = "18262"

ROOT = "/"


def engine_config(settings: Settings) -> dict[str, Any]:
    """What daemon.json says because of the settings."""
    config: dict[str, Any] = {}
    if settings.registry_mirrors:
        config["registry-mirrors"] = list(settings.registry_mirrors)
    proxies = {
        "http-proxy": settings.http_proxy,
        "https-proxy": settings.https_proxy,
        "no-proxy": ",".join(settings.no_proxy),
    }
    given = {name: value for name, value in proxies.items() if value}
    if given:
        config["proxies"] = given
    return config


def configure(settings: Settings) -> None:
    """Everything that needs no network. Raises Problem ``settings_failed``."""
    for registry in settings.registries if settings.registry_ca else ():
        _write(f"etc/docker/certs.d/{registry}/ca.crt", settings.registry_ca.encode())
    resolve = {"DNS": settings.dns, "Domains": settings.dns_search}
    _drop_in("resolved", "Resolve", resolve)
    _drop_in("timesyncd", "Time", {"NTP": settings.ntp})
    if settings.time_zone:
        zone = os.path.join("/usr/share/zoneinfo", settings.time_zone)
        if not os.path.isfile(os.path.join(ROOT, zone[1:])):
            raise Problem("settings_failed", f"the guest knows no time zone {settings.time_zone}")
        fresh = os.path.join(ROOT, "etc/localtime.new")
        state.remove(fresh)
        os.symlink(zone, fresh)
        os.replace(fresh, os.path.join(ROOT, "etc/localtime"))
    for file in settings.files:
        _write(file.path[1:], base64.b64decode(file.content), mode=int(file.mode, 8))


def install(settings: Settings) -> None:
    """Install the packages from the guest's own repositories. Raises Problem ``settings_failed``."""
    proxies = {
        "http_proxy": settings.http_proxy,
        "https_proxy": settings.https_proxy,
        "no_proxy": ",".join(settings.no_proxy),
    }
    environment = [f"{name}={value}" for name, value in proxies.items() if value]
    _do("/usr/bin/env", *environment, "tdnf", "install", "--assumeyes", *settings.packages, timeout=_PACKAGES_WITHIN)


def close(settings: Settings) -> None:
    """No password opens root, and without a key of the user's no sshd ever starts. Raises Problem."""
    _do("usermod", "--password", "*", "root")
    if settings.debug_ssh_key:
        _write("root/.ssh/authorized_keys", settings.debug_ssh_key.encode() + b"\n", mode=0o600)
        os.chmod(os.path.join(ROOT, "root/.ssh"), 0o700)
        _do("chage", "--lastday", _DAY, "--maxdays", "-1", "root")
        return
    identity.drop_ssh_keys()
    for unit in _SSH_UNITS:
        run(["systemctl", "stop", unit])
        _do("systemctl", "mask", unit)


def _drop_in(service: str, section: str, values: dict[str, tuple[str, ...]]) -> None:
    lines = [f"{name}={' '.join(items)}" for name, items in values.items() if items]
    if lines:
        _write(f"etc/systemd/{service}.conf.d/50-bonneville.conf", "\n".join([f"[{section}]", *lines, ""]).encode())
        _do("systemctl", "enable", f"systemd-{service}.service")
        _do("systemctl", "restart", f"systemd-{service}.service")


def _write(path: str, content: bytes, *, mode: int = 0o644) -> None:
    where = os.path.join(ROOT, path)
    try:
        state.write(where, content, mode=mode)
    except OSError as error:
        raise Problem("settings_failed", f"cannot write /{path}: {error.strerror}") from error


def _do(*argv: str, timeout: float = 60.0) -> None:
    done = run(list(argv), timeout=timeout)
    if done.code:
        raise Problem("settings_failed", f"{' '.join(argv)}: {done.said}")
