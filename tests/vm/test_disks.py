"""A disk that is plugged into a running kernel, and what is on it after the VM was replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.shelf import remove_volumes
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.wish import Wish
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline

from tests.support.fleets import deploy_fleet
from tests.support.lab import Lab
from tests.support.machines import Machine
from tests.support.vsphere import Site, connected
from tests.vm.conftest import SECONDS

FLEET, VM, FILE = "keep", "keep-db", "/data/note"


@pytest.fixture
def db(vm_lab: Lab, template: str, images: dict[str, str]) -> Iterator[Any]:
    """Deploy the fleet's one service with some environment; it and its volume are gone afterwards."""

    def deploy(options: Mapping[str, Any] | None) -> None:
        with connected(vm_lab) as session:
            done = deploy_fleet(
                session,
                fleet=FLEET,
                template=template,
                services={"db": options},
                volumes={"data": Wish(size_mb=64)},
                seconds=SECONDS,
            )
        assert not done.errors, done.errors

    def run(**env: str) -> str:
        deploy(
            {"image": images["web"], "published_ports": ["80:8080"], "volumes": ["data:/data"], "env": env},
        )
        return f"http://{vm_lab.vms()[VM]['ip']}"

    yield run
    deploy(None)
    with connected(vm_lab) as session:
        datastore = Site.of(session, vm_lab).datastore.moid
        remove_volumes(session, vm_lab.state()["volumes"], datastores=[datastore], deadline=Deadline(60.0))


def test_data_on_a_disk_outlives_the_machine_that_wrote_it(db: Any, vm_lab: Lab) -> None:
    url = db(A="1")
    first = vm_lab.vms()[VM]["moid"]
    assert requests.post(f"{url}/write", params={"path": FILE}, data="first", timeout=60).ok
    # The kernel's own disk, not the root's: run() raises where there is none.
    Machine(lab=vm_lab, name=VM).run("grep '^/dev/sd[b-z]' /proc/mounts")
    url = db(A="2")
    assert vm_lab.vms()[VM]["moid"] != first
    assert requests.get(f"{url}/file", params={"path": FILE}, timeout=60).text == "first"
