# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a service's containers are to be: from a user's options to a frozen value. Pure.

The one thing that comes from outside, the content of files on the controller,
comes through a function that the caller hands in.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import mounts, values
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.options import OPTIONS, UNSUPPORTED
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.values import invalid
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption, Unsupported
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import PULL

# Several options together become one normal form.
_MERGED = frozenset({"env", "env_file", "volumes", "mounts", "tmpfs"})
# In the table for comparing only: what the user writes is a mount.
_DERIVED = frozenset({"files", "named_volumes", "volume_names", "external_volumes"})
_KNOWN = OPTIONS.keys() - _DERIVED | _MERGED
_SERVICE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,58}[A-Za-z0-9])?")
_FILE_MODE = "0444"
# What only one VM at a time can have.
EXCLUSIVE = frozenset({"ip_address", "mac_address", "named_volumes"})

ReadFile = Callable[[str], bytes]


@dataclass(frozen=True, kw_only=True)
class File:
    """A controller's file that the container sees read-only at ``target``."""

    target: str
    content: bytes = field(repr=False)
    mode: str = _FILE_MODE

    @property
    def encoded(self) -> str:
        return base64.b64encode(self.content).decode()


@dataclass(frozen=True, kw_only=True)
class RegistryLogin:
    """A login for pulling the image at clone time; travels sealed only."""

    server: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """One container, as asked for.

    ``options`` holds only what the user set, in the normal forms of the option
    table and without secrets; ``env`` and ``files`` hold the secret ones, and
    are None where the user set none.
    """

    options: Mapping[str, Any]
    env: Mapping[str, str] | None = field(default=None, repr=False)
    files: tuple[File, ...] | None = None
    pull: str = "missing"
    login: RegistryLogin | None = None

    @property
    def image(self) -> str:
        return str(self.options["image"])

    @property
    def template(self) -> str:
        return str(self.options["template"])

    @property
    def memory(self) -> int:
        """The container's own limit in bytes, 0 for none."""
        return int(self.options.get("memory", 0))

    @property
    def stop_timeout(self) -> int:
        """Seconds between the stop signal and the kill."""
        return int(self.options.get("stop_timeout", OPTIONS["stop_timeout"].default))

    @property
    def restart_no(self) -> bool:
        """Whether the policy ``no`` was set by the user, rather than being Docker's default."""
        return self.options.get("restart_policy") == "no"

    @property
    def volumes(self) -> tuple[mounts.NamedVolume, ...]:
        """The volumes that outlive the container, by their targets."""
        return tuple(mounts.NamedVolume.decode(text) for text in self.options.get("named_volumes", ()))

    @property
    def is_exclusive(self) -> bool:
        """Whether two VMs of this spec cannot run side by side: they would speak with one address, or share a disk."""
        return any(self.options.get(name) for name in EXCLUSIVE)

    @property
    def secrets(self) -> Mapping[str, Mapping[str, str]]:
        """Every secret value by option and name; a file's is the digest of its content, to keep this small."""
        found: dict[str, Mapping[str, str]] = {}
        if self.env is not None:
            found["env"] = self.env
        if self.files is not None:
            found["files"] = {file.target: hashlib.sha256(file.content).hexdigest() for file in self.files}
        return found


def read_spec(options: Mapping[str, Any], *, read_file: ReadFile) -> ContainerSpec:
    """Read options as an Ansible task gives them; those that are None count as not set.

    Args:
        read_file: returns a controller file's content; raises InvalidOption where it cannot.

    Raises:
        InvalidOption: a value cannot be meant as it stands.
        Unsupported: Docker knows it, and a VM per container cannot honour it.
    """
    given = {name: value for name, value in options.items() if value is not None}
    pull = _pull(given.pop("pull", "missing"))
    login = _login(given.pop("registry_login", None))
    for name in sorted(given.keys() - _KNOWN):
        raise _unknown(name)
    for name in ("image", "template"):
        if not given.get(name):
            raise invalid(name, "", "it is missing", f"Set {name}")
    found = {name: OPTIONS[name].read(name, value) for name, value in given.items() if name not in _MERGED}
    found |= _mounts(given)
    spec = ContainerSpec(
        options=dict(sorted(found.items())),
        env=_env(given, read_file),
        files=_files(given, read_file),
        pull=pull,
        login=login,
    )
    _check_together(spec)
    return spec


