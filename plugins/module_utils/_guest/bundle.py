# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent as it travels: one zipapp and one systemd unit, installed by cloud-init from guestinfo.

The sources are taken from where this collection itself was imported from, be it
a directory or the zip in which Ansible sends a module.
"""

from __future__ import annotations

import ast
import base64
import gzip
import io
import json
import pkgutil
import tokenize
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .agent import places

if TYPE_CHECKING:
    # Ansible sends the files that a module imports, even in a branch that never runs: by way of main, all of the agent.
    from .agent import main

    FOLLOWED = main

AGENT = (
    "__init__", "boot", "container", "discovery", "dns", "engine", "firewall", "follow", "freeze", "guest", "identity",
    "images", "logport", "main", "network", "places", "precompile", "prepare", "problem", "record", "report",
    "resolver", "rpc", "setup", "shell", "state", "thaw", "unixhttp", "unseal",
    "volumes", "warm", "wipe",
)  # fmt: skip
SHARED = ("disks", "orders", "peers", "protocol", "settings", "wire")

USER_DATA = "guestinfo.userdata"
METADATA = "guestinfo.metadata"

_PACKAGE = "bonneville"
_MAIN = f"""\
# GPL-3.0-or-later, the bonneville.vsphere developers
import sys
from {_PACKAGE}.agent.main import main
sys.exit(main(sys.argv[1:]))
"""
# The earliest time that a zip can hold: the same sources make the same bytes.
_TIME = (1980, 1, 1, 0, 0, 0)

UNIT_NAME = "bonneville-agent.service"
# Ordered after docker.service, so that on the way down the agent stops its container while dockerd still runs.
# How long that takes is the container's stop_timeout, which the agent keeps to.
UNIT = f"""\
[Unit]
Description=Agent of bonneville.vsphere: one container in this VM
After=vmtoolsd.service systemd-networkd.service docker.service

[Service]
ExecStart={places.PYTHON} -I -S {places.PYZ}
Restart=always
RestartSec=1
KillMode=mixed
TimeoutStopSec=1h
OOMScoreAdjust=-500

[Install]
WantedBy=multi-user.target
"""


def zipapp() -> bytes:
    """The agent as Python runs it from one file, without what only its readers need: guestinfo is small.

    Stored, for the same reason: packed as a whole it takes a quarter less.
    """
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in sorted(_files()):
            archive.writestr(zipfile.ZipInfo(name, date_time=_TIME), text)
    return target.getvalue()


def user_data(instance: str) -> dict[str, str]:
    """extraConfig by which cloud-init's VMware datasource installs and starts the agent at the next boot.

    ``instance`` is the instance id: cloud-init does this once for each. It is then
    switched off, so that no reboot of a clone has it start over.
    """
    install = {
        "write_files": [
            _file(places.PYZ, zipapp(), "0755"),
            _file(f"/etc/systemd/system/{UNIT_NAME}", UNIT.encode(), "0644"),
            _file("/etc/cloud/cloud-init.disabled", b"by bonneville.vsphere\n", "0644"),
        ],
        "runcmd": [
            ["systemctl", "daemon-reload"],
            ["systemctl", "enable", UNIT_NAME],
            ["systemctl", "start", "--no-block", UNIT_NAME],
        ],
    }
    # JSON is YAML, and needs no library to be written.
    cloud_config = "#cloud-config\n" + json.dumps(install)
    return {
        **_value(METADATA, json.dumps({"instance-id": instance})),
        **_value(USER_DATA, cloud_config),
    }


def no_user_data() -> dict[str, str]:
    """extraConfig that takes it out again: every clone would carry it along."""
    return dict.fromkeys((METADATA, f"{METADATA}.encoding", USER_DATA, f"{USER_DATA}.encoding"), "")


def bare(source: str) -> str:
    """A Python source without comments and docstrings; every statement keeps its line, for the tracebacks."""
    lines = source.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not (token.start[0] == 1 and lines[0].startswith("#!")):
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip() + "\n"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            text = node.body[0]
            indent = " " * text.col_offset
            end = text.end_lineno or text.lineno
            lines[text.lineno - 1 : end] = [indent + '""\n', *["\n"] * (end - text.lineno)]
    return "".join(lines)


def _files() -> Iterator[tuple[str, str]]:
    yield "__main__.py", _MAIN
    yield f"{_PACKAGE}/__init__.py", _source("__init__")
    for name in SHARED:
        yield f"{_PACKAGE}/{name}.py", _source(name)
    for name in AGENT:
        yield f"{_PACKAGE}/agent/{name}.py", _source(f"agent/{name}")


def _source(name: str) -> str:
    if not __package__:
        raise AssertionError("the bundle is part of a package")
    text = pkgutil.get_data(__package__, f"{name}.py")
    if text is None:
        raise AssertionError(f"the loader of {__package__} cannot read {name}.py")
    return bare(text.decode())


def _file(path: str, content: bytes, permissions: str) -> dict[str, str]:
    return {"path": path, "permissions": permissions, "encoding": "gz+b64", "content": _packed(content)}


def _value(key: str, text: str) -> dict[str, str]:
    return {key: _packed(text.encode()), f"{key}.encoding": "gzip+base64"}


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()
