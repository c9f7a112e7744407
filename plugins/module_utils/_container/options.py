# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one table of options that make a container what it is. Pure.

Reading, comparing and building the Engine's request all walk this table, so an
option that is accepted cannot be forgotten by one of them. Names, defaults and
kinds are Docker's as Ansible users know them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import ports, values
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.values import invalid

VALUE = "value"
LIST = "list"
SET = "set"
DICT = "dict"

STRICT = "strict"
IGNORE = "ignore"
ALLOW_MORE = "allow_more_present"

_HOST = ("HostConfig",)
# The Engine refuses less: a process needs this much to start at all.
_LEAST_MEMORY = 6 * 2**20
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
DETERMINISTIC = "deterministic"
RESTART_POLICIES = ("no", "on-failure", "always", "unless-stopped")


@dataclass(frozen=True, kw_only=True)
class Option:
    """How one option is read, compared and sent.

    Args:
        name: as the user writes it.
        kind: one of VALUE, LIST, SET, DICT; decides how it is compared.
        read: from what was written to the normal form, which JSON can carry; raises InvalidOption.
        default: what an unset option amounts to, where that is known without the image.
        engine: where the normal form stands in the Engine's request as it is; empty where
            it is built otherwise, or concerns the VM.
        secret: whether its values are compared by digest and never shown.
    """

    name: str
    kind: str
    read: Callable[[str, Any], Any]
    default: Any = None
    engine: tuple[str, ...] = ()
    secret: bool = False

    @property
    def comparison(self) -> str:
        """How it is compared unless the user says otherwise."""
        return ALLOW_MORE if self.kind in (SET, DICT) else STRICT


