# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One service's container options, by the names and in the forms of instant_clone_container. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.options import OPTIONS
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.places import Look, need_text
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import Problems, wrong
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Mark, Tree
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate import deploy, scalars
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.contents import texts
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.support import SERVICE

# Keys whose value is the option's as it stands.
_SAME = {
    "image": "image", "command": "command", "entrypoint": "entrypoint", "user": "user", "working_dir": "working_dir",
    "hostname": "hostname", "domainname": "domainname", "group_add": "groups", "init": "init", "tty": "tty",
    "stdin_open": "interactive", "stop_signal": "stop_signal", "cap_add": "capabilities", "cap_drop": "cap_drop",
    "privileged": "privileged", "read_only": "read_only", "pids_limit": "pids_limit", "cpus": "cpus",
    "cpu_shares": "cpu_shares", "cpuset": "cpuset_cpus", "expose": "exposed_ports", "dns": "dns_servers",
    "dns_search": "dns_search_domains", "dns_opt": "dns_opts",
}  # fmt: skip
_SIZES = {
    "mem_limit": "memory", "mem_reservation": "memory_reservation", "memswap_limit": "memory_swap",
    "shm_size": "shm_size",
}  # fmt: skip
# What deploy.resources says, and the key that says the same.
_RESOURCES = {
    ("limits", "cpus"): "cpus", ("limits", "memory"): "mem_limit", ("limits", "pids"): "pids_limit",
    ("reservations", "memory"): "mem_reservation",
}  # fmt: skip
_HEALTH_TIMES = ("interval", "timeout", "start_period")
# In Compose 0 means that there is no limit, as it does where the key is left out.
_NO_LIMIT = frozenset({"cpus", "mem_limit", "mem_reservation", "memswap_limit", "pids_limit", "cpu_shares", "shm_size"})
_BUILT_IN_PROFILES = ("unconfined", "builtin", "default")


def options(name: str, service: Tree, *, look: Look, problems: Problems) -> dict[str, Any]:
    """All options but those of its environment, labels, mounts and VM, which other files read."""
    return _Reader(name, service, look, problems).read()


