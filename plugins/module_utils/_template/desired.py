# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the module's options to the template that is asked for, by names. Pure: what needs no vCenter to be wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.templates import TEMPLATE_FOLDER
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.settings import (
    SettingsRequest,
    read_settings,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import Login, check_images, check_name
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.ova_url import check_url

PRESENT = "present"
ABSENT = "absent"
PARKED = "parked"
# Whether registries are asked for images that a template holds.
ALWAYS = "always"
MISSING = "missing"
# Whether the controller sends the OVA's disks to the host, or the host gets them itself.
PUSH = "push"
PULL = "pull"
DEFAULT_FOLDER = TEMPLATE_FOLDER

# What vSphere or Photon OS takes, at the least; memory of a VM comes in steps of 4 MiB.
_LEAST = {"cpus": 1, "memory_mb": 256, "memory_reservation_mb": 0, "disk_gb": 1, "timeout": 1}
_MEMORY_STEP = 4


@dataclass(frozen=True, kw_only=True)
class Request:
    """A template as the user asks for it. Empty text means not given; sizes of None are the source's.

    ``archives`` are paths on the controller, ``timeout`` is in seconds.
    """

    name: str
    state: str = PRESENT
    folder: str = DEFAULT_FOLDER
    datacenter: str = ""
    cluster: str = ""
    hosts: tuple[str, ...] = ()
    ova: str = ""
    url: str = ""
    checksum: str = ""
    transfer: str = PUSH
    vm: str = ""
    accept_eula: bool = False
    network: str = ""
    datastore: str = ""
    cpus: int | None = None
    memory_mb: int | None = None
    memory_reservation_mb: int | None = None
    disk_gb: int | None = None
    images: tuple[str, ...] = ()
    pull: str = ALWAYS
    archives: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    logins: tuple[Login, ...] = ()
    settings: SettingsRequest = field(default_factory=SettingsRequest)
    force: bool = False
    owner: str = ""
    timeout: int = 3600


def request_from(params: Mapping[str, Any]) -> Request:
    """Read photon_template's options; raises InvalidOption."""
    source = params["source"] or {}
    request = Request(
        name=check_name(params["name"]),
        state=params["state"],
        folder=params["folder"],
        datacenter=params["datacenter"] or "",
        cluster=params["cluster"] or "",
        hosts=tuple(params["hosts"] or ()),
        ova=source.get("ova") or "",
        url=check_url(source["url"].strip()) if source.get("url") else "",
        checksum=source.get("checksum") or "",
        transfer=source.get("transfer") or PUSH,
        vm=source.get("vm") or "",
        accept_eula=params["accept_eula"],
        network=params["network"] or "",
        datastore=params["datastore"] or "",
        cpus=params["cpus"],
        memory_mb=params["memory_mb"],
        memory_reservation_mb=params["memory_reservation_mb"],
        disk_gb=params["disk_gb"],
        images=check_images(params["images"] or ()),
        pull=params["pull"],
        archives=tuple(params["image_archives"] or ()),
        insecure_registries=tuple(params["insecure_registries"] or ()),
        logins=tuple(Login(**login) for login in params["registry_logins"] or ()),
        settings=read_settings(params),
        force=params["force"],
        owner=params["owner"],
        timeout=params["timeout"],
    )
    for option, least in _LEAST.items():
        _check_least(option, params[option], least)
    _check_memory(request)
    _check_filled(request, params)
    if params["force"] and request.state != ABSENT:
        raise InvalidOption(
            "Cannot use the option",
            obj="force",
            why=f"it removes containers, which state {request.state} never does",
            next_step="Leave it out, or set state to absent",
        )
    if request.transfer == PULL and not request.url:
        raise InvalidOption(
            "Cannot use the option",
            obj="source.transfer",
            why="a host gets an OVA by itself only from a web address",
            next_step="Give source.url and source.checksum, or leave it out",
        )
    _check_once("registry_logins", (login.server for login in request.logins))
    return request


def _check_least(option: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise InvalidOption(
            "Cannot use the option", obj=option, why=f"{value} is too little", next_step=f"Use at least {least}"
        )


def _check_memory(request: Request) -> None:
    if request.memory_mb and request.memory_mb % _MEMORY_STEP:
        raise InvalidOption(
            "Cannot use the option",
            obj="memory_mb",
            why=f"{request.memory_mb} is no multiple of {_MEMORY_STEP}, which a VM's memory has to be",
            next_step=f"Use {request.memory_mb - request.memory_mb % _MEMORY_STEP + _MEMORY_STEP}",
        )
    reservation = request.memory_reservation_mb
    if reservation and request.memory_mb and reservation > request.memory_mb:
        raise InvalidOption(
            "Cannot reserve",
            obj=f"{reservation} MiB",
            why=f"the template has {request.memory_mb} MiB of memory",
            next_step="Set memory_reservation_mb to at most memory_mb",
        )


def _check_filled(request: Request, params: Mapping[str, Any]) -> None:
    """Options that are given and empty: a variable that was meant to have a value."""
    lists = {
        "hosts": request.hosts,
        "image_archives": request.archives,
        "insecure_registries": request.insecure_registries,
    }
    blank = [option for option, values in lists.items() if any(not value.strip() for value in values)]
    if params["hosts"] is not None and not request.hosts:
        blank.append("hosts")
    if request.state == PRESENT:
        texts = {
            "source": request.ova or request.url or request.vm,
            "network": request.network,
            "datastore": request.datastore,
        }
        blank += [option for option, text in texts.items() if not text]
        if not request.cluster and not request.hosts:
            blank.append("cluster")
    if any(not (login.server and login.username and login.password) for login in request.logins):
        blank.append("registry_logins")
    if blank:
        raise InvalidOption("Cannot use the option", obj=blank[0], why="it is empty", next_step="Give it a value")


def _check_once(option: str, names: Iterable[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InvalidOption(
            "Cannot use the option", obj=option, why=f"'{twice[0]}' is in it twice", next_step="Name it once"
        )
