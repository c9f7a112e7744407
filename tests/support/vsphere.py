"""Sessions with a lab's vCenter, and template VMs frozen in it without the modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.template_marks import Image, Marks
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import orders, protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.hardware import (
    PROPERTIES,
    hardware_from,
    settle,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import Source, TemplateSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.clone import full_clone
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.collect import read
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import network_backing
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import read_scope
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import (
    ensure_folder,
    find_compute,
    find_datacenter,
    find_datastore,
    find_network,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.ova import read_ova
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.ova_import import ImportPlace, import_ova
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.reconfigure import (
    Change,
    config_spec,
    reconfigure_all,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import (
    Compute,
    Datacenter,
    Folder,
    Network,
    Place,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import (
    Connection,
    Session,
    open_session,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch, wait_for_tasks

from tests.support.lab import Lab
from tests.support.modules import patched_environment

SECONDS = 60.0  # for everything that the lab does in well under one


def connection(lab: Lab, **changes: Any) -> Connection:
    """How to log in at a lab; its CA comes by environment."""
    options = {name.removeprefix("vcenter_"): value for name, value in lab.connection.items()}
    return replace(Connection(**options), **changes)


@contextmanager
def connected(lab: Lab, **changes: Any) -> Iterator[Session]:
    """A session with a lab for the time of the block."""
    with patched_environment(lab.environment), open_session(connection(lab, **changes)) as session:
        yield session


@dataclass(frozen=True, kw_only=True)
class Site:
    """The places of a lab, looked up."""

    datacenter: Datacenter
    compute: Compute
    network: Network
    datastore: Place

    @classmethod
    def of(cls, session: Session, lab: Lab) -> Site:
        datacenter = find_datacenter(session)
        return cls(
            datacenter=datacenter,
            compute=find_compute(session, datacenter=datacenter, path=lab.ready["cluster"]),
            network=find_network(session, datacenter=datacenter, path=lab.ready["network"]),
            datastore=find_datastore(session, datacenter=datacenter, path=lab.ready["datastore"]),
        )


@dataclass(frozen=True, kw_only=True)
class FrozenTemplate:
    """A template with one frozen VM on every host.

    ``vms`` has their moids by the hosts' names, ``images`` the images' ids by their names.
    """

    name: str
    folder: str
    vms: Mapping[str, str]
    images: Mapping[str, str]

    @property
    def moids(self) -> tuple[str, ...]:
        return tuple(self.vms.values())


def freeze_template(
    session: Session, lab: Lab, *, name: str, folder: str = "bonneville-templates", images: tuple[str, ...] = ()
) -> FrozenTemplate:
    """Make a template as photon_template does: the lab's OVA on the first host, copies on the others, all frozen."""
    site = Site.of(session, lab)
    where = ensure_folder(session, datacenter=site.datacenter, path=folder)
    scope = read_scope(session, computes=[site.compute])
    ova = read_ova(lab.ready["ova"])
    spec = TemplateSpec(
        name=name,
        source=Source(kind="ova", path=ova.path, fingerprint=ova.fingerprint),
        network=site.network.name,
        datastore=site.datastore.name,
        images=images,
    )
    marks = {
        host: Marks(
            template=name,
            generation=spec.generation,
            host=host,
            phase=marks_of.PRIMED,
            bios_uuid=marks_of.bios_uuid(
                vcenter=session.instance_uuid, folder=where.path, template=name, host=host, generation=spec.generation
            ),
            spec=spec.canonical(),
        )
        for host in sorted(scope.hosts, key=scope.host_name)
    }
    names = {host: f"{name}-{spec.generation}-{scope.host_name(host)}" for host in marks}
    vms = _copies(session, lab, site=site, folder=where, marks=marks, names=names)
    by_vm = {vms[host]: one for host, one in marks.items()}
    _boot(session, site=site, spec=spec, marks=by_vm)
    found = _freeze(session, marks=by_vm)
    return FrozenTemplate(
        name=name, folder=folder, vms={scope.host_name(host): vm for host, vm in vms.items()}, images=found
    )


