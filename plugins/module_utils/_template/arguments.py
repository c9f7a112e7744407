# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""photon_template's arguments."""

from __future__ import annotations

from ansible_collections.bonneville.vsphere.plugins.module_utils._argspec import ArgSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.desired import (
    ALWAYS,
    DEFAULT_FOLDER,
    MISSING,
    PULL,
    PUSH,
)

_TEXT = {"type": "str"}
_TEXTS = {"type": "list", "elements": "str"}
_NUMBER = {"type": "int"}
_SOURCE = {
    "ova": {"type": "path"},
    **dict.fromkeys(("url", "checksum", "vm"), _TEXT),
    "transfer": {"type": "str", "choices": [PUSH, PULL], "default": PUSH},
}
_ONE_SOURCE = {
    "mutually_exclusive": [("ova", "url", "vm")],
    "required_one_of": [("ova", "url", "vm")],
    "required_together": [("url", "checksum")],
}
# Hidden by structure: see ArgSpec.secret.
_LOGIN = {name: {"type": "str", "required": True, "no_log": False} for name in ("server", "username", "password")}
_FILE = {
    "path": {"type": "str", "required": True},
    "content": _TEXT,
    "src": {"type": "path"},
    "mode": {"type": "str", "default": "0644"},
}
_ONE_CONTENT = {"mutually_exclusive": [("content", "src")], "required_one_of": [("content", "src")]}
TEMPLATE = ArgSpec(
    options={
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "parked", "absent"], "default": "present"},
        "source": {"type": "dict", "options": _SOURCE, **_ONE_SOURCE},
        "accept_eula": {"type": "bool", "default": False},
        "folder": {"type": "str", "default": DEFAULT_FOLDER},
        **dict.fromkeys(("cluster", "datacenter", "datastore", "network"), _TEXT),
        **dict.fromkeys(("registry_ca", "http_proxy", "https_proxy", "bridge_cidr", "time_zone"), _TEXT),
        "debug_ssh_key": {"type": "str", "no_log": False},
        "files": {"type": "list", "elements": "dict", "options": _FILE, **_ONE_CONTENT},
        **dict.fromkeys(("cpus", "memory_mb", "memory_reservation_mb", "disk_gb"), _NUMBER),
        **dict.fromkeys(("hosts", "images", "insecure_registries", "registry_mirrors", "no_proxy"), _TEXTS),
        **dict.fromkeys(("dns", "dns_search", "ntp", "packages"), _TEXTS),
        "pull": {"type": "str", "choices": [ALWAYS, MISSING], "default": ALWAYS},
        "image_archives": {"type": "list", "elements": "path"},
        "registry_logins": {"type": "list", "elements": "dict", "options": _LOGIN},
        "force": {"type": "bool", "default": False},
        "owner": {"type": "str", "default": ""},
        "timeout": {"type": "int", "default": 3600},
    },
    mutually_exclusive=(("cluster", "hosts"),),
    required_if=(
        ("state", "present", ("source", "datastore", "network")),
        ("state", "present", ("cluster", "hosts"), True),
        ("state", "parked", ("hosts",)),
    ),
    secret=("registry_logins.password", "files.content"),
    addresses=(
        "http_proxy",
        "https_proxy",
        "registry_mirrors",
        "insecure_registries",
        "registry_logins.server",
        "source.url",
        "source.checksum",
    ),
)