class _Reader:
    def __init__(self, name: str, service: Tree, look: Look, problems: Problems) -> None:
        self._name = name
        self._service = service
        self._look = look
        self._problems = problems
        self._found: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        written, marks = self._with_resources()
        for key, option in {**_SAME, **_SIZES}.items():
            value = written.get(key)
            if value is None or (key in _NO_LIMIT and value in (0, "0")):
                continue
            self._set(key, option, scalars.plain(value), marks.get(key) or self._service.where(key), size=key in _SIZES)
        self._each("ports", "published_ports", self._ports)
        self._each("extra_hosts", "etc_hosts", self._hosts)
        self._each("ulimits", "ulimits", _ulimits)
        self._each("sysctls", "sysctls", self._sysctls)
        self._each("security_opt", "security_opts", self._security)
        self._each("healthcheck", "healthcheck", _healthcheck)
        self._each("stop_grace_period", "stop_timeout", lambda value: math.ceil(scalars.seconds(value)))
        if "pull_policy" in self._service:
            self._found["pull"] = {"if_not_present": "missing"}.get(
                self._service["pull_policy"], self._service["pull_policy"]
            )
        self._found |= deploy.restart(self._name, self._service, self._problems)
        self._check_memory(marks)
        return self._found

    def _each(self, key: str, option: str, read: Callable[[Any], Any]) -> None:
        value = self._service.get(key)
        if value is None:
            return
        mark = self._service.where(key)
        try:
            found = read(value)
        except ValueError as error:
            self._problems.add(wrong(key, self._name, mark, str(error), "Correct it"))
        except InvalidOption as error:
            self._problems.add(error)
        else:
            self._set(key, option, found, mark)

    def _set(self, key: str, option: str, value: Any, mark: Mark, *, size: bool = False) -> None:
        """Keep an option's value, as it was written; the option's own reader says whether it can be meant."""
        try:
            given = str(scalars.size(value)) if size else value
            OPTIONS[option].read(key, given)
        except ValueError as error:
            self._problems.add(wrong(key, self._name, mark, str(error), "Correct it"))
        except InvalidOption as error:
            told = f"'{error.obj}': {error.why}" if error.obj else error.why
            self._problems.add(wrong(key, self._name, mark, told, error.next_step))
        else:
            self._found[option] = given

    def _with_resources(self) -> tuple[dict[str, Any], dict[str, Mark]]:
        """The service's keys, with what ``deploy.resources`` says in their place."""
        written, marks = dict(self._service), {}
        for path, key in _RESOURCES.items():
            inner = deploy.section(self._service, "deploy", "resources", path[0])
            value = inner.get(path[1])
            if value is None:
                continue
            mark = inner.where(path[1])
            if written.get(key) is not None and not _same(written[key], value):
                why = f"it differs from deploy.resources.{'.'.join(path)}, which says the same"
                self._problems.add(wrong(key, self._name, self._service.where(key), why, "Keep one"))
            written[key], marks[key] = value, mark
        return written, marks

    def _ports(self, value: Any) -> list[str]:
        found = []
        for port in value:
            # Out of a range Docker takes the first that is free; in a VM of its own that is the first.
            published = str(port.get("published", "")).partition("-")[0]
            address = str(port.get("host_ip", ""))
            host = f"[{address}]:" if ":" in address else f"{address}:" if address else ""
            target = port.get("target")
            if target is None:
                raise ValueError("an entry has no target")
            middle = f"{published}:" if published or host else ""
            found.append(f"{host}{middle}{target}/{port.get('protocol', 'tcp')}")
        return found

    def _hosts(self, value: Any) -> dict[str, str]:
        found = {}
        for host, addresses in value.items():
            if len(addresses) > 1:
                entry = SERVICE["extra_hosts"]
                why = f"'{host}' has several addresses: {entry.why}"
                self._problems.refuse("extra_hosts", "service", self._name, value.where(host), why, entry.instead)
            found[host] = addresses[0]
        return found

    def _sysctls(self, value: Any) -> dict[str, str]:
        return {key: text or "" for key, text in texts("sysctls", self._name, value, self._problems).items()}

    def _security(self, value: Any) -> list[str]:
        """Security options; a seccomp profile's content takes the place of its file's name, as the Engine wants it."""
        found = []
        for entry, mark in value.marked():
            match = re.fullmatch(r"seccomp[=:](.+)", entry)
            if not match or match[1] in _BUILT_IN_PROFILES or match[1].startswith("{"):
                found.append(entry)
                continue
            text = need_text(self._look, match[1], mark, role=f"the seccomp profile of service '{self._name}',")
            try:
                found.append(f"seccomp={json.dumps(json.loads(text), separators=(',', ':'))}")
            except ValueError as error:
                raise ValueError(f"the seccomp profile '{match[1]}' is no JSON") from error
        return found

    def _check_memory(self, marks: Mapping[str, Mark]) -> None:
        memory, reserved, swap = (
            int(self._found.get(key, 0)) for key in ("memory", "memory_reservation", "memory_swap")
        )
        if reserved > memory > 0:
            mark = marks.get("mem_reservation") or self._service.where("mem_reservation")
            self._problems.add(wrong("mem_reservation", self._name, mark, "it is above the memory limit", "Lower it"))
        if swap > 0 and not 0 < memory <= swap:
            why = "it is memory and swap together, so it needs mem_limit and is not below it"
            self._problems.add(
                wrong("memswap_limit", self._name, self._service.where("memswap_limit"), why, "Raise it")
            )


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(scalars.size(one) == scalars.size(other)) if isinstance(one, str) else float(one) == float(other)
    except ValueError:
        return bool(one == other)


def _ulimits(value: Any) -> list[str]:
    return [
        f"{name}:{limit['soft']}:{limit['hard']}" if isinstance(limit, Tree) else f"{name}:{limit}:{limit}"
        for name, limit in value.items()
    ]


def _healthcheck(value: Any) -> dict[str, Any]:
    if value.get("disable"):
        return {"test": ["NONE"]}
    found: dict[str, Any] = {}
    if value.get("test"):
        found["test"] = scalars.plain(value["test"])
    for key in _HEALTH_TIMES:
        if value.get(key) is not None:
            found[key] = scalars.duration(value[key])
    if value.get("retries"):
        found["retries"] = int(value["retries"])
    return found
