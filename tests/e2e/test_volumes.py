"""Named volumes: disks that go from container to container, and outlive them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import requests
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.shelf import remove_volumes
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.wish import Wish
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InUse, InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline

from tests.support.fleets import deploy_fleet
from tests.support.lab import Lab
from tests.support.vsphere import Site, connected

FILE = "/data/note"
WISHES = {"data": Wish(size_mb=64), "more": Wish(size_mb=64)}

Deploy = Callable[..., Any]


@pytest.fixture
def deploy(docker_lab: Lab, template: str, images: dict[str, str]) -> Iterator[Deploy]:
    """Deploy services of fleets; all of them, and all volumes, are gone afterwards."""
    known: dict[str, dict[str, Mapping[str, Any] | None]] = {}

    def run(fleet: str, **services: Mapping[str, Any] | None) -> Any:
        wanted = known.setdefault(fleet, {})
        before = dict(wanted)
        wanted |= services
        options = {
            name: None if one is None else {"image": images["web"], "published_ports": ["80:8080"], **one}
            for name, one in wanted.items()
        }
        try:
            with connected(docker_lab) as session:
                return deploy_fleet(session, fleet=fleet, template=template, services=options, volumes=WISHES)
        except Exception:
            known[fleet] = before
            raise

    yield run
    for fleet, services in known.items():
        done = run(fleet, **dict.fromkeys(services))
        assert not done.errors, done.errors
    left = volumes(docker_lab)
    assert remove(docker_lab, *left) == dict.fromkeys(left)
    assert volumes(docker_lab) == []


def volumes(lab: Lab) -> list[str]:
    return list(lab.control("GET", "/state")["volumes"])


def remove(lab: Lab, *names: str) -> dict[str, Any]:
    with connected(lab) as session:
        datastore = Site.of(session, lab).datastore.moid
        return dict(remove_volumes(session, names, datastores=[datastore], deadline=Deadline(60.0)))


def ask(lab: Lab, vm: str, what: str, /, *, put: str | None = None, **query: str) -> requests.Response:
    url = f"http://{lab.vms()[vm]['ip']}{what}"
    if put is not None:
        return requests.post(url, params=query, data=put, timeout=20)
    return requests.get(url, params=query, timeout=20)


def test_data_outlives_replacement_and_the_deletion_of_its_vm(deploy: Deploy, docker_lab: Lab) -> None:
    # Docker itself starts such a container at boot, before anything is mounted: it must not see an empty place.
    db = {"volumes": ["data:/data"], "restart_policy": "always"}
    assert not deploy("keep", db=db).errors
    assert volumes(docker_lab) == ["keep_data"]
    assert ask(docker_lab, "keep-db", "/write", put="first", path=FILE).status_code == 200
    first = docker_lab.vms()["keep-db"]["moid"]
    # Replaced: the disk goes from the old VM to the new one.
    done = deploy("keep", db={**db, "env": {"A": "2"}})
    assert not done.errors, done.errors
    assert docker_lab.vms()["keep-db"]["moid"] != first
    assert ask(docker_lab, "keep-db", "/file", path=FILE).text == "first"
    assert ask(docker_lab, "keep-db", "/write", put="second", path=FILE).status_code == 200
    # Booted again: mounted again.
    docker_lab.control("POST", "/vms/keep-db/power-off")
    docker_lab.control("POST", "/vms/keep-db/power-on")
    assert not deploy("keep").errors
    assert ask(docker_lab, "keep-db", "/file", path=FILE).text == "second"
    # Deleted by an admin: found again by its name.
    docker_lab.control("POST", "/vms/keep-db/power-off")
    docker_lab.control("POST", "/vms/keep-db/destroy")
    assert volumes(docker_lab) == ["keep_data"]
    assert not deploy("keep").errors
    assert ask(docker_lab, "keep-db", "/file", path=FILE).text == "second"
    # Torn down: it stays, until someone says that it is to go.
    assert not deploy("keep", db=None).errors
    assert volumes(docker_lab) == ["keep_data"]


def test_one_container_has_a_volume_at_a_time(deploy: Deploy, docker_lab: Lab) -> None:
    with pytest.raises(InvalidOption, match="one container has at a time"):
        deploy("twice", one={"volumes": ["data:/data"]}, two={"volumes": ["data:/data"]})
    with pytest.raises(InvalidOption, match="one container has at a time"):
        deploy("twice", one={"volumes": ["data:/data"], "replicas": 2})
    assert volumes(docker_lab) == []
    assert not deploy("twice", one={"volumes": ["data:/data"]}).errors
    # Another fleet that comes to the same name: who has it is told, and nothing is changed.
    with connected(docker_lab) as session, pytest.raises(InUse, match="twice-one"):
        deploy_fleet(
            session,
            fleet="other",
            template="photon",
            services={"db": {"image": docker_lab.ready["images"]["web"], "volumes": ["data:/data"]}},
            volumes={"data": Wish(name="twice_data")},
        )
    assert "other-db" not in docker_lab.vms()
    [(_, error)] = remove(docker_lab, "twice_data").items()
    assert isinstance(error, InUse) and "twice-one" in error.message


def test_read_only_and_two_volumes(deploy: Deploy, docker_lab: Lab) -> None:
    assert not deploy("pair", db={"volumes": ["data:/data", "more:/more"]}).errors
    assert ask(docker_lab, "pair-db", "/write", put="x", path="/more/x").status_code == 200
    assert ask(docker_lab, "pair-db", "/file", path="/data/x").status_code == 404
    assert not deploy("pair", db={"volumes": ["data:/data", "more:/more:ro"]}).errors
    assert ask(docker_lab, "pair-db", "/file", path="/more/x").text == "x"
    refused = ask(docker_lab, "pair-db", "/write", put="y", path="/more/x")
    assert refused.status_code == 500 and "read-only" in refused.text


def test_what_the_image_has_is_copied_into_an_empty_volume_once(deploy: Deploy, docker_lab: Lab) -> None:
    assert not deploy("copy", db={"volumes": ["data:/etc"]}).errors
    assert "nobody" in ask(docker_lab, "copy-db", "/file", path="/etc/passwd").text
    assert ask(docker_lab, "copy-db", "/write", put="mine", path="/etc/passwd").status_code == 200
    assert not deploy("copy", db={"volumes": ["data:/etc"], "env": {"A": "1"}}).errors
    assert ask(docker_lab, "copy-db", "/file", path="/etc/passwd").text == "mine"
    assert not deploy("copy", db={"volumes": ["data:/etc", "more:/tmp:nocopy"]}).errors
    assert ask(docker_lab, "copy-db", "/file", path="/etc/passwd").text == "mine"


def test_a_replacement_that_fails_gives_the_volume_back(deploy: Deploy, docker_lab: Lab) -> None:
    assert not deploy("back", db={"volumes": ["data:/data"]}).errors
    assert ask(docker_lab, "back-db", "/write", put="kept", path=FILE).status_code == 200
    moid = docker_lab.vms()["back-db"]["moid"]
    done = deploy("back", db={"volumes": ["data:/data"], "command": ["/no-such-program"], "entrypoint": []})
    assert "old one was started again" in done.errors["back-db"].message
    assert docker_lab.vms()["back-db"]["moid"] == moid
    assert not deploy("back", db={"volumes": ["data:/data"]}).errors
    assert ask(docker_lab, "back-db", "/file", path=FILE).text == "kept"
