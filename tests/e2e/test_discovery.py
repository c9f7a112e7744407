"""Containers of one fleet find and reach each other, as in Compose; nobody else reaches more than what is published."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import requests
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.desired import KEEP

from tests.e2e.conftest import Run
from tests.support.fleets import deploy_fleet
from tests.support.lab import Lab
from tests.support.vsphere import connected

HIDDEN = 9000  # a port that nobody publishes
WEB = {"env": {"PORT": f"8080,{HIDDEN}"}, "published_ports": ["80:8080"]}

Fleet = Callable[..., None]


@pytest.fixture
def fleet(docker_lab: Lab, template: str, images: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """Deploy services of this test's fleet; they are gone afterwards."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:20].strip("-")
    known: dict[str, Mapping[str, Any] | None] = {}

    def deploy(**services: Mapping[str, Any] | None) -> None:
        known.update(services)
        wanted = {name: None if one is None else {"image": images["web"], **WEB, **one} for name, one in known.items()}
        with connected(docker_lab) as session:
            done = deploy_fleet(session, fleet=name, template=template, services=wanted)
        assert not done.errors, done.errors

    yield deploy
    deploy(**dict.fromkeys(known))


@pytest.fixture
def ask(docker_lab: Lab, request: pytest.FixtureRequest) -> Callable[..., requests.Response]:
    """Ask the container of a VM whose name ends so, by what it publishes."""

    def get(ending: str, path: str, **query: str) -> requests.Response:
        return requests.get(f"http://{address(docker_lab, ending)}{path}", params=query, timeout=30)

    return get


def address(lab: Lab, ending: str) -> str:
    found = [vm["ip"] for name, vm in lab.vms().items() if name.endswith(ending)]
    assert len(found) == 1, (ending, sorted(lab.vms()))
    return str(found[0])


def test_by_name_on_a_port_that_nobody_publishes(
    fleet: Fleet, ask: Any, docker_lab: Lab, container: Run, images: dict[str, str]
) -> None:
    fleet(front={}, back={})
    found = ask("-front", "/fetch", url=f"http://back:{HIDDEN}/")
    assert found.status_code == 200, found.text
    assert found.json()["hostname"].endswith("-back")
    # The name of the container itself leads there, too, and one's own name to oneself.
    assert ask("-back", "/fetch", url=f"http://front:{HIDDEN}/").json()["hostname"].endswith("-front")
    assert ask("-back", "/fetch", url=f"http://back:{HIDDEN}/").json()["hostname"].endswith("-back")
    # A port that is published as another is the container's own among peers.
    assert ask("-front", "/fetch", url="http://back:8080/").json()["hostname"].endswith("-back")
    # Whoever is not of the fleet reaches what is published, and no more: this host, and another container.
    back = address(docker_lab, "-back")
    assert requests.get(f"http://{back}/", timeout=10).json()["hostname"].endswith("-back")
    for port in (HIDDEN, 8080):
        with pytest.raises(requests.ConnectionError):
            requests.get(f"http://{back}:{port}/", timeout=3)
    container(name="stranger", image=images["web"], published_ports=["80:8080"])
    assert ask("stranger", "/fetch", url=f"http://{back}/").status_code == 200
    assert ask("stranger", "/fetch", url=f"http://{back}:{HIDDEN}/").status_code == 502
    assert ask("stranger", "/resolve", name="back").status_code == 404


def test_replicas_share_a_name_while_they_come_and_go(fleet: Fleet, ask: Any, docker_lab: Lab) -> None:
    def resolved() -> set[str]:
        return set(ask("-front", "/resolve", name="back").json())

    def answering() -> set[str]:
        found = (ask("-front", "/fetch", url=f"http://back:{HIDDEN}/") for _ in range(12))
        return {one.json()["hostname"].rpartition("-")[2] for one in found}

    fleet(front={}, back={"replicas": 2})
    assert resolved() == {address(docker_lab, f"-back-{number}") for number in range(2)}
    assert answering() == {"0", "1"}
    fleet(back={"replicas": 3})
    assert resolved() == {address(docker_lab, f"-back-{number}") for number in range(3)}
    assert answering() == {"0", "1", "2"}
    stale = address(docker_lab, "-back-2")
    fleet(back={"replicas": 1})
    assert resolved() == {address(docker_lab, "-back-0")}
    assert stale not in docker_lab.vms()
    fleet(back={"replicas": 0})
    assert ask("-front", "/resolve", name="back").status_code == 404


def test_it_outlives_a_restart_of_the_container_and_of_the_vm(fleet: Fleet, ask: Any, docker_lab: Lab) -> None:
    fleet(front={}, back={"restart_policy": "always"})
    ask("-back", "/exit", code="1")
    name = next(name for name in docker_lab.vms() if name.endswith("-back"))
    assert fetched(ask).json()["hostname"] == name
    docker_lab.control("POST", f"/vms/{name}/power-off")
    docker_lab.control("POST", f"/vms/{name}/power-on")
    fleet()
    assert fetched(ask).json()["hostname"] == name
    front = next(name for name in docker_lab.vms() if name.endswith("-front"))
    docker_lab.control("POST", f"/vms/{front}/power-off")
    docker_lab.control("POST", f"/vms/{front}/power-on")
    fleet()
    assert fetched(ask).json()["hostname"] == name


def test_a_replacement_is_found_by_the_same_name(fleet: Fleet, ask: Any, docker_lab: Lab) -> None:
    fleet(front={}, back={})
    before = address(docker_lab, "-back")
    fleet(back={"env": {**WEB["env"], "A": "2"}})
    assert address(docker_lab, "-back") != before
    assert ask("-front", "/fetch", url=f"http://back:{HIDDEN}/").json()["env"]["A"] == "2"
    assert set(ask("-front", "/resolve", name="back").json()) == {address(docker_lab, "-back")}


def test_what_a_killed_run_left_waiting_is_let_go_on(
    docker_lab: Lab, template: str, images: dict[str, str], ask: Any
) -> None:
    services = {"web": {"image": images["web"], **WEB}}
    with connected(docker_lab) as session:
        # It has its address, and nobody puts it on the list: its guest holds the container back.
        left = deploy_fleet(
            session, fleet="killed", template=template, services=services, seconds=5, on_failure=KEEP, tells=False
        )
        assert "waiting for the fleet" in left.errors["killed-web"].message
        # Sooner than the guest would give up waiting.
        done = deploy_fleet(session, fleet="killed", template=template, services=services, seconds=30)
        assert not done.errors, done.errors
        assert ask("killed-web", "/").status_code == 200
        assert not deploy_fleet(session, fleet="killed", template=template, services={"web": None}).errors


def fetched(ask: Any) -> requests.Response:
    """An answer of back's hidden port: its container may be on its way up for a moment."""
    answer: requests.Response
    for _ in range(20):
        try:
            answer = ask("-front", "/fetch", url=f"http://back:{HIDDEN}/")
        except requests.ConnectionError:
            continue
        if answer.status_code == 200:
            return answer
    raise AssertionError(answer.text)
