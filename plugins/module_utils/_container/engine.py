# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The body of the Docker Engine's ``POST /containers/create``. Pure.

Source of the field names: the Engine's API reference, version 1.41, the lowest
that the agent speaks.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import ports
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.options import OPTIONS
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.spec import ContainerSpec

# The log port has the output; what the Engine keeps beside it must not fill the VM's disk.
_LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}


def body(spec: ContainerSpec, *, hostname: str) -> dict[str, Any]:
    """The request for one container; ``Image`` is left to the agent, which knows the image's id.

    Args:
        hostname: what the container is called inside, unless the spec says otherwise.
    """
    request: dict[str, Any] = {"Hostname": spec.options.get("hostname", hostname), "HostConfig": {"LogConfig": _LOG}}
    for name, value in spec.options.items():
        path = OPTIONS[name].engine
        if path:
            _put(request, path, list(value) if isinstance(value, tuple) else value)
    host: dict[str, Any] = request["HostConfig"]
    if spec.env:
        request["Env"] = [f"{name}={value}" for name, value in sorted(spec.env.items())]
    _ports(request, host, spec)
    _mounts(request, host, spec)
    if "restart_policy" in spec.options:
        host["RestartPolicy"] = {
            "Name": spec.options["restart_policy"],
            "MaximumRetryCount": spec.options.get("restart_retries", 0),
        }
    if spec.options.get("ulimits"):
        host["Ulimits"] = [_ulimit(entry) for entry in spec.options["ulimits"]]
    if spec.options.get("etc_hosts"):
        host["ExtraHosts"] = [f"{name}:{address}" for name, address in spec.options["etc_hosts"].items()]
    return request


def _put(request: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        request = request.setdefault(key, {})
    request[path[-1]] = value


def _ports(request: dict[str, Any], host: dict[str, Any], spec: ContainerSpec) -> None:
    """A binding of a port that is not exposed as well publishes nothing, and the Engine does not say so."""
    published = [ports.parse(port) for port in spec.options.get("published_ports", ())]
    exposed = {port.key for port in published} | set(spec.options.get("exposed_ports", ()))
    if exposed:
        request["ExposedPorts"] = {key: {} for key in sorted(exposed)}
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in published:
        bindings.setdefault(port.key, []).append({"HostIp": port.ip, "HostPort": str(port.host)})
    if bindings:
        host["PortBindings"] = bindings


def _mounts(request: dict[str, Any], host: dict[str, Any], spec: ContainerSpec) -> None:
    if spec.options.get("volumes"):
        request["Volumes"] = {target: {} for target in spec.options["volumes"]}
    if spec.volumes:
        host["Mounts"] = [
            {
                "Type": "volume",
                "Source": volume.name,
                "Target": volume.target,
                "ReadOnly": volume.read_only,
                "VolumeOptions": {"NoCopy": not volume.copy},
            }
            for volume in spec.volumes
        ]
    if spec.options.get("tmpfs"):
        host["Tmpfs"] = dict(spec.options["tmpfs"])


def _ulimit(entry: str) -> dict[str, Any]:
    name, soft, hard = entry.split(":")
    return {"Name": name, "Soft": int(soft), "Hard": int(hard)}
