# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the user of ``instant_clone_container`` wants, as one value. Reads the controller's files, nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.compare import read_comparisons
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.mounts import refuse_named
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.options import DETERMINISTIC
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.spec import (
    ContainerSpec,
    check_service_name,
    read_spec,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import (
    ABSENT,
    HEALTHY,
    STARTED,
    Service,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.values import at_least, invalid
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.wish import Wish
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import clean_path

KEEP, REMOVE = "keep", "remove"


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where containers are to be, by the user's names; empty ones are the template's own, or the only one there is."""

    datacenter: str = ""
    folder: str = ""
    template_folder: str = ""
    resource_pool: str = ""
    datastore: str = ""


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a run goes about it. Times are in seconds."""

    timeout: float
    healthy_seconds: float
    on_failure: str = REMOVE
    detach: bool = True
    cleanup: bool = False
    clones_per_template: int = 8


@dataclass(frozen=True, kw_only=True)
class Desired:
    """Services that are to be, where, and how to get there. ``volumes`` says what is known of a fleet's volumes."""

    services: tuple[Service, ...]
    places: Places
    manner: Manner
    volumes: Mapping[str, Wish] = field(default_factory=dict)


def read_desired(params: Mapping[str, Any], *, container_options: Iterable[str]) -> Desired:
    """Read a module's options.

    Args:
        container_options: the names of those that make the container what it is.

    Raises: InvalidOption, Unsupported.
    """
    name = check_service_name("name", params["name"])
    replicas = params["replicas"]
    if replicas is not None:
        at_least("replicas", replicas, 0)
    spec = None
    if params["state"] != ABSENT:
        spec = read_spec({option: params[option] for option in container_options}, read_file=read_file)
        for volume in spec.volumes:
            raise refuse_named(volume)
        _check_addresses(spec, replicas)
    folder = clean_path(params["folder"])
    service = Service(
        name=name,
        folder=folder,
        spec=spec,
        owner=params["owner"],
        replicas=replicas,
        state=params["state"],
        recreate=params["recreate"],
        rules=read_comparisons(params["comparisons"]),
        digest_key=params["digest_key"] or "",
    )
    return Desired(services=(service,), places=_places(params, folder), manner=_manner(params))


def read_file(path: str) -> bytes:
    """A file of the host that runs the task, which is the controller unless the task is sent elsewhere."""
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise InvalidOption(
            "Cannot read the file",
            obj=path,
            why=f"on the host that runs this task: {error.strerror}",
            next_step="Give the path of a file there, absolute or from the directory that the task runs in",
            details={"path": path},
        ) from error


def _places(params: Mapping[str, Any], folder: str) -> Places:
    return Places(
        datacenter=params["datacenter"] or "",
        folder=folder,
        template_folder=clean_path(params["template_folder"]),
        resource_pool=params["resource_pool"] or "",
        datastore=params["datastore"] or "",
    )


def _manner(params: Mapping[str, Any]) -> Manner:
    if params["cleanup"] and params["detach"]:
        raise invalid("cleanup", "true", "it removes a container that was waited for", "Set detach: false, too")
    return Manner(
        timeout=float(at_least("timeout", params["timeout"], 1)),
        healthy_seconds=float(at_least("healthy_wait_timeout", params["healthy_wait_timeout"], 1)),
        on_failure=params["on_failure"],
        detach=params["detach"],
        # In the other states no container's end is waited for.
        cleanup=params["cleanup"] and params["state"] in (STARTED, HEALTHY),
        clones_per_template=at_least("clones_per_template", params["clones_per_template"], 1),
    )


def _check_addresses(spec: ContainerSpec, replicas: int | None) -> None:
    """One address is one VM's."""
    options = spec.options
    for name in ("ip_address", "mac_address"):
        if (replicas or 0) > 1 and options.get(name, DETERMINISTIC) != DETERMINISTIC:
            raise invalid(
                name,
                options[name],
                f"{replicas} replicas cannot share it",
                "Leave it out, or make a service of each container",
            )
