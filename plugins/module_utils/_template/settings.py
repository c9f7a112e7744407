# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that say how the guest is to be, beside its images. Only ``load`` reads files of the controller."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption, NotFound
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.settings import GuestFile, Settings

# The order to the guest is one message of its RPC, which holds 64 KiB; base64 takes a third more.
FILES_LIMIT = 24 * 1024
_PEM = "-----BEGIN CERTIFICATE-----"
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
_KEY = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[A-Za-z0-9@.-]+ [A-Za-z0-9+/]+=*( [^\r\n]*)?")
_PATH = re.compile(r"(/[^/\0]+)+")
_MODE = re.compile(r"[0-7]{3,4}")


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """A file that the guest is to have: its ``content`` as text, or ``src``, a path on the controller."""

    path: str
    content: str | None = None
    src: str = ""
    mode: str = "0644"


@dataclass(frozen=True, kw_only=True)
class SettingsRequest:
    """The settings as given: ``ca`` is PEM or a path on the controller; ``settings`` has all that needs no file."""

    settings: Settings = field(default_factory=Settings)
    ca: str = ""
    files: tuple[FileSource, ...] = ()
    bridge_cidr: str = ""


def read_settings(params: Mapping[str, Any]) -> SettingsRequest:
    """Read the options; raises InvalidOption."""

    def each(option: str, good: Callable[[str], object], wanted: str) -> tuple[str, ...]:
        values = tuple(str(value).strip() for value in params[option] or ())
        for value in values:
            _check(option, value, bool(good(value)), wanted)
        return values

    def one(option: str, good: Callable[[str], object], wanted: str) -> str:
        value = (params[option] or "").strip()
        _check(option, value, not value or bool(good(value)), wanted)
        return str(value)

    for option in ("registry_mirrors", "http_proxy", "https_proxy"):
        _refuse_login(option, params[option] or "")
    proxy = "an address like http://proxy.example.com:3128"
    settings = Settings(
        registry_mirrors=each("registry_mirrors", _is_origin, "an address like https://mirror.example.com"),
        http_proxy=one("http_proxy", _is_origin, proxy),
        https_proxy=one("https_proxy", _is_origin, proxy),
        no_proxy=each(
            "no_proxy", lambda text: text and not re.search(r"[\s,]", text), "a host, domain or network each"
        ),
        dns=each("dns", _is_address, "an IP address"),
        dns_search=each("dns_search", _HOST.fullmatch, "a domain"),
        ntp=each("ntp", lambda text: _HOST.fullmatch(text) or _is_address(text), "a host name or an IP address"),
        time_zone=one("time_zone", _ZONE.fullmatch, "a name like Europe/Berlin"),
        debug_ssh_key=one("debug_ssh_key", _KEY.fullmatch, "one line of a public key, as in id_ed25519.pub"),
        packages=each("packages", _PACKAGE.fullmatch, "a package's name"),
    )
    return SettingsRequest(
        settings=settings,
        ca=(params["registry_ca"] or "").strip(),
        files=_files(params["files"] or ()),
        bridge_cidr=one("bridge_cidr", _is_bridge, "an IPv4 network of at least two hosts, like 192.168.240.0/24"),
    )


def load(request: SettingsRequest, registries: Iterable[str]) -> Settings:
    """The settings with what the controller's files hold; raises NotFound, InvalidOption.

    ``registries`` are those that the CA is trusted for, beside the mirrors.
    """
    settings = request.settings
    if request.ca:
        pem = request.ca if _PEM in request.ca else _read("registry_ca", request.ca).decode("utf-8", "replace")
        _check("registry_ca", request.ca, _PEM in pem, "a certificate in PEM, or the path of one on the controller")
        mirrors = (urlsplit(mirror).netloc for mirror in settings.registry_mirrors)
        settings = replace(
            settings, registry_ca=pem.strip() + "\n", registries=tuple(sorted({*registries, *mirrors} - {""}))
        )
    files = tuple(
        GuestFile(
            path=file.path,
            content=base64.b64encode(_read("files", file.src) if file.src else (file.content or "").encode()).decode(),
            mode=file.mode,
        )
        for file in request.files
    )
    size = sum(len(file.content) for file in files) * 3 // 4
    if size > FILES_LIMIT:
        raise InvalidOption(
            "Cannot use the option",
            obj="files",
            why=f"the files have {size} bytes together, and the order to the guest holds {FILES_LIMIT}",
            next_step="Put larger ones into the images, or into a source VM of your own",
        )
    return replace(settings, files=tuple(sorted(files, key=lambda file: file.path)))


def document(settings: Settings) -> dict[str, Any]:
    """As part of a generation and of a diff: option by option, only those given, and contents as their digests."""
    shown: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value
        for name in (
            "registry_mirrors", "http_proxy", "https_proxy", "no_proxy", "dns", "dns_search", "ntp", "time_zone",
            "debug_ssh_key", "packages",
        )
        if (value := getattr(settings, name))
    }  # fmt: skip
    if settings.registry_ca:
        shown["registry_ca"] = hashlib.sha256(settings.registry_ca.encode()).hexdigest()
    if settings.files:
        shown["files"] = [
            {"path": file.path, "mode": file.mode, "sha256": hashlib.sha256(base64.b64decode(file.content)).hexdigest()}
            for file in settings.files
        ]
    return shown


def registry_of(image: str) -> str:
    """The registry in an image's name, empty for Docker Hub."""
    first, slash, _unused = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else ""


def _files(given: Iterable[Mapping[str, Any]]) -> tuple[FileSource, ...]:
    files = []
    for one in given:
        path = one["path"]
        plain = _PATH.fullmatch(path) and not {".", ".."} & set(path.split("/"))
        _check("files", path, bool(plain), "an absolute path without '.' and '..'")
        _check("files", one["mode"], bool(_MODE.fullmatch(one["mode"])), "an octal mode like '0644', in quotes")
        files.append(FileSource(path=path, content=one["content"], src=one["src"] or "", mode=one["mode"]))
    paths = [file.path for file in files]
    for path in paths:
        _check("files", path, paths.count(path) == 1, "each path once")
    return tuple(files)


def _read(option: str, path: str) -> bytes:
    if not os.path.isfile(path):
        raise NotFound(
            "Cannot read the file",
            obj=path,
            why="there is no such file on the host that runs this task",
            next_step=f"Check {option}; the paths are on the controller or in its execution environment",
        )
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InvalidOption(
            "Cannot read the file", obj=path, why=str(error.strerror or error), next_step="Make it readable"
        ) from error


def _check(option: str, value: str, good: bool, wanted: str) -> None:
    if not good:
        raise InvalidOption(
            "Cannot use the option", obj=option, why=f"'{value[:80]}' is not usable", next_step=f"Give {wanted}"
        )


def _refuse_login(option: str, addresses: str | Iterable[str]) -> None:
    """Before the addresses are looked at any closer: a message about one of them shows it."""
    if any("@" in address for address in addresses):
        raise InvalidOption(
            "Cannot use the option",
            obj=option,
            why="a login in an address is not supported, since it would stand in clear in every clone",
            next_step="Leave it out, and use a server that asks this network for none",
        )


def _is_origin(text: str) -> bool:
    """A web address of a host alone; Docker takes no more for a mirror."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    bare = url.path in ("", "/") and not url.query and not url.fragment
    return url.scheme in ("http", "https") and bool(url.hostname) and bare and port != 0


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_bridge(text: str) -> bool:
    try:
        return ipaddress.IPv4Interface(text).network.prefixlen <= 29 and "/" in text
    except ValueError:
        return False