def _copies(
    session: Session, lab: Lab, *, site: Site, folder: Folder, marks: Mapping[str, Marks], names: Mapping[str, str]
) -> dict[str, str]:
    """A powered-off VM on each host, by the host."""
    first, *others = marks
    vms = {
        first: import_ova(
            session,
            ova=read_ova(lab.ready["ova"]),
            name=names[first],
            place=ImportPlace(
                host=first,
                pool=site.compute.pool,
                folder=folder.moid,
                datastore=site.datastore.moid,
                network=site.network,
            ),
            bios_uuid=marks[first].bios_uuid,
            extra_config=marks[first].encode(),
            seconds=SECONDS,
            progress=lambda text: None,
        )
    }
    tasks = {
        host: full_clone(
            session,
            source=vms[first],
            name=names[host],
            folder=folder.moid,
            pool=site.compute.pool,
            host=host,
            config=config_spec(Change(bios_uuid=marks[host].bios_uuid, extra_config=marks[host].encode())),
        )
        for host in others
    }
    for host, state in wait_for_tasks(session, tasks, deadline=Deadline(SECONDS)).items():
        assert state.ok, state
        vms[host] = state.result._moId
    return vms


def _boot(session: Session, *, site: Site, spec: TemplateSpec, marks: Mapping[str, Marks]) -> None:
    """Give the VMs a template's hardware and orders, and power them on."""
    start = [(session.managed("VirtualMachine", moid), ()) for moid in marks]
    tasks = {}
    for one in read(session, start=start, properties={"VirtualMachine": PROPERTIES}, what="Cannot read the VMs"):
        hardware = hardware_from(one.values)
        order = orders.Prepare(
            template=spec.name,
            generation=spec.generation,
            prime=False,
            images=tuple(orders.PrepareImage(name=image, pull=False) for image in spec.images),
            login_sealed=False,
            insecure_registries=(),
            template_uuid=hardware.instance_uuid,
        )
        config = settle(
            hardware,
            name=one.moid,
            spec=spec,
            nic_backing=network_backing(site.network),
            bios_uuid=marks[one.moid].bios_uuid,
            annotation="a template VM of the tests",
            extra_config={protocol.KEY_PREPARE: order.encode()},
        )
        tasks[one.moid] = one.managed.ReconfigVM_Task(config)
    assert all(state.ok for state in wait_for_tasks(session, tasks, deadline=Deadline(SECONDS)).values())
    on = {moid: session.managed("VirtualMachine", moid).PowerOnVM_Task() for moid in marks}
    assert all(state.ok for state in wait_for_tasks(session, on, deadline=Deadline(SECONDS)).values())


def _freeze(session: Session, *, marks: Mapping[str, Marks]) -> dict[str, str]:
    """Record the agents' keys and order the freeze; the images that they hold."""
    deadline = Deadline(SECONDS)
    with Watch(session, keys=(protocol.KEY_STATUS, protocol.KEY_KEY)) as watch:
        watch.add(vms=marks)

        def status(moid: str) -> protocol.Status | None:
            text = watch.vms[moid].extra_config.get(protocol.KEY_STATUS, "")
            said = protocol.Status.decode(text) if text else None
            return said if said and said.phase == "ready" and protocol.KEY_KEY in watch.vms[moid].extra_config else None

        assert watch.until(lambda: all(status(moid) for moid in marks), deadline), watch.vms
        changes = {}
        images: dict[str, str] = {}
        for moid, mark in marks.items():
            said = status(moid)
            assert said is not None
            images = {image.name: image.id for image in said.images}
            frozen = replace(
                mark,
                phase=marks_of.FROZEN,
                key=watch.vms[moid].extra_config[protocol.KEY_KEY],
                agent=said.agent,
                speaks=said.speaks,
                images=tuple(Image(name=image.name, id=image.id, digest=image.digest) for image in said.images),
            )
            changes[moid] = Change(extra_config={**frozen.encode(), protocol.KEY_FREEZE: said.boot})
        assert not any(reconfigure_all(session, changes, deadline=deadline, watch=watch).values())
        assert watch.until(lambda: all(watch.vms[moid].frozen for moid in marks), deadline), watch.vms
    return images
