"""Container VMs of a scripted lab, cloned without the module: their marks are genuine, their guests answer as told."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import read_status
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.compare import Applied
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import KEY_NONCE, Identity, Marks
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.read import DEFAULT_FOLDER
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import KEY_STATUS
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.clone import CloneRequest, instant_clone
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import read_hardware
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import ensure_folder, find_datacenter
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

from tests.support.lab import Lab
from tests.support.vsphere import SECONDS, FrozenTemplate


def clone_containers(
    session: Session,
    lab: Lab,
    template: FrozenTemplate,
    service: str,
    *,
    replicas: int | None = None,
    slot: str = "1",
    fleet: str = "",
    owner: str = "",
    folder: str = DEFAULT_FOLDER,
    options: Mapping[str, Any] | None = None,
    phases: tuple[str, ...] = ("running",),
) -> dict[str, str]:
    """Clone a service's container VMs, spread over the hosts; their moids by their names.

    Slot 2 makes replacements under way, by the names that they have then.
    ``phases`` are what the guests have to say before this returns; with none it
    does not wait for them.
    """
    place = ensure_folder(session, datacenter=find_datacenter(session), path=folder)
    image = sorted(template.images)[0]
    requests, nonces = [], {}
    for index in range(replicas or 1):
        ordinal = "" if replicas is None else str(index)
        identity = Identity(fleet=fleet, folder=folder, service=service, ordinal=ordinal)
        name = identity.name if slot == "1" else identity.replacement(slot)
        source = template.moids[index % len(template.moids)]
        log = f"[{lab.ready['datastore']}] {name}/container.log"
        marks = Marks(
            bios_uuid=identity.bios_uuid(vcenter=session.instance_uuid, slot=slot),
            fleet=fleet,
            service=service,
            ordinal=ordinal,
            slot=slot,
            owner=owner,
            template=template.name,
            template_vm=source,
            nonce=secrets.token_hex(16),
            log=log,
            applied=Applied(
                options={"image": image, "template": template.name, **(options or {})}, image_id=template.images[image]
            ),
        )
        nonces[name] = marks.nonce
        requests.append(
            CloneRequest(
                key=name,
                name=name,
                source=source,
                bios_uuid=marks.bios_uuid,
                extra_config=marks.encode(),
                folder=place.moid,
                log=log,
            )
        )
    hardware = read_hardware(session, template.moids)
    with Watch(session, keys=(KEY_STATUS,)) as watch:
        outcomes = instant_clone(session, requests, hardware=hardware, watch=watch, deadline=Deadline(SECONDS))
        assert all(outcome.ok for outcome in outcomes), [outcome.error for outcome in outcomes]
        moids = {outcome.request.name: outcome.vm for outcome in outcomes}
        if phases:
            _hear(watch, {moids[name]: nonce for name, nonce in nonces.items()}, phases)
    return moids


def hear(session: Session, lab: Lab, names: Iterable[str], *phases: str) -> None:
    """Wait until these VMs' guests are in one of the phases."""
    vms = [lab.vms()[name] for name in names]
    with Watch(session, keys=(KEY_STATUS,)) as watch:
        watch.add(vms=[vm["moid"] for vm in vms])
        _hear(watch, {vm["moid"]: vm["extra_config"][KEY_NONCE] for vm in vms}, phases)


def _hear(watch: Watch, nonces: Mapping[str, str], phases: tuple[str, ...]) -> None:
    def phase(moid: str) -> str:
        status = read_status(watch.vms[moid].extra_config.get(KEY_STATUS, ""), nonce=nonces[moid])
        return status.phase if status else ""

    heard = watch.until(lambda: all(phase(moid) in phases for moid in nonces), Deadline(SECONDS))
    assert heard, [(watch.vms[moid], watch.vms[moid].extra_config.get(KEY_STATUS)) for moid in nonces]
