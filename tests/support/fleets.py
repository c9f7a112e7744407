"""A fleet without its module: services of one fleet, deployed by the engine that container_fleet rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._container.apply import carry_out
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.compare import read_comparisons
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.deploy import lay_out
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.desired import (
    REMOVE,
    Desired,
    Manner,
    Places,
    read_file,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.part import Done, Part
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.read import DEFAULT_FOLDER
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.roster import Roster
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.shelf import Shelf
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.spec import read_spec
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import ABSENT, STARTED, Service
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.templates import TEMPLATE_FOLDER
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.wish import Wish
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import KEY_STATUS
from ansible_collections.bonneville.vsphere.plugins.module_utils._progress import silent
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import ensure_folder
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch


def deploy_fleet(
    session: Session,
    *,
    fleet: str,
    template: str,
    services: Mapping[str, Mapping[str, Any] | None],
    volumes: Mapping[str, Wish] | None = None,
    seconds: float = 120.0,
    on_failure: str = REMOVE,
    tells: bool = True,
) -> Done:
    """Bring a fleet's services to their options (``replicas`` and ``state`` among them); None removes a service.

    Without ``tells`` no VM hears of the others, as when a run was killed early.
    """
    wanted = tuple(_service(fleet, template, name, options) for name, options in services.items())
    desired = Desired(
        services=wanted,
        places=Places(folder=DEFAULT_FOLDER, template_folder=TEMPLATE_FOLDER),
        manner=Manner(timeout=seconds, healthy_seconds=seconds, on_failure=on_failure),
        volumes=volumes or {},
    )
    layout = lay_out(session, desired)
    members = [vm for vm in layout.seen.vms if vm.marks.fleet == fleet]
    roster = Roster(services=[name for name, options in services.items() if options is not None], vms=members)
    with Watch(session, keys=(KEY_STATUS,)) as watch:
        return carry_out(
            session,
            layout.plan,
            builds=layout.builds,
            folder=lambda: ensure_folder(session, datacenter=layout.seen.datacenter, path=DEFAULT_FOLDER).moid,
            datacenter=layout.seen.datacenter.path,
            manner=desired.manner,
            progress=silent,
            part=Part(watch=watch, roster=roster if tells else None, shelf=Shelf(session, layout.stock)),
        )


def _service(fleet: str, template: str, name: str, options: Mapping[str, Any] | None) -> Service:
    given = dict(options or {})
    state = ABSENT if options is None else given.pop("state", STARTED)
    replicas = given.pop("replicas", None)
    spec = None if options is None else read_spec({"template": template, **given}, read_file=read_file)
    return Service(
        name=name,
        folder=DEFAULT_FOLDER,
        spec=spec,
        fleet=fleet,
        replicas=replicas,
        state=state,
        rules=read_comparisons(None),
    )
