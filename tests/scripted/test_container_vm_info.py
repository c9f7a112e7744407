"""What stands is told as it is: each container with its VM, in one read."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

from tests.support.containers import clone_containers, hear
from tests.support.lab import Lab, running_lab
from tests.support.modules import run_module
from tests.support.vsphere import FrozenTemplate, connected

Info = Callable[..., list[dict[str, Any]]]
FOLDER = "told"


@pytest.fixture(scope="module")
def told(scripted_lab: Lab, frozen_template: FrozenTemplate) -> Iterator[dict[str, str]]:
    """Containers in every phase, by their VMs' names; removed in the end."""

    def clone(service: str, **fields: Any) -> dict[str, str]:
        with connected(scripted_lab) as session:
            return clone_containers(session, scripted_lab, frozen_template, service, **{"folder": FOLDER, **fields})

    with scripted_lab.scripted(
        {"match": "told-silent", "silent": True},
        {"match": "told-stale", "stale_nonce": True},
        {
            "match": "told-failed",
            "script": [{"phase": "failed", "reason": {"code": "image_pull_failed", "message": "no such image"}}],
        },
        {
            "match": "told-sick",
            "script": [
                {"phase": "running", "container": {"health": "unhealthy", "health_output": "503", "restarts": 2}}
            ],
        },
    ):
        options = {"labels": {"stage": "review", "team": "blue"}, "published_ports": ["80:8080/tcp"], "stop_timeout": 3}
        moids = {
            **clone("told-web", replicas=2, options=options),
            **clone(
                "db", fleet="told-shop", owner="blue", folder=f"{FOLDER}/shop", options={"labels": {"stage": "live"}}
            ),
            **clone("told-silent", phases=()),
            **clone("told-stale", phases=()),
            **clone("told-failed", phases=("failed",)),
            **clone("told-sick"),
            **clone("told-off"),
            **clone("told-ended"),
        }
    scripted_lab.control("POST", "/vms/told-off/power-off")
    scripted_lab.control("POST", "/vms/told-ended/guest-exit?code=3")
    with connected(scripted_lab) as session:
        hear(session, scripted_lab, ["told-ended"], "exited")
    scripted_lab.control("POST", "/vms", {"name": "told-foreign", "folder": FOLDER, "on": True})
    scripted_lab.control("POST", "/vms", {"name": "told-copy", "folder": FOLDER, "like": "told-sick"})
    yield moids
    for name in (*moids, "told-foreign", "told-copy"):
        scripted_lab.control("POST", f"/vms/{name}/destroy")


@pytest.fixture
def result(scripted_lab: Lab, told: dict[str, str]) -> Callable[..., dict[str, Any]]:
    def run(**options: Any) -> dict[str, Any]:
        given = {**scripted_lab.connection, "folder": FOLDER, **options}
        return run_module("container_vm_info", given, environment=scripted_lab.environment)

    return run


@pytest.fixture
def info(result: Callable[..., dict[str, Any]]) -> Info:
    def containers(**options: Any) -> list[dict[str, Any]]:
        said = result(**options)
        assert not said.get("failed"), said["msg"]
        assert said["changed"] is False
        found: list[dict[str, Any]] = said["containers"]
        return found

    return containers


def test_a_container_is_told_whole(info: Info, scripted_lab: Lab, told: dict[str, str]) -> None:
    (one,) = info(name="told-web-1")
    vm = scripted_lab.vms()["told-web-1"]
    assert one | {"container": None, "vm": None, "network": None, "options": None} == {
        "name": "told-web-1",
        "service": "told-web",
        "fleet": None,
        "ordinal": 1,
        "owner": None,
        "template": "scripted",
        "phase": "running",
        "reason": None,
        "labels": {"stage": "review", "team": "blue"},
        "ports": ["80:8080/tcp"],
        "container": None,
        "vm": None,
        "network": None,
        "options": None,
    }
    assert one["container"] | {"id": "", "image_id": "", "image_digest": "", "started_at": ""} == {
        "id": "",
        "image": "registry.example/job:1",
        "image_id": "",
        "image_digest": "",
        "state": "running",
        "exit_code": None,
        "oom": False,
        "health": "none",
        "health_output": "",
        "restarts": 0,
        "started_at": "",
        "finished_at": "",
        "error": "",
    }
    assert one["options"]["stop_timeout"] == 3
    assert one["vm"] | {"boot_time": "", "uptime": 0} == {
        "moid": told["told-web-1"],
        "name": "told-web-1",
        "folder": FOLDER,
        "host": vm["host"],
        "ip": vm["ip"],
        "mac": vm["mac"],
        "power": "poweredOn",
        "boot_time": "",
        "uptime": 0,
        "instance_uuid": vm["instance_uuid"],
        "template_vm": vm["parent"],
        "log_path": f"[{scripted_lab.ready['datastore']}] told-web-1/container.log",
        "annotation": vm["annotation"],
    }
    booted = datetime.datetime.fromisoformat(one["vm"]["boot_time"])
    assert 0 <= one["vm"]["uptime"] <= (datetime.datetime.now(datetime.UTC) - booted).total_seconds()
    assert one["network"]["ip"] == vm["ip"]
    assert "logs" not in one


