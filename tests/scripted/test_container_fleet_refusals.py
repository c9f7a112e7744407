"""What cannot be meant: each with its own message, and nothing at all is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.scripted.conftest import Fleet
from tests.support.fleet_files import BOTH, ONE, WEB, kinds, there
from tests.support.lab import Lab

READS = {
    "Login", "Logout", "RetrieveServiceContent", "RetrievePropertiesEx", "FindByInventoryPath", "FindAllByUuid",
    "ContinueRetrievePropertiesEx", "CurrentTime", "ListVStorageObject", "RetrieveVStorageObject",
    "HasPrivilegeOnEntities",
}  # fmt: skip


@pytest.fixture
def unchanged(scripted_lab: Lab) -> Callable[[], None]:
    """See that nothing but reads was called for since the test began, or since it was last asked."""
    scripted_lab.reset_calls()

    def check() -> None:
        assert not set(scripted_lab.calls()) - READS
        scripted_lab.reset_calls()

    return check


SECRET = f"services: {{web: {{image: {WEB}, secrets: [s]}}}}\nsecrets: {{s: {{file: %s}}}}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("services: {web: {", "Cannot read the YAML of 'compose.yaml': compose.yaml:1: expected the node"),
        (
            f"services: {{web: {{image: {WEB}, imgae: x}}}}",
            "There is no key 'imgae': compose.yaml:1: in service 'web'. Did you mean image.",
        ),
        (
            f"services: {{a: {{image: {WEB}, depends_on: [b]}}, b: {{image: {WEB}, depends_on: [a]}}}}",
            "Cannot use depends_on of service 'a': compose.yaml:1: they wait for each other: a → b → a.",
        ),
        (
            "services: {web: {image: $NOBODY}}",
            "There is no value for the variable 'NOBODY': compose.yaml:1: it is not set, and has no default.",
        ),
        (
            f"services: {{web: {{image: {WEB}, ports: ['80:80', '80:81']}}}}",
            "Cannot use ports of service 'web': compose.yaml:1: '80:81/tcp': port 80/tcp is already published as "
            "'80:80/tcp'.",
        ),
        (
            f"services: {{web: {{image: {WEB}, scale: 2}}, web-1: {{image: {WEB}}}}}",
            "Cannot use the name of service 'web-1': compose.yaml:1: a container of it and one of service 'web' would "
            "both be called ",
        ),
        (SECRET % "no", "Cannot use the file of secret 's', 'no': compose.yaml:2: there is no such file"),
        (
            SECRET % "../../etc/passwd",
            "Cannot use the file of secret 's', '../../etc/passwd': compose.yaml:2: it leaves the fleet's directory",
        ),
        (SECRET % "link", "Cannot use the file of secret 's', 'link': compose.yaml:2: it leaves the fleet's directory"),
        (
            f"services: {{web: {{image: {WEB}, build: .}}}}",
            "Cannot honour build of service 'web': compose.yaml:1: images are not built here.",
        ),
    ],
    ids=["yaml", "key", "circle", "variable", "port", "names", "secret", "path", "link", "unsupported"],
)
def test_a_wrong_file(fleet: Fleet, unchanged: Callable[[], None], tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    refused = fleet(text, ok=False)
    assert refused["failed"] and refused["msg"].startswith(told), refused["msg"]
    assert refused["error_code"] in ("invalid_option", "unsupported")
    unchanged()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"allowed_folders": ["elsewhere"]}, "it is not in allowed_folders"),
        ({"allowed_networks": ["VM Network"]}, "none is named, and only those in allowed_networks may be used"),
        ({"allowed_datastores": ["gold"], "datastore": "lead"}, "Cannot use the datastore 'lead'"),
        ({"allowed_templates": ["other"]}, "it is not in allowed_templates"),
        ({"template": None}, "in service 'web': it is missing. Set template."),
        ({"expected_plan": "/nowhere/plan.json"}, "Cannot use expected_plan '/nowhere/plan.json'"),
        ({"max_prune": -1}, "max_prune"),
        ({"comparisons": {"imgae": "strict"}}, "Did you mean image"),
    ],
)
def test_a_wrong_option(fleet: Fleet, unchanged: Callable[[], None], options: Mapping[str, Any], told: str) -> None:
    refused = fleet(ONE, ok=False, **options)
    assert refused["error_code"] == "invalid_option" and told in refused["msg"], refused["msg"]
    unchanged()


def test_a_volume_that_another_fleet_has(
    scripted_lab: Lab, fleet: Fleet, unchanged: Callable[[], None], name: str
) -> None:
    text = f"services: {{db: {{image: {WEB}, volumes: ['data:/d']}}}}\nvolumes: {{data: %s}}"
    fleet(text % f"{{name: {name}-shared}}", name=f"{name}-1")
    scripted_lab.reset_calls()
    refused = fleet(text % f"{{external: true, name: {name}-shared}}", ok=False)
    assert refused["error_code"] == "in_use"
    assert f"Cannot give the container its volume '{name}-shared': VM {name}-1-db (" in refused["msg"], refused["msg"]
    unchanged()
    fleet(text % f"{{name: {name}-shared}}", name=f"{name}-1", state="absent", remove_volumes=True)


def test_an_empty_file_and_more_removals_than_may_be(
    scripted_lab: Lab, fleet: Fleet, unchanged: Callable[[], None], name: str
) -> None:
    fleet(BOTH)
    scripted_lab.reset_calls()
    empty = fleet("services: {}", prune=True, ok=False)
    assert empty["error_code"] == "invalid_option"
    assert "its files name no service at all, so all of its 3 containers would go" in empty["msg"]
    unchanged()
    many = fleet(ONE, prune=True, max_prune=1, ok=False)
    assert many["error_code"] == "invalid_option"
    assert f"2 containers would go, and max_prune is 1: {name}-cron-0, {name}-cron-1" in many["msg"]
    unchanged()
    assert kinds(fleet(ONE, prune=True)) == [("remove", f"{name}-cron-1"), ("remove", f"{name}-cron-0")]
    assert there(scripted_lab, name) == {f"{name}-web"}


def test_a_foreign_vm_in_the_way(scripted_lab: Lab, fleet: Fleet, unchanged: Callable[[], None], name: str) -> None:
    scripted_lab.control("POST", "/vms", {"name": f"{name}-web", "folder": f"bonneville-containers/{name}"})
    refused = fleet(BOTH, ok=False)
    assert refused["error_code"] == "foreign_vm" and f"'{name}-web'" in refused["msg"]
    assert "Rename or move that VM, or use another name or folder" in refused["msg"]
    unchanged()
    assert there(scripted_lab, name) == {f"{name}-web"}
    scripted_lab.control("POST", f"/vms/{name}-web/destroy")


def test_another_owners_fleet(scripted_lab: Lab, fleet: Fleet, unchanged: Callable[[], None], name: str) -> None:
    fleet(ONE, owner="blue")
    scripted_lab.reset_calls()
    for options in ({"text": ONE}, {"state": "absent"}, {"text": BOTH, "owner": "red", "prune": True}):
        refused = fleet(**options, ok=False)
        assert refused["error_code"] == "foreign_vm" and "'blue'" in refused["msg"]
        unchanged()
    fleet(state="absent", owner="blue")
