# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the user's names to vCenter's objects, and all that stands there. Reads only: three round trips."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.desired import Places
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.read import (
    DEFAULT_FOLDER,
    container_vms,
    in_words,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import Service
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.strays import whom_to_look_for
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.templates import TEMPLATE_FOLDER
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import Scope, read_scope
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import (
    find_by_uuid,
    find_datacenter,
    find_datastore,
    find_folder,
    find_folder_or_none,
    find_network,
    find_pool,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Datacenter, Folder, Network, Place
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

Refine = Callable[[tuple[Service, ...], Scope], tuple[Service, ...]]


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What stands, and the places that were named.

    ``folder`` is None where it is still to be made. ``services`` are those that are wanted. ``vms`` are container VMs,
    of whatever service; ``taken`` says, for each folder and name of a VM that is
    none of ours, what it is.
    """

    vcenter: str
    datacenter: Datacenter
    folder: Folder | None
    pool: Place | None
    datastore: Place | None
    networks: Mapping[str, Network]
    scope: Scope
    services: tuple[Service, ...]
    vms: tuple[ContainerVm, ...]
    taken: Mapping[tuple[str, str], str]


def survey(
    session: Session,
    *,
    services: Iterable[Service],
    places: Places,
    make_folder: bool = False,
    refine: Refine = lambda services, scope: services,
) -> Survey:
    """Find every place that is named, and read the folders of containers and of templates at once.

    Args:
        make_folder: a folder that does not exist is fine, as the default one always is.
        refine: the services as they are wanted in view of what stands.

    Raises: NotFound with close matches, Ambiguous.
    """
    wanted = tuple(services)
    datacenter = find_datacenter(session, places.datacenter)
    names = sorted({str(name) for one in wanted if one.spec and (name := one.spec.options.get("network"))})
    optional = make_folder or places.folder == DEFAULT_FOLDER
    folder_of = find_folder_or_none if optional else find_folder
    template_folder_of = find_folder_or_none if places.template_folder == TEMPLATE_FOLDER else find_folder
    folder, template_folder, pool, datastore, *networks = session.in_parallel(
        _call,
        [
            lambda: folder_of(session, datacenter=datacenter, path=places.folder),
            lambda: template_folder_of(session, datacenter=datacenter, path=places.template_folder),
            lambda: _named(find_pool, session, datacenter, places.resource_pool),
            lambda: _named(find_datastore, session, datacenter, places.datastore),
            *(lambda name=name: find_network(session, datacenter=datacenter, path=name) for name in names),
        ],
    )
    folders = [one for one in dict.fromkeys((folder, template_folder)) if one is not None]
    scope = read_scope(session, folders=folders, datastores=[datastore.moid] if datastore else (), recursive=False)
    found = container_vms(scope)
    wanted = refine(wanted, scope)
    vms = (*found.ours, *_strays(session, wanted, found.ours))
    return Survey(
        vcenter=session.instance_uuid,
        datacenter=datacenter,
        folder=folder,
        pool=pool,
        datastore=datastore,
        networks=dict(zip(names, networks, strict=True)),
        scope=scope,
        services=wanted,
        vms=vms,
        taken={(one.folder or "", one.name): in_words(one) for one in found.others},
    )


def _call(find: Any) -> Any:
    return find()


def _named(find: Callable[..., Place], session: Session, datacenter: Datacenter, path: str) -> Place | None:
    return find(session, datacenter=datacenter, path=path) if path else None


def _strays(
    session: Session, services: tuple[Service, ...], standing: tuple[ContainerVm, ...]
) -> tuple[ContainerVm, ...]:
    """Container VMs of these services that someone moved out of the folder: known by the uuid that they must have."""
    here = {vm.moid for vm in standing}
    found: dict[str, ContainerVm] = {}
    for uuids in whom_to_look_for(services, standing, vcenter=session.instance_uuid):
        moids = [moid for vms in find_by_uuid(session, uuids).values() for moid in vms if moid not in here]
        if not moids:
            break
        scope = read_scope(session, vms=[moid for moid in moids if moid not in found])
        found |= {vm.moid: vm for vm in container_vms(scope).ours}
    return tuple(found.values())