def test_every_phase_is_told(info: Info) -> None:
    found = {one["name"]: one for one in info()}
    assert {name: one["phase"] for name, one in found.items()} == {
        "told-shop-db": "running",
        "told-web-0": "running",
        "told-web-1": "running",
        # They came up a moment ago, and nothing is said there, or nothing that is of this clone.
        "told-silent": "booting",
        "told-stale": "booting",
        "told-failed": "failed",
        "told-sick": "running",
        "told-off": "stopped",
        "told-ended": "exited",
    }
    assert found["told-failed"]["reason"] == {"code": "image_pull_failed", "message": "no such image"}
    assert found["told-sick"]["container"]["health"] == "unhealthy"
    assert found["told-sick"]["container"]["health_output"] == "503"
    assert found["told-sick"]["container"]["restarts"] == 2
    assert found["told-ended"]["container"]["exit_code"] == 3
    off = found["told-off"]
    assert (off["vm"]["power"], off["vm"]["ip"], off["vm"]["uptime"]) == ("poweredOff", None, None)
    # Of one that is off, what it was made from is known.
    assert off["container"]["image"] == "registry.example/job:1"
    assert off["container"]["state"] is None
    shop = found["told-shop-db"]
    assert (shop["service"], shop["fleet"], shop["owner"], shop["vm"]["folder"]) == (
        "db", "told-shop", "blue", f"{FOLDER}/shop",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"service": "told-web"}, ["told-web-0", "told-web-1"]),
        ({"service": ["told-web", "told-shop/db"]}, ["told-web-0", "told-web-1", "told-shop-db"]),
        ({"fleet": "told-shop"}, ["told-shop-db"]),
        ({"labels": ["stage"]}, ["told-web-0", "told-web-1", "told-shop-db"]),
        ({"labels": ["stage=review", "team=blue"]}, ["told-web-0", "told-web-1"]),
        ({"labels": ["stage=review", "team=red"]}, []),
        ({"phase": ["failed", "exited"]}, ["told-ended", "told-failed"]),
        ({"phase": "stopped"}, ["told-off"]),
        ({"template": "scripted", "name": "told-off"}, ["told-off"]),
        ({"template": "another"}, []),
        ({"image": "registry.example/job:1", "name": "told-off"}, ["told-off"]),
        ({"image": "registry.example/job"}, []),  # which means latest
        ({"name": "told-foreign"}, []),
        ({"name": []}, []),
        ({"folder": f"{FOLDER}/shop"}, ["told-shop-db"]),
    ],
)
def test_filters(info: Info, options: dict[str, Any], names: list[str]) -> None:
    assert [one["name"] for one in info(**options)] == names


def test_hosts_by_short_and_by_full_name(info: Info, scripted_lab: Lab) -> None:
    for one in info(service="told-web"):
        assert one["name"] in {other["name"] for other in info(host=one["vm"]["host"])}
    assert not info(host="no-such-host")


def test_logs(info: Info, scripted_lab: Lab, told: dict[str, str]) -> None:
    by_name = {one["name"]: one["logs"] for one in info(logs=2)}
    assert by_name["told-web-0"] == ["container told-web-0 started"]
    assert by_name["told-ended"] == ["container told-ended started", "container told-ended exited with 3"]
    assert [one["logs"] for one in info(name="told-ended", logs=1)] == [["container told-ended exited with 3"]]


def test_a_log_that_is_missing_is_a_warning(
    result: Callable[..., dict[str, Any]], session: Session, scripted_lab: Lab
) -> None:
    gone = session.http(
        "DELETE", f"/folder/told-sick/container.log?dcPath=DC0&dsName={scripted_lab.ready['datastore']}"
    )
    assert gone.status == 204
    said = result(name=["told-sick", "told-off"], logs=5)
    assert {one["name"]: one["logs"] for one in said["containers"]} == {
        "told-sick": [],
        "told-off": ["container told-off started"],
    }
    assert "told-sick" in str(said["warnings"])
    assert "no log file" in str(said["warnings"])


def test_it_costs_one_login_and_one_read(info: Info, scripted_lab: Lab) -> None:
    scripted_lab.reset_calls()
    info()
    assert scripted_lab.calls() == {
        "RetrieveServiceContent": 1,
        "Login": 1,
        "RetrievePropertiesEx": 2,  # the datacenter, and everything in the folder
        "FindByInventoryPath": 1,
        "Logout": 1,
    }


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"folder": "tolt"}, "not_found", "told"),
        ({"folder": "a//b"}, "invalid_option", "a//b"),
        ({"datacenter": "DC9"}, "not_found", "DC0"),
        ({"logs": -1}, "invalid_option", "logs"),
        ({"labels": ["=x"]}, "invalid_option", "labels"),
        ({"phase": ["sleeping"]}, "invalid_option", "phase"),
        ({"vcenter_password": "wrong"}, "login_refused", "vcenter_password"),
    ],
)
def test_bad_input(result: Callable[..., dict[str, Any]], options: dict[str, Any], code: str, words: str) -> None:
    said = result(**options)
    assert said["failed"]
    assert said["error_code"] == code
    assert words in said["msg"]


def test_a_missing_default_folder_holds_nothing() -> None:
    with running_lab(guests="scripted", hosts=1) as lab:
        said = run_module("container_vm_info", lab.connection, environment=lab.environment)
        assert said["containers"] == []
