# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A service's one network: its port group, its addresses, and the names by which others find it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.options import DETERMINISTIC
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import Problems, wrong
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.tree import Mark, Tree
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate import extension
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.honour import honoured
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.support import SERVICE

_DEFAULT = "default"


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """Options of the VM's network, and further names of the service."""

    options: Mapping[str, Any]
    aliases: tuple[str, ...]


def attach(
    name: str,
    service: Tree,
    own: Mapping[str, Any],
    top: Mapping[str, Any],
    networks: Mapping[str, Tree],
    *,
    replicas: int | None,
    problems: Problems,
) -> Attachment:
    """Read a service's network.

    Args:
        own: the service's ``x-bonneville``; it has precedence over its network's, and that over ``top``, the file's.
        networks: the top-level networks.
    """
    attached = service.get("networks")
    chosen = _choose(name, service, attached, networks, problems) if attached else _DEFAULT
    network = networks.get(chosen)
    its: dict[str, Any] = {}
    if network is not None:
        kept = honoured(network, "network", chosen, problems)
        its = extension.read(kept, "network", chosen, problems)
        if kept.get("external"):
            its.setdefault("network", str(kept.get("name") or chosen))
    inner = attached.get(chosen) if attached else None
    options = {key: value for source in (top, its, own) for key, value in source.items() if key in _OPTIONS}
    if "ip_address" not in options:
        # With DHCP the gateway comes by DHCP; only a service that names one itself cannot mean that.
        options.pop("gateway", None)
        if "gateway" in own:
            problems.add(
                wrong(
                    "x-bonneville.gateway",
                    name,
                    _where(service),
                    "with DHCP the gateway comes by DHCP",
                    "Add ip_address",
                )
            )
    options |= _mac(name, service, inner if isinstance(inner, Tree) else None, own, problems)
    for key in ("ip_address", "mac_address"):
        if (replicas or 0) > 1 and options.get(key, DETERMINISTIC) != DETERMINISTIC:
            why = f"{replicas} replicas cannot share {options[key]}"
            problems.add(wrong(key, name, _where(service), why, "Leave it out, or make a service of each container"))
    aliases = list(inner.get("aliases") or ()) if isinstance(inner, Tree) else []
    if service.get("container_name"):
        aliases.append(service["container_name"])
    return Attachment(options=options, aliases=tuple(dict.fromkeys(alias for alias in aliases if alias != name)))


_OPTIONS = frozenset({"network", "ip_address", "gateway", "dns", "dns_search", "mac_address"})


def _choose(name: str, service: Tree, attached: Any, networks: Mapping[str, Tree], problems: Problems) -> str:
    """The one network: the first that names a port group, or else simply the first."""
    mark = service.where("networks")
    if "network_mode" in service:
        problems.add(wrong("network_mode", name, service.where("network_mode"), "networks excludes it", "Keep one"))
    for network in attached:
        if network != _DEFAULT and network not in networks:
            problems.add(
                wrong(
                    "networks", name, attached.where(network), f"there is no '{network}' among the file's networks",
                    "Add it to the top-level networks",
                )
            )  # fmt: skip
    ordered = sorted(attached, key=lambda network: -float((attached[network] or {}).get("priority") or 0))
    if len(ordered) > 1:
        entry = SERVICE["networks"]
        problems.refuse("networks", "service", name, mark, f"{', '.join(ordered)}: {entry.why}", entry.instead)
    tops: Mapping[str, Mapping[str, Any]] = networks
    named = [one for one in ordered if tops.get(one, {}).get("external") or extension.NAME in tops.get(one, {})]
    return str(next(iter([*named, *ordered])))


def _mac(name: str, service: Tree, inner: Tree | None, own: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """The MAC address, which may be written in three places that must not differ."""
    written = [own.get("mac_address"), service.get("mac_address"), inner.get("mac_address") if inner else None]
    given = list(dict.fromkeys(str(one) for one in written if one))
    if len(given) > 1:
        problems.add(wrong("mac_address", name, _where(service), f"{' and '.join(given)} differ", "Keep one"))
    return {"mac_address": given[0]} if given else {}


def _where(service: Tree) -> Mark:
    return service.where(extension.NAME)
