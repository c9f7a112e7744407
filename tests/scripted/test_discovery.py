"""The lists of a fleet's members on its VMs, over real SOAP: written where they differ, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.part import Done
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.peers import KEY_PEERS, Peers

from tests.scripted.conftest import IMAGES
from tests.support.fleets import deploy_fleet
from tests.support.lab import Lab
from tests.support.vsphere import FrozenTemplate, connected

Deploy = Callable[..., Done]


@pytest.fixture
def deploy(scripted_lab: Lab, frozen_template: FrozenTemplate) -> Iterator[Deploy]:
    """Deploy a fleet's services; they are gone afterwards."""
    known: dict[str, set[str]] = {}

    def run(fleet: str, **services: Mapping[str, Any] | None) -> Done:
        known.setdefault(fleet, set()).update(services)
        wanted = {name: None if one is None else {"image": IMAGES[0], **one} for name, one in services.items()}
        with connected(scripted_lab) as session:
            return deploy_fleet(session, fleet=fleet, template=frozen_template.name, services=wanted)

    yield run
    for fleet, services in known.items():
        assert not run(fleet, **dict.fromkeys(services)).errors


def lists(lab: Lab, fleet: str) -> dict[str, Peers]:
    return {
        name: Peers.decode(vm["extra_config"][KEY_PEERS])
        for name, vm in lab.vms().items()
        if name.startswith(f"{fleet}-")
    }


def addresses(lab: Lab, *names: str) -> tuple[str, ...]:
    return tuple(sorted(lab.vms()[name]["ip"] for name in names))


def test_every_vm_knows_all_members(deploy: Deploy, scripted_lab: Lab) -> None:
    assert not deploy("know", web={"replicas": 2}, db={}).errors
    found = lists(scripted_lab, "know")
    assert len(found) == 3 and len({peers.version for peers in found.values()}) == 1
    peers = found["know-db"]
    assert peers.names["web"] == addresses(scripted_lab, "know-web-0", "know-web-1")
    assert peers.names["db"] == peers.names["know-db"] == addresses(scripted_lab, "know-db")


def test_a_second_run_writes_nothing(deploy: Deploy, scripted_lab: Lab) -> None:
    services: dict[str, Any] = {"web": {"replicas": 2}, "db": {}}
    assert not deploy("twicelist", **services).errors
    scripted_lab.control("DELETE", "/calls")
    assert not deploy("twicelist", **services).errors
    assert "ReconfigVM_Task" not in scripted_lab.control("GET", "/calls")


def test_lists_follow_scaling_and_what_an_admin_removes(deploy: Deploy, scripted_lab: Lab) -> None:
    assert not deploy("scaled", web={"replicas": 1}, db={}).errors
    assert not deploy("scaled", web={"replicas": 3}, db={}).errors
    three = addresses(scripted_lab, "scaled-web-0", "scaled-web-1", "scaled-web-2")
    assert {peers.names["web"] for peers in lists(scripted_lab, "scaled").values()} == {three}
    assert not deploy("scaled", web={"replicas": 1}, db={}).errors
    one = addresses(scripted_lab, "scaled-web-0")
    assert {peers.names["web"] for peers in lists(scripted_lab, "scaled").values()} == {one}
    assert {peers.addresses for peers in lists(scripted_lab, "scaled").values()} == {
        addresses(scripted_lab, "scaled-web-0", "scaled-db")
    }


def test_what_failed_is_on_no_list(deploy: Deploy, scripted_lab: Lab) -> None:
    assert not deploy("unlisted", web={}).errors
    failing = {"phase": "failed", "reason": {"code": "disk_full", "message": "no space left"}}
    scripted_lab.control("POST", "/scripted", [{"match": "unlisted-db", "script": [failing]}])
    try:
        assert deploy("unlisted", web={}, db={}).errors
    finally:
        scripted_lab.control("POST", "/scripted", [])
    peers = lists(scripted_lab, "unlisted")["unlisted-web"]
    assert peers.names["db"] == () and peers.addresses == addresses(scripted_lab, "unlisted-web")


def test_one_fleet_is_not_told_of_another(deploy: Deploy, scripted_lab: Lab) -> None:
    assert not deploy("apart", web={}).errors
    assert not deploy("aside", web={}).errors
    assert lists(scripted_lab, "apart")["apart-web"].addresses == addresses(scripted_lab, "apart-web")
    assert lists(scripted_lab, "aside")["aside-web"].addresses == addresses(scripted_lab, "aside-web")
