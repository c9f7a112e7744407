# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a template's guest is to be like beside its images; part of the order to prime it.

Read by controller and agent alike: nothing but the standard library.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .wire import Reader


@dataclass(frozen=True, kw_only=True)
class GuestFile:
    """A file on the guest's disk; ``content`` is base64, ``mode`` octal text."""

    path: str
    content: str = field(repr=False)
    mode: str = "0644"

    @classmethod
    def read(cls, r: Reader) -> GuestFile:
        return cls(
            path=r.text("path", pattern=r"/[^\0]*[^\0/]"), content=r.text("content"),
            mode=r.text("mode", pattern=r"[0-7]{3,4}"),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the guest and its Engine; empty means left as it is.

    ``registry_ca`` is PEM and trusted for ``registries``, each as it stands in
    image names. Without ``debug_ssh_key`` the guest has no sshd.
    """

    registry_mirrors: tuple[str, ...] = ()
    registry_ca: str = ""
    registries: tuple[str, ...] = ()
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    ntp: tuple[str, ...] = ()
    time_zone: str = ""
    debug_ssh_key: str = ""
    packages: tuple[str, ...] = ()
    files: tuple[GuestFile, ...] = ()

    @classmethod
    def read(cls, r: Reader) -> Settings:
        return cls(
            registry_mirrors=r.texts("registry_mirrors"), registry_ca=r.text("registry_ca"),
            registries=r.texts("registries", pattern=r"[^/\s]+"), http_proxy=r.text("http_proxy"),
            https_proxy=r.text("https_proxy"), no_proxy=r.texts("no_proxy"), dns=r.texts("dns"),
            dns_search=r.texts("dns_search"), ntp=r.texts("ntp"),
            time_zone=r.text("time_zone", pattern=r"|[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*"),
            debug_ssh_key=r.text("debug_ssh_key"), packages=r.texts("packages", pattern=r"[A-Za-z0-9][A-Za-z0-9+._-]*"),
            files=r.each("files", GuestFile),
        )  # fmt: skip
