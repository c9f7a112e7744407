# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that describe a container and its VM, as every module that takes them has them."""

from __future__ import annotations

from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._argspec import ArgSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.options import (
    RESTART_POLICIES,
    UNSUPPORTED,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import PULL

_TEXT: dict[str, Any] = {"type": "str"}
_WHOLE: dict[str, Any] = {"type": "int"}
_FLAG: dict[str, Any] = {"type": "bool"}
_DICT: dict[str, Any] = {"type": "dict"}
_TEXTS: dict[str, Any] = {"type": "list", "elements": "str"}

CONTAINER = ArgSpec(
    options={
        # The container, by Docker's names
        "image": _TEXT,
        "command": {"type": "raw"},
        "entrypoint": _TEXTS,
        "env": _DICT,
        "env_file": {"type": "path"},
        "labels": _DICT,
        "user": _TEXT,
        "working_dir": _TEXT,
        "hostname": _TEXT,
        "domainname": _TEXT,
        "groups": _TEXTS,
        "init": _FLAG,
        "interactive": _FLAG,
        "tty": _FLAG,
        "stop_signal": _TEXT,
        "stop_timeout": _WHOLE,
        "healthcheck": {
            "type": "dict",
            "options": {
                "test": {"type": "raw"},
                "interval": _TEXT,
                "timeout": _TEXT,
                "start_period": _TEXT,
                "retries": _WHOLE,
            },
        },
        "restart_policy": {"type": "str", "choices": list(RESTART_POLICIES)},
        "restart_retries": _WHOLE,
        "memory": _TEXT,
        "memory_reservation": _TEXT,
        "memory_swap": _TEXT,
        "shm_size": _TEXT,
        "cpus": {"type": "float"},
        "cpu_shares": _WHOLE,
        "cpuset_cpus": _TEXT,
        "pids_limit": _WHOLE,
        "capabilities": _TEXTS,
        "cap_drop": _TEXTS,
        "privileged": _FLAG,
        "read_only": _FLAG,
        "security_opts": _TEXTS,
        "sysctls": _DICT,
        "ulimits": _TEXTS,
        "published_ports": {**_TEXTS, "aliases": ["ports"]},
        "exposed_ports": {**_TEXTS, "aliases": ["exposed", "expose"]},
        "etc_hosts": _DICT,
        "dns_servers": _TEXTS,
        "dns_search_domains": _TEXTS,
        "dns_opts": _TEXTS,
        "volumes": _TEXTS,
        "mounts": {
            "type": "list",
            "elements": "dict",
            "options": {
                "target": {"type": "str", "required": True},
                "source": _TEXT,
                "type": {"type": "str", "choices": ["bind", "tmpfs", "volume"], "default": "volume"},
                "read_only": _FLAG,
                "tmpfs_size": _TEXT,
                "tmpfs_mode": _TEXT,
            },
        },
        "tmpfs": _TEXTS,
        "pull": {"type": "str", "choices": list(PULL), "default": "missing"},
        "registry_login": {
            "type": "dict",
            "options": {
                "server": {"type": "str", "required": True},
                "username": {"type": "str", "required": True},
                "password": {"type": "str", "required": True, "no_log": True},
            },
        },
        # Its VM
        "template": _TEXT,
        "network": _TEXT,
        "ip_address": _TEXT,
        "gateway": _TEXT,
        "dns": _TEXTS,
        "dns_search": _TEXTS,
        "mac_address": _TEXT,
    },
    required_by={"gateway": ("ip_address",)},
    secret=("env", "registry_login.password"),
    refused=UNSUPPORTED,
)
