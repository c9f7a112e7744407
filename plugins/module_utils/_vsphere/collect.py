# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many objects' properties in one call of the PropertyCollector."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explain, explaining, is_fault
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim, vmodl
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

PAGE = 500  # objects in one answer; the rest follows by token


@dataclass(frozen=True, kw_only=True)
class Read:
    """One object as it was read: only the properties that it has."""

    kind: str
    moid: str
    managed: Any = field(repr=False, compare=False)
    values: Mapping[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        return self.values.get(name, default)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One way from an object to others: ``steps`` are the names of the ways that go on from there."""

    name: str
    kind: str
    path: str
    steps: tuple[str, ...] = ()


# The ways that this collection goes. A name may be used before it is reached.
WAYS = {
    step.name: step
    for step in (
        Step(name="folder", kind="Folder", path="childEntity", steps=("folder", "vm_host", "vm_datastore")),
        Step(name="subfolder", kind="Folder", path="childEntity", steps=("subfolder",)),
        Step(name="members", kind="Folder", path="childEntity", steps=("vm_host", "vm_datastore")),
        Step(name="vm_host", kind="VirtualMachine", path="runtime.host"),
        Step(name="vm_datastore", kind="VirtualMachine", path="datastore"),
        Step(name="compute_host", kind="ComputeResource", path="host", steps=("host_datastore",)),
        Step(name="host_datastore", kind="HostSystem", path="datastore"),
        Step(name="host_vm", kind="HostSystem", path="vm"),
        Step(name="pool_pool", kind="ResourcePool", path="resourcePool", steps=("pool_pool",)),
        Step(name="compute_pool", kind="ComputeResource", path="resourcePool", steps=("pool_pool",)),
        Step(name="portgroup_switch", kind="dvs.DistributedVirtualPortgroup", path="config.distributedVirtualSwitch"),
        Step(name="datacenter_network", kind="Datacenter", path="network"),
        Step(name="datacenter_datastore", kind="Datacenter", path="datastore"),
        Step(name="datacenter_vms", kind="Datacenter", path="vmFolder", steps=("subfolder",)),
        Step(
            name="datacenter_hosts",
            kind="Datacenter",
            path="hostFolder",
            steps=("compute_folder", "compute_host_only", "compute_pool"),
        ),
        Step(
            name="compute_folder",
            kind="Folder",
            path="childEntity",
            steps=("compute_folder", "compute_host_only", "compute_pool"),
        ),
        Step(name="compute_host_only", kind="ComputeResource", path="host"),
        Step(name="datastore_vm", kind="Datastore", path="vm"),
        Step(name="recent_task", kind="TaskManager", path="recentTask"),
    )
}


def managed_type(kind: str) -> Any:
    """pyVmomi's class for ``VirtualMachine`` or ``dvs.VmwareDistributedVirtualSwitch``."""
    found: Any = vim
    for part in kind.split("."):
        found = getattr(found, part)
    return found


def read(
    session: Session,
    *,
    start: Mapping[Any, Iterable[str]] | Sequence[tuple[Any, Iterable[str]]],
    properties: Mapping[str, Sequence[str]],
    what: str,
    skip_start: bool = False,
    gone_ok: bool = False,
) -> Iterator[Read]:
    """Every object that is reached, once, with the properties asked of its type.

    A property that the user may not see fails the read: without it a VM of
    ours would look like somebody else's, and a host in service like one that is not.

    Args:
        start: managed objects with the names of the ways (in ``WAYS``) that
            lead on from each. An object that is gone meanwhile fails the read.
        properties: property paths by type; types that are not named are not returned.
        skip_start: leave the objects of ``start`` themselves out.
        gone_ok: leave out those that are gone, instead of failing.

    Raises: what ``faults`` tells, with ``what`` as its first words.
    """
    pairs = list(start.items() if isinstance(start, Mapping) else start)
    if not pairs:
        return
    collector = session.content.propertyCollector
    spec = filter_spec(pairs, properties, skip_start=skip_start, gone_ok=gone_ok)
    with explaining(what):
        page = collector.RetrievePropertiesEx([spec], vmodl.query.PropertyCollector.RetrieveOptions(maxObjects=PAGE))
        seen: set[str] = set()
        while page is not None:
            for found in page.objects:
                moid = found.obj._moId
                if moid in seen:
                    continue
                seen.add(moid)
                _check_rights(found, what)
                yield Read(
                    kind=type(found.obj).__name__.rpartition(".")[2],
                    moid=moid,
                    managed=found.obj,
                    values={changed.name: changed.val for changed in found.propSet or []},
                )
            page = collector.ContinueRetrievePropertiesEx(page.token) if page.token else None


def _check_rights(found: Any, what: str) -> None:
    """vCenter tells of a session that has ended, or a right that is missing, property by property."""
    for missing in found.missingSet or ():
        if is_fault(missing.fault, "NoPermission"):
            raise explain(missing.fault, what=what)


def filter_spec(
    pairs: Iterable[tuple[Any, Iterable[str]]],
    properties: Mapping[str, Sequence[str]],
    *,
    skip_start: bool = False,
    gone_ok: bool = False,
) -> Any:
    """The FilterSpec of a read. Each start names all the ways it needs, directly and further on."""
    collector = vmodl.query.PropertyCollector
    return collector.FilterSpec(
        propSet=[
            collector.PropertySpec(type=managed_type(kind), pathSet=list(paths), all=False)
            for kind, paths in properties.items()
        ],
        objectSet=[
            collector.ObjectSpec(obj=managed, skip=skip_start, selectSet=_select_set(tuple(ways)))
            for managed, ways in pairs
        ],
        reportMissingObjectsInResults=gone_ok,
    )


def _select_set(first: tuple[str, ...]) -> list[Any]:
    """Traversal specs of these ways and of all that they lead to; each is defined once and named elsewhere."""
    needed: dict[str, Step] = {}
    pending = list(first)
    while pending:
        step = WAYS[pending.pop(0)]
        if step.name not in needed:
            needed[step.name] = step
            pending.extend(step.steps)
    collector = vmodl.query.PropertyCollector
    return [
        collector.TraversalSpec(
            name=step.name,
            type=managed_type(step.kind),
            path=step.path,
            skip=False,
            selectSet=[collector.SelectionSpec(name=name) for name in step.steps],
        )
        for step in needed.values()
    ]


def is_gone(error: BaseException | None) -> bool:
    """Whether an error's cause is that an object does not exist any more."""
    return error is not None and is_fault(error.__cause__ or error, "ManagedObjectNotFound")
