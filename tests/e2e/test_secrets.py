"""With real guests: secrets are in their own container, and in no other VM of the same template, running or frozen."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.conftest import Run, template_options
from tests.support.guestfs import Guest, guests
from tests.support.lab import Lab
from tests.support.secrets import Planted

TEMPLATE = "discreet"
NAMES = ("secret-before", "secret-keeper", "secret-after")


@pytest.fixture
def private_template(docker_lab: Lab, module: Run) -> Iterator[tuple[dict[str, Any], float]]:
    """A template on one host that has pulled its image with a login, and when it began to."""
    began = time.time() - 1
    private = docker_lab.ready["private"]
    login = {name: private[name] for name in ("server", "username", "password")}
    own = {"name": TEMPLATE, "hosts": docker_lab.ready["hosts"][:1], "images": [private["images"]["web"]]}
    given = {**template_options(docker_lab), **own, "registry_logins": [login]}
    built = module("photon_template", **{name: value for name, value in given.items() if name != "cluster"})
    assert not built.get("failed"), built["msg"]
    yield built, began
    gone = module("photon_template", name=TEMPLATE, state="absent")
    assert not gone.get("failed"), gone["msg"]


def test_secrets_are_in_their_own_container_alone(
    private_template: tuple[dict[str, Any], float], container: Run, docker_lab: Lab, tmp_path: Path
) -> None:
    private = docker_lab.ready["private"]
    planted = Planted.of("env", "file", "changed", registry=private["password"])
    built, began = private_template
    results = [built]
    (tmp_path / "key").write_text(planted["file"])
    login = {name: private[name] for name in ("server", "username", "password")}
    common = {"template": TEMPLATE, "image": private["images"]["web"], "published_ports": ["80:8080"]}
    keeper = {**common, "name": NAMES[1], "registry_login": login, "volumes": [f"{tmp_path / 'key'}:/run/key:ro"]}
    results += [
        container(name=NAMES[0], **common),
        container(env={"TOKEN": planted["env"]}, **keeper),
        container(env={"TOKEN": planted["changed"]}, **keeper),
        container(name=NAMES[2], **common),
    ]
    assert not [one["msg"] for one in results if one.get("failed")]
    address = results[3]["vm"]["ip"]
    answer = requests.get(f"http://{address}/", timeout=10).json()
    assert answer["env"]["TOKEN"] == planted["changed"]
    assert requests.get(f"http://{address}/file?path=/run/key", timeout=10).text.strip().endswith(planted["file"])

    found: dict[str, set[str]] = {name: set() for name in (*NAMES, "photon")}
    for guest in guests():
        if guest.name in found:
            found[guest.name] |= held_by(guest, planted, began)
    assert {"env", "changed", "file"} & found.pop(NAMES[1]) == {"changed", "file"}
    assert found == {NAMES[0]: set(), NAMES[2]: set(), "photon": set()}
    assert planted.found_in(json.dumps([results, docker_lab.state()])) == set()
    assert planted.found_below(docker_lab.directory / "state", since=began) == set()


def held_by(guest: Guest, planted: Planted, since: float) -> set[str]:
    """The secrets that stand in a guest's files, memory disks included, or were given to any of its processes."""
    return {name for name, _unused in planted.found_below(*guest.places, since=since)} | planted.found_in(guest.given())