def _flag(option: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise invalid(option, value, "it is neither true nor false", "Use true or false")
    return value


def _whole(least: int) -> Callable[[str, Any], int]:
    def read(option: str, value: Any) -> int:
        return values.at_least(option, value, least)

    return read


def _memory(option: str, value: Any) -> int:
    found = values.size(option, value)
    if 0 < found < _LEAST_MEMORY:
        raise invalid(option, value, "a container needs at least 6M", "Use a larger size")
    return found


def _restart_policy(option: str, value: Any) -> str:
    if value is False:
        raise invalid(option, "no", "YAML made it a boolean", 'quote it: "no"')
    if value not in RESTART_POLICIES:
        raise invalid(option, value, "Docker has no such policy", f"Use one of {', '.join(RESTART_POLICIES)}")
    return str(value)


def _ulimits(option: str, value: Any) -> tuple[str, ...]:
    found = tuple(sorted(values.ulimit(option, entry) for entry in values.texts(option, value)))
    names = [entry.partition(":")[0] for entry in found]
    for name in names:
        if names.count(name) > 1:
            raise invalid(option, name, "it is limited twice", "Keep one")
    return found


def _hosts(option: str, value: Any) -> dict[str, str]:
    found = values.pairs(option, value)
    for name, address in found.items():
        if address != "host-gateway":
            _address(f"{option}.{name}", address)
    return found


def _address(option: str, value: Any) -> str:
    written = values.text(option, value)
    try:
        return str(ipaddress.ip_address(written))
    except ValueError as error:
        raise invalid(option, value, "it is no IP address", "Write it as 192.0.2.7") from error


def _addresses(option: str, value: Any) -> tuple[str, ...]:
    return tuple(_address(option, entry) for entry in values.texts(option, value))


def _gateway(option: str, value: Any) -> str:
    return _only_ipv4(option, _address(option, value), like="192.0.2.1")


def _only_ipv4(option: str, address: str, *, like: str) -> str:
    # The guest would find no address, and what it was to replace would have been stopped for it.
    if ":" in address:
        raise invalid(option, address, "a container VM has only IPv4 addresses", f"Write it as {like}")
    return address


def _interface(option: str, value: Any) -> str:
    written = values.text(option, value)
    try:
        found = ipaddress.ip_interface(written)
    except ValueError as error:
        raise invalid(option, value, "it is no address with a prefix", "Write it as 192.0.2.7/24") from error
    if "/" not in written:
        raise invalid(option, value, "its prefix is missing", f"Write it as {written}/24, with your network's prefix")
    return _only_ipv4(option, str(found), like="192.0.2.7/24")


def _mac(option: str, value: Any) -> str:
    written = values.text(option, value).lower().replace("-", ":")
    if written == DETERMINISTIC:
        return written
    if not _MAC.fullmatch(written):
        raise invalid(option, value, "it is no MAC address", f"Write it as 00:50:56:01:02:03, or '{DETERMINISTIC}'")
    # vCenter refuses other manual addresses: VMware's own range for them.
    if not written.startswith("00:50:56:") or int(written[9:11], 16) > 0x3F:
        raise invalid(
            option, value, "vSphere takes only 00:50:56:00:00:00 to 00:50:56:3f:ff:ff by hand", "Choose one of these"
        )
    return written


def image_name(option: str, value: Any) -> str:
    """An image as the Engine names it: without tag and digest it means ``latest``."""
    name = values.text(option, value).strip()
    repository = name.partition("@")[0]
    if not repository or re.search(r"\s", name) or repository.rpartition("/")[2].startswith(":"):
        raise invalid(option, value, "it is no image name", "Write it as registry/name:tag")
    if "@" in name or ":" in repository.rpartition("/")[2] or name.startswith("sha256:"):
        return name
    return f"{name}:latest"


def _option(name: str, kind: str, read: Callable[[str, Any], Any], default: Any = None, *engine: str) -> Option:
    return Option(name=name, kind=kind, read=read, default=default, engine=engine)


_ALL = (
    # The container
    _option("image", VALUE, image_name),
    _option("command", LIST, values.words, None, "Cmd"),
    _option("entrypoint", LIST, values.words, None, "Entrypoint"),
    Option(name="env", kind=DICT, read=values.variables, default={}, secret=True),
    _option("labels", DICT, values.pairs, {}, "Labels"),
    _option("user", VALUE, values.text, None, "User"),
    _option("working_dir", VALUE, values.text, None, "WorkingDir"),
    _option("hostname", VALUE, values.text),
    _option("domainname", VALUE, values.text, "", "Domainname"),
    _option("groups", SET, values.unique, (), *_HOST, "GroupAdd"),
    _option("init", VALUE, _flag, False, *_HOST, "Init"),
    _option("interactive", VALUE, _flag, False, "OpenStdin"),
    _option("tty", VALUE, _flag, False, "Tty"),
    _option("stop_signal", VALUE, values.text, None, "StopSignal"),
    _option("stop_timeout", VALUE, _whole(0), 10, "StopTimeout"),
    _option("healthcheck", VALUE, values.healthcheck, None, "Healthcheck"),
    _option("restart_policy", VALUE, _restart_policy, "no"),
    _option("restart_retries", VALUE, _whole(0), 0),
    # Its limits and rights
    _option("memory", VALUE, _memory, 0, *_HOST, "Memory"),
    _option("memory_reservation", VALUE, _memory, 0, *_HOST, "MemoryReservation"),
    _option("memory_swap", VALUE, values.swap, 0, *_HOST, "MemorySwap"),
    _option("shm_size", VALUE, values.size, 64 * 2**20, *_HOST, "ShmSize"),
    _option("cpus", VALUE, values.cpus, 0, *_HOST, "NanoCpus"),
    _option("cpu_shares", VALUE, _whole(0), 0, *_HOST, "CpuShares"),
    _option("cpuset_cpus", VALUE, values.text, "", *_HOST, "CpusetCpus"),
    _option("pids_limit", VALUE, _whole(-1), 0, *_HOST, "PidsLimit"),
    _option("capabilities", SET, values.unique, (), *_HOST, "CapAdd"),
    _option("cap_drop", SET, values.unique, (), *_HOST, "CapDrop"),
    _option("privileged", VALUE, _flag, False, *_HOST, "Privileged"),
    _option("read_only", VALUE, _flag, False, *_HOST, "ReadonlyRootfs"),
    _option("security_opts", SET, values.unique, (), *_HOST, "SecurityOpt"),
    _option("sysctls", DICT, values.pairs, {}, *_HOST, "Sysctls"),
    _option("ulimits", SET, _ulimits, ()),
    # Its network and its mounts
    _option("published_ports", SET, ports.published, ()),
    _option("exposed_ports", SET, ports.exposed, ()),
    _option("etc_hosts", DICT, _hosts, {}),
    _option("dns_servers", LIST, _addresses, (), *_HOST, "Dns"),
    _option("dns_search_domains", LIST, values.texts, (), *_HOST, "DnsSearch"),
    _option("dns_opts", SET, values.unique, (), *_HOST, "DnsOptions"),
    _option("volumes", SET, values.unique, ()),
    # One more is another disk: a container that has it is another one.
    _option("named_volumes", LIST, values.texts, ()),
    _option("volume_names", DICT, values.pairs, {}),
    # What a fleet never removes, even where its files can no longer say so.
    _option("external_volumes", SET, values.unique, ()),
    _option("tmpfs", DICT, values.pairs, {}),
    Option(name="files", kind=DICT, read=values.pairs, default={}, secret=True),
    # The VM
    _option("template", VALUE, values.text),
    _option("network", VALUE, values.text),
    _option("ip_address", VALUE, _interface),
    _option("gateway", VALUE, _gateway),
    _option("dns", LIST, _addresses, ()),
    _option("dns_search", LIST, values.texts, ()),
    _option("mac_address", VALUE, _mac),
)
OPTIONS = {option.name: option for option in _ALL}

# Docker has these, and they name something that a VM per container does not have.
UNSUPPORTED = {
    "auto_remove": "use detach: false with cleanup: true, which also removes the VM",
    "cgroup_parent": "the VM is the limit; its size is its template's",
    "container_default_behavior": "there are no defaults to choose from",
    "device_requests": "instant clones carry no passed-through devices",
    "devices": "instant clones carry no passed-through devices",
    "ipc_mode": "there is no second container in the VM to share with",
    "links": "there is no second container in the VM; use the other container's address",
    "log_driver": "the output goes to the VM's log port; read it with container_vm_info",
    "log_options": "the output goes to the VM's log port; read it with container_vm_info",
    "network_mode": "the VM is the container's host; network names its port group",
    "networks": "the VM is the container's host; network names its port group",
    "networks_cli_compatible": "the VM is the container's host; network names its port group",
    "paused": "suspend is not among the states of a container VM",
    "pid_mode": "there is no second container in the VM to share with",
    "platform": "the template decides the architecture",
    "publish_all_ports": "name the ports in published_ports",
    "runtime": "the template's Docker Engine has its default runtime only",
    "userns_mode": "the VM separates the container from all others",
    "uts": "the VM separates the container from all others",
    "volume_driver": "a volume lives and goes with its VM",
    "volumes_from": "there is no second container in the VM to share with",
}
