# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the user's names to vCenter's objects: one call each, and help with a name that does not fit."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    Ambiguous,
    InUse,
    InvalidOption,
    NotFound,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.collect import Read, read
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explaining
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import (
    HOST_PROPERTIES,
    HostFacts,
    folder_paths,
    host_facts,
    moid_of,
    moids_of,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import (
    Compute,
    Datacenter,
    Folder,
    Network,
    Place,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

_LISTED = 12  # names told when none is close
COMPUTE_PROPERTIES = ("name", "resourcePool", "host")


def find_datacenter(session: Session, name: str = "") -> Datacenter:
    """A datacenter by name or path; without a name the only one there is. Raises: NotFound, Ambiguous."""
    name = clean_path(name)
    found: Any = _by_path(session, name) if name else None
    if _kind(found) == "Datacenter":
        return Datacenter(moid=found._moId, name=name.rpartition("/")[2], path=name)
    root = session.content.rootFolder
    everything = list(
        read(
            session,
            start=[(root, ("subfolder",))],
            properties={"Datacenter": ("name", "parent"), "Folder": ("name", "parent")},
            what="Cannot list datacenters",
        )
    )
    paths = folder_paths((one for one in everything if one.kind == "Folder"), {moid_of(root): ""})
    centers = {
        f"{paths.get(moid_of(one.get('parent')), '')}/{one.get('name')}".strip("/"): one
        for one in everything
        if one.kind == "Datacenter"
    }
    fitting = [path for path in centers if not name or path.rpartition("/")[2] == name]
    if len(fitting) > 1:
        raise Ambiguous(
            "Cannot tell which datacenter is meant",
            obj=name,
            why=f"there are {', '.join(sorted(fitting))}",
            next_step="Name one by its path in datacenter",
        )
    if not fitting:
        raise unknown("datacenter", name, centers)
    return Datacenter(moid=centers[fitting[0]].moid, name=fitting[0].rpartition("/")[2], path=fitting[0])


def find_folder_or_none(session: Session, *, datacenter: Datacenter, path: str) -> Folder | None:
    """A VM folder by its path below the datacenter's VM folder (the empty path is that folder), or None."""
    clean = clean_path(path)
    found = _by_path(session, f"{datacenter.path}/vm/{clean}".rstrip("/"))
    return Folder(moid=found._moId, path=clean) if _kind(found) == "Folder" else None


def find_folder(session: Session, *, datacenter: Datacenter, path: str) -> Folder:
    """As :func:`find_folder_or_none`; raises NotFound with close matches."""
    found = find_folder_or_none(session, datacenter=datacenter, path=path)
    if found is None:
        raise unknown("folder", path, _vm_folders(session, datacenter), where=datacenter.name)
    return found


def ensure_folder(session: Session, *, datacenter: Datacenter, path: str) -> Folder:
    """The folder, made with those above it where they are missing. Someone else making it meanwhile is fine."""
    found = find_folder_or_none(session, datacenter=datacenter, path=path)
    if found is not None:
        return found
    above, _unused, name = clean_path(path).rpartition("/")
    parent = ensure_folder(session, datacenter=datacenter, path=above) if name else None
    if parent is None:
        raise NotFound("Cannot find the VM folder of the datacenter", obj=datacenter.name, next_step="Check privileges")
    try:
        with explaining("Cannot create the folder", obj=path):
            made = session.managed("Folder", parent.moid).CreateFolder(name)
            return Folder(moid=made._moId, path=clean_path(path))
    except InUse:
        found = find_folder_or_none(session, datacenter=datacenter, path=path)
        if found is None:  # a VM has the name
            raise
        return found


def find_network(session: Session, *, datacenter: Datacenter, path: str) -> Network:
    """A network by its name, or its path below the network folder. A distributed port group costs a second call.

    Raises: NotFound, Ambiguous.
    """
    found = _find(
        session,
        datacenter=datacenter,
        word="network",
        path=path,
        folder="network",
        kinds=("Network", "DistributedVirtualPortgroup", "OpaqueNetwork"),
        way="datacenter_network",
    )
    kind = _kind(found)
    name = clean_path(path).rpartition("/")[2]
    if kind == "Network":
        return Network(moid=found._moId, name=name, kind="standard")
    seen = {
        one.kind: one
        for one in read(
            session,
            start=[(found, ("portgroup_switch",))],
            properties={
                "dvs.DistributedVirtualPortgroup": ("key",),
                "DistributedVirtualSwitch": ("uuid",),
                "OpaqueNetwork": ("summary",),
            },
            what=f"Cannot read the network '{path}'",
        )
    }
    if kind == "OpaqueNetwork":
        summary = seen[kind].get("summary")
        return Network(
            moid=found._moId,
            name=name,
            kind="opaque",
            opaque_id=str(summary.opaqueNetworkId),
            opaque_type=str(summary.opaqueNetworkType),
        )
    switch = next((str(one.get("uuid")) for one in seen.values() if one.get("uuid")), "")
    return Network(
        moid=found._moId,
        name=name,
        kind="distributed",
        portgroup_key=str(seen[kind].get("key", "")),
        switch_uuid=switch,
    )


def find_datastore(session: Session, *, datacenter: Datacenter, path: str) -> Place:
    """A datastore by its name, or its path below the datastore folder. Raises: NotFound, Ambiguous."""
    found = _find(
        session,
        datacenter=datacenter,
        word="datastore",
        path=path,
        folder="datastore",
        kinds=("Datastore",),
        way="datacenter_datastore",
    )
    return Place(kind="Datastore", moid=found._moId, name=clean_path(path).rpartition("/")[2])


def find_compute(session: Session, *, datacenter: Datacenter, path: str) -> Compute:
    """A cluster or a host that stands alone, by its name or its path below the host folder: two calls.

    Raises: NotFound, Ambiguous.
    """
    found = _find(
        session,
        datacenter=datacenter,
        word="cluster",
        path=path,
        folder="host",
        kinds=("ComputeResource", "ClusterComputeResource"),
        way="datacenter_hosts",
    )
    properties = {"ComputeResource": COMPUTE_PROPERTIES}
    (one,) = read(session, start=[(found, ())], properties=properties, what=f"Cannot read the cluster '{path}'")
    return _compute(one)


def find_pool(session: Session, *, datacenter: Datacenter, path: str) -> Place:
    """A resource pool as ``CLUSTER/POOL``; a cluster alone means its root pool. Raises: NotFound."""
    clean = clean_path(path)
    for tried in (f"{clean}/Resources", clean, clean.replace("/", "/Resources/", 1)):
        found = _by_path(session, f"{datacenter.path}/host/{tried}")
        if _kind(found) in ("ResourcePool", "VirtualApp"):
            return Place(kind="ResourcePool", moid=found._moId, name=path)
    pools = _pools(session, datacenter)
    fitting = [moid for moid, known in pools.items() if known == clean]
    if len(fitting) == 1:
        return Place(kind="ResourcePool", moid=fitting[0], name=path)
    if fitting:
        raise _several("resource pool", path, len(fitting), "Name it with the folders of its cluster")
    raise unknown("resource pool", path, pools.values(), where=datacenter.name)


def find_hosts(
    session: Session, *, datacenter: Datacenter, names: Iterable[str]
) -> tuple[tuple[HostFacts, ...], dict[str, Compute]]:
    """ESXi hosts by their names in vCenter, short or full, and the compute resources they belong to, by moid.

    One call for all. Raises: NotFound, Ambiguous.
    """
    found = list(
        read(
            session,
            start=[(session.managed("Datacenter", datacenter.moid), ("datacenter_hosts",))],
            properties={"HostSystem": HOST_PROPERTIES, "ComputeResource": COMPUTE_PROPERTIES},
            what="Cannot list hosts",
        )
    )
    known = [host_facts(one) for one in found if one.kind == "HostSystem"]
    chosen: dict[str, HostFacts] = {}
    for name in names:
        fitting = [host for host in known if host.name == name] or [
            host for host in known if host.name.partition(".")[0] == name
        ]
        if not fitting:
            raise unknown("host", name, [host.name for host in known], where=datacenter.name)
        if len(fitting) > 1:
            raise Ambiguous(
                "Cannot tell which host is meant",
                obj=name,
                why=f"there are {', '.join(sorted(host.name for host in fitting))}",
                next_step="Give the full name",
            )
        chosen[fitting[0].moid] = fitting[0]
    wanted = {host.compute for host in chosen.values()}
    return tuple(chosen.values()), {one.moid: _compute(one) for one in found if one.moid in wanted}


def find_vm(session: Session, *, datacenter: Datacenter, path: str) -> str:
    """The moid of a VM by its path below the VM folder, or by its name alone. Raises: NotFound, Ambiguous."""
    found = _find(
        session,
        datacenter=datacenter,
        word="VM",
        path=path,
        folder="vm",
        kinds=("VirtualMachine",),
        way="datacenter_vms",
    )
    return str(found._moId)


def find_by_uuid(session: Session, uuids: Iterable[str], *, instance: bool = False) -> dict[str, tuple[str, ...]]:
    """The moids of VMs by BIOS uuid, or by instance uuid; one call each, side by side. Unknown ones have none."""
    wanted = list(dict.fromkeys(uuids))
    index = session.content.searchIndex

    def find(uuid: str) -> tuple[str, ...]:
        with explaining("Cannot look for the VM with uuid", obj=uuid):
            return moids_of(index.FindAllByUuid(None, uuid, True, instance))

    return dict(zip(wanted, session.in_parallel(find, wanted), strict=True))


def clean_path(path: str) -> str:
    """A path without slashes around it; ``%2f`` stands for a slash inside a name. Raises: InvalidOption."""
    parts = [part.strip() for part in path.strip().strip("/").split("/")]
    if any(part in ("", ".", "..") for part in parts) and parts != [""]:
        raise InvalidOption(
            "Cannot use the path", obj=path, why="a part of it is empty or a dot", next_step="Write a/b/c"
        )
    return "/".join(parts)


def unknown(kind: str, name: str, known: Iterable[str], *, where: str = "") -> NotFound:
    """The error for a name that nothing has, with the names that are close to it, or else some that there are."""
    names = sorted(set(known))
    lower = {one.casefold(): one for one in names}
    close = [lower[one] for one in difflib.get_close_matches(name.casefold(), lower, n=3, cutoff=0.6)]
    if close:
        next_step = f"Perhaps {' or '.join(repr(one) for one in close)} is meant"
    elif names:
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        next_step = f"There are {', '.join(repr(one) for one in names[:_LISTED])}{more}"
    else:
        next_step = "There is none at all that this user may see"
    place = "there is none" + (" of this name" if name else "") + (f" in {where}" if where else "")
    return NotFound(
        f"Cannot find the {kind}", obj=name, why=place, next_step=next_step, details={"close_matches": close}
    )


def _by_path(session: Session, path: str) -> Any:
    with explaining("Cannot look for", obj=path):
        return session.content.searchIndex.FindByInventoryPath(path)


def _compute(one: Read) -> Compute:
    return Compute(
        kind=one.kind,
        moid=one.moid,
        name=str(one.get("name")),
        pool=moid_of(one.get("resourcePool")),
        hosts=moids_of(one.get("host")),
    )


def _kind(managed: Any) -> str:
    return type(managed).__name__.rpartition(".")[2]


def _find(
    session: Session, *, datacenter: Datacenter, word: str, path: str, folder: str, kinds: tuple[str, ...], way: str
) -> Any:
    """An object by its path below one of the datacenter's folders, or by its name alone wherever it lies.

    ``kinds`` are its possible types, the first one the base of them all.
    """
    clean = clean_path(path)
    found = _by_path(session, f"{datacenter.path}/{folder}/{clean}")
    if _kind(found) in kinds:
        return found
    start = [(session.managed("Datacenter", datacenter.moid), (way,))]
    known = list(read(session, start=start, properties={kinds[0]: ("name",)}, what=f"Cannot list each {word}"))
    fitting = [one for one in known if one.get("name") == clean]
    if len(fitting) > 1:
        raise _several(word, path, len(fitting), "Name it with its folder, as folder/name")
    if not fitting:
        raise unknown(word, path, [str(one.get("name")) for one in known], where=datacenter.name)
    return fitting[0].managed


def _several(word: str, path: str, count: int, next_step: str) -> Ambiguous:
    why = f"{count} folders have one of this name"
    return Ambiguous(f"Cannot tell which {word} is meant", obj=path, why=why, next_step=next_step)


def _vm_folders(session: Session, datacenter: Datacenter) -> list[str]:
    start = [(session.managed("Datacenter", datacenter.moid), ("datacenter_vms",))]
    found = list(read(session, start=start, properties={"Folder": ("name", "parent")}, what="Cannot list the folders"))
    roots = {one.moid: "" for one in found if moid_of(one.get("parent")) == datacenter.moid}
    return [path for path in folder_paths(found, roots).values() if path]


def _pools(session: Session, datacenter: Datacenter) -> dict[str, str]:
    """Pools as the user writes them, by moid: the cluster's name, then pools without the root's own name."""
    start = [(session.managed("Datacenter", datacenter.moid), ("datacenter_hosts",))]
    properties = {"ResourcePool": ("name", "parent"), "ComputeResource": ("name",)}
    found = list(read(session, start=start, properties=properties, what="Cannot list resource pools"))
    tops = {one.moid: str(one.get("name")) for one in found if one.kind.endswith("ComputeResource")}
    roots = {one.moid: tops[moid_of(one.get("parent"))] for one in found if moid_of(one.get("parent")) in tops}
    return folder_paths((one for one in found if one.moid not in tops and one.moid not in roots), roots)
