# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the user's words to vCenter's objects: what a run on a template works with. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption, TemplateUnusable
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.settings import Settings
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.actual import (
    OFF,
    Host,
    TemplateVm,
    labels,
    vm_from,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.archive import check_archive, read_archive
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.desired import (
    ALWAYS,
    DEFAULT_FOLDER,
    PRESENT,
    Request,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.digests import pinned
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.registry import Told, ask
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.settings import load, registry_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import Archive, Source, TemplateSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import (
    HostFacts,
    Scope,
    VmFacts,
    read_scope,
    read_vms,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import (
    find_by_uuid,
    find_compute,
    find_datacenter,
    find_datastore,
    find_folder,
    find_folder_or_none,
    find_hosts,
    find_network,
    find_vm,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.ova import Ova, read_ova
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.ova_url import (
    Checksum,
    open_ova,
    read_checksum,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import (
    Compute,
    Datacenter,
    Folder,
    Network,
    Place,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What stands. ``foreign`` are names of VMs in the folder that are not ours.

    ``folder`` is None where it is still to be made. ``facts`` and ``pools`` (the
    root resource pool) are by a host's managed object id. ``cluster`` is one as
    well, empty where single hosts are named; ``clusters`` are those of the hosts.
    """

    datacenter: Datacenter
    folder: Folder | None
    hosts: tuple[Host, ...]
    vms: tuple[TemplateVm, ...]
    foreign: tuple[str, ...]
    facts: Mapping[str, HostFacts] = field(default_factory=dict, repr=False)
    pools: Mapping[str, str] = field(default_factory=dict)
    cluster: str = ""
    clusters: tuple[Place, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What the controller itself has to offer, and what registries told it.

    An OVA at a web address has its ``checksum`` here, and is opened when it is needed.
    """

    ova: Ova | None = None
    checksum: Checksum | None = None
    archives: tuple[Archive, ...] = ()
    settings: Settings = field(default_factory=Settings)
    registry: Told = field(default_factory=Told)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to stand, resolved. ``source_vm`` is there where the source is no OVA."""

    spec: TemplateSpec
    network: Network
    datastore: Place
    sources: Sources
    source_vm: VmFacts | None = None


def read_sources(request: Request) -> Sources:
    """Read the OVA, which needs its EULA accepted, image archives and files, and ask the registries.

    Needs no vCenter to find them wanting.
    """
    if request.state != PRESENT:
        return Sources()
    archives = {archive.sha256: archive for archive in map(read_archive, request.archives)}
    registries = {*map(registry_of, request.images), *(login.server for login in request.logins)}
    settings = load(request.settings, registries)
    ova = _accepted(read_ova(request.ova), request) if request.ova else None
    checksum = read_checksum(request.checksum, url=request.url) if request.url else None
    told = Told()
    if request.pull == ALWAYS:
        told = ask(request.images, settings=settings, insecure=request.insecure_registries, logins=request.logins)
    return Sources(ova=ova, checksum=checksum, archives=tuple(archives.values()), settings=settings, registry=told)


def _accepted(ova: Ova, request: Request) -> Ova:
    if ova.eulas and not request.accept_eula:
        raise InvalidOption(
            "Cannot use the OVA",
            obj=ova.path,
            why=f"its end user license agreement is not accepted: {_shortened(ova.eulas[0])}",
            next_step="Read it, and set accept_eula to true",
            details={"eulas": list(ova.eulas)},
        )
    return ova


def survey(session: Session, request: Request) -> Survey:
    """Find the places that the request names and read all template VMs and hosts, in one scoped read.

    Raises NotFound with close matches, Ambiguous, TemplateUnusable when a host that has to work is out of service.
    """
    datacenter = find_datacenter(session, request.datacenter)
    find = find_folder_or_none if request.folder == DEFAULT_FOLDER else find_folder
    folder = find(session, datacenter=datacenter, path=request.folder)
    wanted: frozenset[str] = frozenset()
    computes: dict[str, Compute] = {}
    if request.cluster:
        compute = find_compute(session, datacenter=datacenter, path=request.cluster)
        computes, wanted = {compute.moid: compute}, frozenset(compute.hosts)
    elif request.hosts:
        chosen, computes = find_hosts(session, datacenter=datacenter, names=request.hosts)
        wanted = frozenset(host.moid for host in chosen)
    scope = read_scope(
        session,
        folders=[folder] if folder else [],
        computes=computes.values() if request.cluster else (),
        hosts=wanted if request.hosts else (),
        recursive=False,
    )
    facts = {moid: scope.hosts[moid] for moid in wanted}
    short = labels(host.name for host in facts.values())
    hosts = tuple(
        Host(moid=host.moid, name=host.name, label=short[host.name], trouble=host.trouble)
        for host in sorted(facts.values(), key=lambda host: host.name)
    )
    if request.state == PRESENT:
        _check_in_service(hosts, named=bool(request.hosts), cluster=request.cluster)
    vms, foreign = template_vms(scope)
    return Survey(
        datacenter=datacenter,
        folder=folder,
        hosts=hosts,
        vms=vms,
        foreign=foreign,
        facts=facts,
        pools={host.moid: computes[host.compute].pool for host in facts.values()},
        cluster=next(iter(computes)) if request.cluster else "",
        clusters=tuple(
            Place(kind=one.kind, moid=one.moid, name=one.name)
            for one in computes.values()
            if one.kind == "ClusterComputeResource"
        ),
    )


def read_again(session: Session, seen: Survey, folder: Folder) -> Survey:
    """What stands after the work: one scoped read, the places known."""
    scope = read_scope(session, folders=[folder], hosts=seen.facts, recursive=False)
    vms, foreign = template_vms(scope)
    here = {vm.moid for vm in vms}
    vms += _astray(session, [vm.moid for vm in seen.vms if vm.astray and vm.moid not in here], facts=seen.facts)
    hosts = tuple(replace(host, trouble=scope.hosts[host.moid].trouble) for host in seen.hosts)
    return replace(seen, folder=folder, vms=vms, foreign=foreign, hosts=hosts)


def with_strays(
    session: Session, seen: Survey, missing: Iterable[Host], *, spec: TemplateSpec, folder: str, sequence: int
) -> Survey:
    """What stands, with those template VMs of these hosts that someone moved to another folder.

    Each host costs a call, side by side, and what is found one more. ``folder`` is the template's path.
    """
    lacking = [(host.moid, spec.generation, sequence) for host in missing]
    return _with_found(session, seen, lacking, template=spec.name, folder=folder)


def with_siblings(session: Session, seen: Survey, *, template: str, besides: str = "") -> Survey:
    """What stands, with what someone moved to another folder of those generations that have a VM in the template's.

    Each VM tells for which hosts its generation was. No call is made while none of them lacks its VM. ``besides``
    is a generation that is not looked for.
    """
    if seen.folder is None:
        return seen
    mine = [vm.marks for vm in seen.vms if vm.marks.template == template and not vm.trial]
    mine = [one for one in mine if one.generation != besides]
    there = {(one.host, one.generation, one.sequence) for one in mine}
    asked = {host.moid for host in seen.hosts}
    lacking = {
        (host, one.generation, one.sequence)
        for one in mine
        for host in one.hosts
        if not asked or host in asked
    } - there  # fmt: skip
    return _with_found(session, seen, sorted(lacking), template=template, folder=seen.folder.path)


def _with_found(
    session: Session, seen: Survey, lacking: Iterable[tuple[str, str, int]], *, template: str, folder: str
) -> Survey:
    """What stands, with what is found of a template's VMs by host, generation and sequence."""
    uuids = [
        marks_of.bios_uuid(
            vcenter=session.instance_uuid,
            folder=folder,
            template=template,
            host=host,
            generation=generation,
            sequence=sequence,
        )
        for host, generation, sequence in lacking
    ]
    moids = [moid for found in find_by_uuid(session, uuids).values() for moid in found]
    strays = _astray(session, moids, facts=seen.facts)
    return replace(seen, vms=(*seen.vms, *(vm for vm in strays if vm.marks.template == template)))


def _astray(session: Session, moids: Iterable[str], *, facts: Mapping[str, HostFacts]) -> tuple[TemplateVm, ...]:
    """Of these VMs outside of the folder, those with genuine template marks."""
    vms = read_vms(session, moids).values()
    unknown = {vm.host for vm in vms} - facts.keys()
    hosts = {**facts, **(read_scope(session, hosts=unknown).hosts if unknown else {})}
    found = [as_template_vm(vm, host_name=hosts[vm.host].name if vm.host in hosts else vm.host) for vm in vms]
    return tuple(replace(vm, astray=True) for vm in found if vm)


def resolve(session: Session, request: Request, *, sources: Sources, seen: Survey) -> Wanted:
    """The spec, with every name in it known to be one of this datacenter. Raises NotFound, InvalidOption."""
    network = find_network(session, datacenter=seen.datacenter, path=request.network)
    datastore = find_datastore(session, datacenter=seen.datacenter, path=request.datastore)
    source_vm = _source_vm(session, request, seen.datacenter) if request.vm else None
    if source_vm:
        source = Source(kind="vm", path=request.vm, fingerprint=source_vm.instance_uuid)
    elif sources.checksum:
        source = Source(kind="ova", path=request.url, fingerprint=sources.checksum.fingerprint)
    else:
        source = Source(kind="ova", path=request.ova, fingerprint=sources.ova.fingerprint if sources.ova else "")
    spec = TemplateSpec(
        name=request.name,
        source=source,
        network=network.name,
        datastore=datastore.name,
        cpus=request.cpus,
        memory_mb=request.memory_mb,
        memory_reservation_mb=request.memory_reservation_mb,
        disk_gb=request.disk_gb,
        images=request.images,
        archives=sources.archives,
        insecure_registries=tuple(sorted(set(request.insecure_registries))),
        bridge_cidr=request.settings.bridge_cidr,
        settings=sources.settings,
    )
    spec = pinned(spec, seen.vms, sources.registry.digests)
    return Wanted(spec=spec, network=network, datastore=datastore, sources=sources, source_vm=source_vm)


def template_vms(scope: Scope) -> tuple[tuple[TemplateVm, ...], tuple[str, ...]]:
    """Of the VMs that were read, those with genuine template marks, and the names of all others."""
    found: list[TemplateVm] = []
    others: list[str] = []
    for facts in scope.vms:
        host = scope.hosts.get(facts.host)
        vm = as_template_vm(
            facts, host_name=scope.host_name(facts.host), host_trouble=host.trouble if host else "its host is unknown"
        )
        if vm:
            found.append(vm)
        else:
            others.append(facts.name)
    return tuple(found), tuple(others)


def as_template_vm(facts: VmFacts, *, host_name: str, host_trouble: str = "") -> TemplateVm | None:
    return vm_from(
        moid=facts.moid,
        name=facts.name,
        host=facts.host,
        host_name=host_name,
        host_trouble=host_trouble,
        power=facts.power,
        frozen=facts.frozen,
        instance_uuid=facts.instance_uuid,
        bios_uuid=facts.bios_uuid,
        directory=facts.vmx_path.rpartition("/")[0],
        datastores=facts.datastores,
        extra_config=facts.extra_config,
    )


def open_sources(request: Request, wanted: Wanted) -> Wanted:
    """Before the first VM is made: an OVA at a web address is there, archives are whole, and a VM that is copied is
    off, its disk in no one's use.
    """
    for archive in wanted.sources.archives:
        check_archive(archive)
    vm = wanted.source_vm
    if vm and not vm.is_template and vm.power != OFF:
        raise InvalidOption(
            "Cannot make a template of the VM",
            obj=wanted.spec.source.path,
            why=f"it is {vm.power}",
            next_step="Shut it down first, or convert it to a vSphere template",
            details={"vm": vm.name, "moid": vm.moid},
        )
    if not wanted.sources.checksum:
        return wanted
    ova = _accepted(open_ova(request.url, wanted.sources.checksum), request)
    return replace(wanted, sources=replace(wanted.sources, ova=ova))


def check_reach(hosts: Iterable[Host], *, facts: Mapping[str, HostFacts], wanted: Wanted) -> None:
    """Every host that gets a VM has to reach the datastore and the network; the first that does not is named."""
    for host in hosts:
        has = facts[host.moid]
        for kind, place, known in (
            ("datastore", wanted.datastore, has.datastores),
            ("network", wanted.network, has.networks),
        ):
            if place.moid not in known:
                raise InvalidOption(
                    f"Cannot use the {kind}",
                    obj=place.name,
                    why=f"host {host.name} does not have it",
                    next_step=f"Choose a {kind} that all hosts of the template share, or name the hosts in hosts",
                    details={"host": host.name, kind: place.name},
                )


def _source_vm(session: Session, request: Request, datacenter: Datacenter) -> VmFacts:
    moid = find_vm(session, datacenter=datacenter, path=request.vm)
    facts = read_vms(session, [moid])[moid]
    if facts.extra_config.get("bonneville.kind"):
        raise InvalidOption(
            "Cannot make a template of the VM",
            obj=request.vm,
            why="it bears the marks of a template or container VM of this collection",
            next_step="Use a VM of your own",
        )
    return facts


def _check_in_service(hosts: tuple[Host, ...], *, named: bool, cluster: str) -> None:
    out = [host for host in hosts if host.trouble]
    if out and (named or len(out) == len(hosts)):
        raise TemplateUnusable(
            "Cannot work on host" if named else "Cannot work on the cluster",
            obj=out[0].name if named else cluster,
            why=out[0].trouble if named else f"no host of it is in service; {out[0].name}: {out[0].trouble}",
            next_step="Bring the host back into service, or name others in hosts",
            details={"hosts": {host.name: host.trouble for host in out}},
        )
    if cluster and not hosts:
        raise InvalidOption("Cannot use the cluster", obj=cluster, why="it has no host", next_step="Name another one")


def _shortened(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."
