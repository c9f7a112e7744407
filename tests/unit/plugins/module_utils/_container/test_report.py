from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.report import container_name, describe
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol

from tests.unit.plugins.module_utils._container.tables import service, vm

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "s3cret-value"
WEB = service(
    options={
        "env": {"PASSWORD": SECRET},
        "labels": {"stage": "live"},
        "published_ports": ["80:8080"],
        "volumes": ["/etc/app.conf:/app.conf:ro"],
    },
    owner="blue",
)
NETWORK = protocol.NetworkStatus(
    ip="192.0.2.7", mac="00:50:56:00:00:07", hostname="web-3", prefix=24, gateway="192.0.2.1"
)


def web(ordinal: str = "3", **given: Any) -> ContainerVm:
    one = vm(WEB.identity(ordinal), WEB, host="esx1.example", boot_time="2026-03-01T11:00:00+00:00", **given)
    # As it is read back from vCenter.
    applied = marks_of.decode_applied(marks_of.encode_applied(one.marks.applied))
    return replace(one, marks=replace(one.marks, applied=applied))


def test_one_that_runs() -> None:
    told = describe(web(ip="192.0.2.7", status_fields={"network": NETWORK}), now=NOW)
    assert told["name"] == "web-3"
    assert (told["service"], told["fleet"], told["ordinal"], told["owner"]) == ("web", None, 3, "blue")
    assert (told["phase"], told["reason"], told["template"]) == ("running", None, "photon")
    assert told["labels"] == {"stage": "live"}
    assert told["ports"] == ["80:8080/tcp"]
    assert told["options"]["image"] == "web:1"
    assert told["container"]["state"] == "running"
    assert (told["vm"]["ip"], told["vm"]["mac"], told["vm"]["uptime"]) == ("192.0.2.7", "00:50:56:00:00:07", 3600)
    assert told["network"]["hostname"] == "web-3"
    assert "logs" not in told


@pytest.mark.parametrize("phase", ["silent", "stopped", "thawed"])
def test_without_a_word_of_its_container_what_it_was_made_from_is_known(phase: str) -> None:
    container = describe(web(phase=phase), now=NOW)["container"]
    assert container.keys() == {field.name for field in fields(protocol.ContainerStatus)}
    assert {key: value for key, value in container.items() if value is not None} == {"image": "web:1"}


def test_a_reason_is_told() -> None:
    reason = protocol.Reason(code="image_pull_failed", message="no such image")
    told = describe(web(phase="failed", status_fields={"reason": reason}))
    assert told["reason"] == {"code": "image_pull_failed", "message": "no such image"}


def test_the_address_that_the_guest_tells_serves_where_vcenter_has_none_yet() -> None:
    assert describe(web(status_fields={"network": NETWORK}))["vm"]["ip"] == "192.0.2.7"
    assert describe(web())["vm"]["ip"] is None


@pytest.mark.parametrize(
    ("boot_time", "expected"),
    [
        ("", None),
        ("2026-03-01T12:00:09+00:00", 0),
        ("2026-03-01T13:59:00+02:00", 60),
        ("2026-03-01T11:59:58.5+00:00", 1),
    ],
)
def test_uptime(boot_time: str, expected: int | None) -> None:
    assert describe(replace(web(), boot_time=boot_time), now=NOW)["vm"]["uptime"] == expected


def test_names_of_vms_and_of_containers() -> None:
    under_way = web(slot="2", name="web-3~2")
    assert (container_name(under_way), describe(under_way)["vm"]["name"]) == ("web-3", "web-3~2")
    assert describe(web(""))["name"] == "web"
    assert describe(web(""))["ordinal"] is None
    fleet = service("db", fleet="shop")
    assert describe(vm(fleet.identity("0"), fleet))["name"] == "shop-db-0"


def test_logs_are_told_where_they_were_asked_for() -> None:
    assert describe(web(), logs=("a", "b"))["logs"] == ["a", "b"]
    assert describe(web(), logs=())["logs"] == []


@pytest.mark.parametrize("phase", ["running", "exited", "stopped", "silent"])
def test_it_is_json_and_no_secret_is_in_it(phase: str) -> None:
    told = json.dumps(describe(web(phase=phase)))
    assert SECRET not in told
    assert "key = value" not in told