def check_service_name(option: str, name: str) -> str:
    """A name that a VM, a datastore directory, a host and a container can bear; raises InvalidOption."""
    if not _SERVICE.fullmatch(name):
        raise invalid(
            option,
            name,
            "it becomes a VM's, a directory's, a host's and a container's name",
            "Use up to 60 letters, digits, '.', '_' and '-', with a letter or digit at both ends",
        )
    return name


def hostname(name: str) -> str:
    """A VM's name as a host's name: RFC 1123 has no underscore, no tilde, and 63 characters."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", name)[:63].strip("-.") or "container"


def engine_name(name: str) -> str:
    """A VM's name as a container's: the Engine wants two characters at least."""
    cleaned = re.sub(r"[^A-Za-z0-9_.-]", "-", name)
    return cleaned if len(cleaned) > 1 else f"{cleaned}-0"


def _pull(value: Any) -> str:
    pull = {True: "always", False: "missing"}.get(value, value) if isinstance(value, bool) else value
    if pull not in PULL:
        raise invalid("pull", value, "there is no such way to pull", f"Use one of {', '.join(PULL)}")
    return str(pull)


def _login(value: Any) -> RegistryLogin | None:
    if not value:
        return None
    if not isinstance(value, Mapping):
        raise invalid("registry_login", "", "it is no dictionary", "Give server, username and password")
    parts = {
        name: values.text(f"registry_login.{name}", value.get(name), secret=True)
        for name in ("server", "username", "password")
    }
    return RegistryLogin(**parts)


def _unknown(name: str) -> InvalidOption | Unsupported:
    if name in UNSUPPORTED:
        return Unsupported(
            "Cannot honour the option",
            obj=name,
            why="a container that is a VM has no such thing",
            next_step=f"Leave it out; {UNSUPPORTED[name]}",
            details={"option": name},
        )
    close = difflib.get_close_matches(name, sorted(_KNOWN), n=3)
    hint = f"Did you mean {' or '.join(close)}" if close else "See the module's documentation for all options"
    return InvalidOption("There is no option", obj=name, next_step=hint, details={"option": name})


def _env(given: Mapping[str, Any], read_file: ReadFile) -> dict[str, str] | None:
    if "env" not in given and "env_file" not in given:
        return None
    found: dict[str, str] = {}
    if "env_file" in given:
        path = str(given["env_file"])
        try:
            found |= values.env_file(path, read_file(path).decode())
        except UnicodeDecodeError as error:
            raise invalid("env_file", path, "it is not UTF-8 text", "Save it as UTF-8") from error
    found |= values.variables("env", given.get("env", {}))
    return dict(sorted(found.items()))


def _mounts(given: Mapping[str, Any]) -> dict[str, Any]:
    found = _collect(given)
    merged: dict[str, Any] = {}
    if "volumes" in given or "mounts" in given:
        merged["volumes"] = found.anonymous
        merged["named_volumes"] = tuple(volume.encode() for volume in found.named)
    if found.tmpfs or "tmpfs" in given:
        merged["tmpfs"] = found.tmpfs
    return merged


def _collect(given: Mapping[str, Any]) -> mounts.Mounts:
    return mounts.collect(volumes=given.get("volumes"), mounts=given.get("mounts"), tmpfs=given.get("tmpfs"))


def _files(given: Mapping[str, Any], read_file: ReadFile) -> tuple[File, ...] | None:
    if "volumes" not in given and "mounts" not in given:
        return None
    binds = _collect(given).binds
    return tuple(File(target=bind.target, content=read_file(bind.source)) for bind in binds)


def _check_together(spec: ContainerSpec) -> None:
    """What is fine on its own, and not beside another option."""
    options = spec.options
    if "restart_retries" in options and options.get("restart_policy") != "on-failure":
        raise invalid(
            "restart_retries",
            options["restart_retries"],
            "only the restart policy 'on-failure' counts retries",
            "Set restart_policy: on-failure, or leave it out",
        )
    swap = options.get("memory_swap", 0)
    if swap > 0 and not 0 < spec.memory <= swap:
        raise invalid(
            "memory_swap", swap, "it is memory and swap together, so it needs memory and is not below it", "Raise it"
        )
    if options.get("memory_reservation", 0) > spec.memory > 0:
        raise invalid("memory_reservation", options["memory_reservation"], "it is above memory", "Lower it")
    if "gateway" in options and "ip_address" not in options:
        raise invalid("gateway", options["gateway"], "with DHCP the gateway comes by DHCP", "Set ip_address too")
