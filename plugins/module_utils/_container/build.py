# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a planned container and a place for it to the request that clones it, its spec sealed.

Done before anything is changed, so that a spec which is too large, or a key
that cannot be used, is found in check mode, too.
"""

from __future__ import annotations

import secrets as random
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import engine, secrets
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.compare import Applied
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import Identity, Marks
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.options import DETERMINISTIC
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.spec import (
    ContainerSpec,
    engine_name,
    hostname,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import (
    PRESENT,
    RECREATE,
    STOPPED,
    Action,
    Service,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.templates import Seat
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol, sealing
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.clone import CloneRequest
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Network


@dataclass(frozen=True, kw_only=True)
class Build:
    """A container about to be made. ``final_name`` is the VM's name in the end, ``request.name`` at first."""

    action: Action
    seat: Seat
    marks: Marks
    request: CloneRequest = field(repr=False)

    @property
    def final_name(self) -> str:
        return self.action.identity.name

    @property
    def spec(self) -> ContainerSpec:
        return wanted_spec(self.action)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What is the same for all containers of a run: moids and names of places, and vCenter's instanceUuid."""

    vcenter: str
    folder: str
    pool: str
    datastore: str
    datastore_names: Mapping[str, str]
    networks: Mapping[str, Network]


def wanted_spec(action: Action) -> ContainerSpec:
    """The spec of an action that makes a container."""
    spec = action.service.spec
    if spec is None:
        raise AssertionError("a service without a spec makes no container")
    return spec


def salts(services: Mapping[str, Service], vms: Mapping[str, tuple[ContainerVm, ...]]) -> dict[str, str]:
    """The salt of each service, by its scope: its standing replicas' own, or a new one."""
    found: dict[str, str] = {}
    for scope in services:
        known = sorted(salt for vm in vms.get(scope, ()) if (salt := vm.marks.applied.digests.salt))
        found[scope] = known[0] if known else random.token_hex(secrets.SALT_BYTES)
    return found


def build(action: Action, seat: Seat, ground: Ground, *, salt: str) -> Build:
    """Seal the spec and put the clone's request together. Raises: SpecTooLarge, SealBroken."""
    spec, identity, service = wanted_spec(action), action.identity, action.service
    name = identity.replacement(action.slot) if action.kind == RECREATE else identity.name
    bios_uuid = identity.bios_uuid(vcenter=ground.vcenter, slot=action.slot)
    nonce = random.token_hex(16)
    datastore = ground.datastore or seat.datastores[0]
    # Two folders may each have a VM of this name, and on a datastore only one directory is called so.
    log = f"[{ground.datastore_names[datastore]}] {name}/container-{bios_uuid[:8]}.log"
    marks = Marks(
        bios_uuid=bios_uuid,
        fleet=identity.fleet,
        service=identity.service,
        ordinal=identity.ordinal,
        slot=action.slot,
        owner=service.owner,
        template=seat.template,
        template_vm=seat.moid,
        template_uuid=seat.instance_uuid,
        nonce=nonce,
        log=log,
        applied=Applied(
            options=spec.options,
            digests=secrets.digest(spec.secrets, scope=identity.scope, key=service.digest_key, salt=salt),
            # With `always` the registry decides, and only the guest will know.
            image_id="" if spec.pull == "always" else seat.images.get(spec.image, ""),
        ),
    )
    plain = guest_spec(
        spec,
        vm=identity.name,
        template_uuid=seat.instance_uuid,
        nonce=nonce,
        start=service.state not in (PRESENT, STOPPED),
        discovery=bool(identity.fleet),
    )
    sealed = sealing.seal(plain.encode(), key=seat.key, obj=identity.name)
    request = CloneRequest(
        key=identity.name,
        name=name,
        source=seat.moid,
        bios_uuid=bios_uuid,
        extra_config={**marks.encode(), protocol.KEY_SPEC: sealed},
        folder=ground.folder,
        pool=ground.pool,
        datastore=ground.datastore,
        network=ground.networks.get(str(spec.options.get("network", ""))),
        mac=_mac(spec, action, ground),
        log=log,
    )
    return Build(action=action, seat=seat, marks=marks, request=request)


def guest_spec(
    spec: ContainerSpec, *, vm: str, template_uuid: str, nonce: str, start: bool, discovery: bool = False
) -> protocol.Spec:
    """The document that the agent acts on."""
    host = hostname(vm)
    login = spec.login
    return protocol.Spec(
        nonce=nonce,
        vm=vm,
        template_uuid=template_uuid,
        seed=random.token_hex(32),
        hostname=host,
        network=protocol.GuestNetwork(
            address=spec.options.get("ip_address"),
            gateway=spec.options.get("gateway"),
            dns=tuple(spec.options.get("dns", ())),
            search=tuple(spec.options.get("dns_search", ())),
        ),
        name=engine_name(vm),
        image=spec.image,
        pull=spec.pull,
        login=protocol.Login(server=login.server, username=login.username, password=login.password) if login else None,
        container=engine.body(spec, hostname=host),
        files=tuple(
            protocol.SpecFile(target=file.target, content=file.encoded, mode=file.mode) for file in spec.files or ()
        ),
        start=start,
        restart_no=spec.restart_no,
        stop_timeout=spec.stop_timeout,
        discovery=discovery,
        volumes=tuple(dict.fromkeys(volume.name for volume in spec.volumes)),
    )


def _mac(spec: ContainerSpec, action: Action, ground: Ground) -> str:
    written = str(spec.options.get("mac_address", ""))
    return action.identity.mac(vcenter=ground.vcenter) if written == DETERMINISTIC else written


def annotation(identity: Identity, *, image: str, template: str) -> str:
    """What an administrator reads at the VM in vCenter."""
    service = f"service '{identity.service}'" + (f" of fleet '{identity.fleet}'" if identity.fleet else "")
    return (
        f"Container '{identity.name}' of {service}, image {image}, in a VM of its own: an instant clone of {template}, "
        "made by bonneville.vsphere. Stop and start it as any VM; change it with instant_clone_container and remove it "
        "with container_vm_absent."
    )
