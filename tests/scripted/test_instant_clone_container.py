"""A service of containers from its first clone to its last, over real SOAP; and what bad input gets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import apply
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import ensure_folder, find_datacenter
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

from tests.support.lab import Lab, running_lab
from tests.support.modules import run_module
from tests.support.vsphere import FrozenTemplate, freeze_template

Run = Callable[..., dict[str, Any]]

IMAGE = "registry.example/web:1"


@pytest.fixture
def run(scripted_lab: Lab, frozen_template: FrozenTemplate) -> Run:
    """Run the module; its options are a sound service's, but for those that are given."""

    def call(*, check: bool = False, **options: Any) -> dict[str, Any]:
        sound = {"name": "web", "template": frozen_template.name, "image": IMAGE, **scripted_lab.connection}
        given = {name: value for name, value in {**sound, **options}.items() if value is not None}
        return run_module("instant_clone_container", given, check=check, environment=scripted_lab.environment)

    return call


@pytest.fixture
def service(run: Run, request: pytest.FixtureRequest) -> Iterator[Run]:
    """As ``run``, for a service of this test's own, which is removed afterwards."""
    name = request.node.originalname.removeprefix("test_").replace("_", "-")[:40].strip("-")

    def call(**options: Any) -> dict[str, Any]:
        return run(**{"name": name, **options})

    yield call
    gone = run(name=name, state="absent")
    assert not gone.get("failed"), gone["msg"]


def inventory(lab: Lab) -> list[tuple[Any, ...]]:
    """All that a run could change of anything, in an order that stays."""
    return sorted((vm["moid"], vm["name"], vm["folder"], vm["power"], vm["frozen"]) for vm in lab.state()["vms"])


def kinds(result: dict[str, Any]) -> list[tuple[str, str]]:
    assert not result.get("failed"), result["msg"]
    return [(one["action"], one["name"]) for one in result["actions"]]


# Its life -------------------------------------------------------------------


def test_replicas_are_made_kept_and_scaled(service: Run, scripted_lab: Lab) -> None:
    made = service(replicas=4)
    name = made["containers"][0]["service"]
    assert kinds(made) == [("create", f"{name}-{number}") for number in range(4)]
    assert {one["vm"]["host"] for one in made["containers"]} == set(scripted_lab.ready["hosts"])
    assert all(
        one["phase"] == "running" and one["vm"]["folder"] == "bonneville-containers" for one in made["containers"]
    )
    assert kinds(service(replicas=4)) == []
    assert kinds(service(replicas=2)) == [("remove", f"{name}-3"), ("remove", f"{name}-2")]
    assert len(service(replicas=2)["containers"]) == 2


def test_check_mode_foretells_and_touches_nothing(service: Run, scripted_lab: Lab) -> None:
    before = inventory(scripted_lab)
    foretold = service(check=True, replicas=2)
    assert inventory(scripted_lab) == before
    done = service(replicas=2)
    assert foretold["changed"]
    assert kinds(foretold) == kinds(done)
    assert foretold["diff"] == done["diff"]


def test_no_sealed_spec_stays_and_the_annotation_tells(service: Run, scripted_lab: Lab) -> None:
    name = service(env={"PASSWORD": "distinctive-9137"})["vm"]["name"]
    vm = scripted_lab.vms()[name]
    assert "guestinfo.bonneville.spec" not in {key for key, value in vm["extra_config"].items() if value}
    assert "distinctive-9137" not in str(scripted_lab.state())
    with_words = service()["vm"]["annotation"]
    assert name in with_words
    assert IMAGE in with_words


def test_a_replacement_takes_the_name_and_the_old_one_goes(service: Run, scripted_lab: Lab) -> None:
    first = service(labels={"a": "1"})
    second = service(labels={"a": "2"})
    assert kinds(second) == [("recreate", first["vm"]["name"])]
    assert second["diff"]["before"] == {first["vm"]["name"]: {"labels": {"a": "1"}}}
    assert second["vm"]["name"] == first["vm"]["name"]
    assert second["vm"]["moid"] != first["vm"]["moid"]
    assert first["vm"]["moid"] not in {vm["moid"] for vm in scripted_lab.state()["vms"]}
    third = service(labels={"a": "3"})
    assert third["vm"]["name"] == first["vm"]["name"]


def test_a_replacement_that_fails_leaves_the_old_one(service: Run, scripted_lab: Lab) -> None:
    first = service(labels={"a": "1"})
    name = first["vm"]["name"]
    failing = {
        "match": f"{name}~2",
        "script": [{"phase": "failed", "reason": {"code": "disk_full", "message": "no space"}}],
    }
    with scripted_lab.scripted(failing):
        failed = service(labels={"a": "2"})
    assert failed["error_code"] == "guest_failed"
    assert failed["reason"]["code"] == "disk_full"
    assert name in failed["msg"]
    assert [vm["moid"] for vm in scripted_lab.state()["vms"] if vm["name"].startswith(name)] == [first["vm"]["moid"]]
    assert kinds(service(labels={"a": "1"})) == []


def test_one_with_an_address_of_its_own_makes_room_first(service: Run, scripted_lab: Lab) -> None:
    options = {"ip_address": "198.18.0.9/15", "gateway": "198.18.0.1"}
    first = service(labels={"a": "1"}, **options)
    name = first["vm"]["name"]
    with scripted_lab.scripted(
        {"match": f"{name}~2", "script": [{"phase": "failed", "reason": {"code": "internal", "message": "broken"}}]}
    ):
        failed = service(labels={"a": "2"}, **options)
    assert "old one was started again" in failed["msg"]
    assert scripted_lab.vms()[name]["power"] == "poweredOn"
    assert kinds(service(labels={"a": "2"}, **options)) == [("recreate", name)]


def test_a_stopped_one_whose_replacement_fails_stays_off(service: Run, scripted_lab: Lab) -> None:
    options = {"ip_address": "198.18.0.9/15", "state": "stopped"}
    name = service(labels={"a": "1"}, **options)["vm"]["name"]
    with scripted_lab.scripted({"match": f"{name}~2", "script": [OUT_OF_SPACE]}):
        failed = service(labels={"a": "2"}, **options)
    assert failed["reason"]["code"] == "disk_full"
    assert "so the old one stays off" in failed["msg"] and "started again" not in failed["msg"]
    assert scripted_lab.vms()[name]["power"] == "poweredOff"
    assert kinds(service(labels={"a": "1"}, **options)) == []


def test_one_with_an_address_that_is_kept_though_it_failed_is_off(service: Run, scripted_lab: Lab) -> None:
    options = {"ip_address": "198.18.0.9/15", "on_failure": "keep"}
    name = service(labels={"a": "1"}, **options)["vm"]["name"]
    with scripted_lab.scripted({"match": f"{name}~2", "script": [OUT_OF_SPACE]}):
        failed = service(labels={"a": "2"}, **options)
    assert "its VM was powered off" in failed["msg"] and "old one was started again" in failed["msg"]
    assert scripted_lab.vms()[name]["power"] == "poweredOn"
    assert scripted_lab.vms()[f"{name}~2"]["power"] == "poweredOff"
    assert ("recreate", name) in kinds(service(labels={"a": "2"}, **options)), "what had failed was started"
    assert vms_of(scripted_lab, name) == [name]


def test_states_from_present_to_stopped(service: Run, scripted_lab: Lab) -> None:
    # Scripted guests do not read their specs: one that is told not to start has to be scripted so.
    with scripted_lab.scripted({"match": "states-*", "script": [{"phase": "created"}]}):
        present = service(state="present")
        assert present["phase"] == "created"
        name = present["vm"]["name"]
        assert kinds(service(state="present")) == []
    assert kinds(service(state="started")) == [("start", name)]
    assert kinds(service(state="stopped")) == [("stop", name)]
    assert scripted_lab.vms()[name]["power"] == "poweredOff"
    assert kinds(service(state="stopped")) == []
    assert service(state="started")["phase"] == "running"


def test_a_new_one_that_is_to_be_stopped_is_made_and_off(service: Run, scripted_lab: Lab) -> None:
    made = service(state="stopped")
    assert scripted_lab.vms()[made["vm"]["name"]]["power"] == "poweredOff"
    assert kinds(service(state="stopped")) == []


def test_an_ended_container_is_started_again(service: Run, scripted_lab: Lab) -> None:
    name = service()["vm"]["name"]
    scripted_lab.control("POST", f"/vms/{name}/guest-exit?code=4")
    again = service()
    assert kinds(again) == [("start", name)]
    assert again["actions"][0]["reason"] == "it ended with exit code 4"


def test_renamed_and_moved_by_hand(service: Run, scripted_lab: Lab) -> None:
    made = service()
    name = made["vm"]["name"]
    scripted_lab.control("POST", f"/vms/{name}/rename?to=something-else")
    renamed = service()
    assert kinds(renamed) == [("rename", name)]
    scripted_lab.control("POST", f"/vms/{name}/move?folder=others")
    moved = service()
    assert moved["vm"]["moid"] == made["vm"]["moid"], "it was made twice"


def test_a_guest_that_comes_up_late_is_waited_for(service: Run, scripted_lab: Lab) -> None:
    made = service()
    name = made["vm"]["name"]
    # What vSphere HA does with a VM whose host is gone.
    with scripted_lab.scripted({"match": name, "script": [{"after_ms": 1500, "phase": "running"}]}):
        scripted_lab.control("POST", f"/vms/{name}/power-off")
        scripted_lab.control("POST", f"/vms/{name}/power-on")
        again = service()
    assert kinds(again) == []
    assert again["vm"]["moid"] == made["vm"]["moid"], "it was replaced while it booted"
    assert again["phase"] == "running"


def test_calls_do_not_grow_with_the_inventory_and_little_with_the_replicas(scripted_lab: Lab, service: Run) -> None:
    scripted_lab.reset_calls()
    service(replicas=10)
    many = scripted_lab.calls()
    assert many["InstantClone_Task"] == many["ReconfigVM_Task"] == 10
    assert sum(many.values()) <= 2 * 10 + 20
    scripted_lab.reset_calls()
    service(replicas=10)
    assert sum(scripted_lab.calls().values()) <= 8


# Two runs at once -------------------------------------------------------------


@pytest.mark.parametrize("on_failure", ["remove", "keep"])
def test_a_run_leaves_alone_what_another_made_meanwhile(
    service: Run, scripted_lab: Lab, monkeypatch: pytest.MonkeyPatch, on_failure: str
) -> None:
    """Both had planned to make it."""
    won: dict[str, Any] = {}
    with beaten(monkeypatch, lambda: won.update(service())):
        lost = service(on_failure=on_failure)
    assert kinds(won) == [("create", won["vm"]["name"])]
    assert lost["error_code"] == "in_use" and "another run made it meanwhile. Run again" in lost["msg"]
    vm = scripted_lab.vms()[won["vm"]["name"]]
    assert vm["moid"] == won["vm"]["moid"] and vm["power"] == "poweredOn"
    assert kinds(service()) == []


def test_a_run_leaves_alone_what_another_replaces_meanwhile(
    service: Run, scripted_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one, which had to make room, is not started beside the other run's new one."""
    first = service(labels={"a": "1"}, ip_address="198.18.0.9/15")
    name = first["vm"]["name"]
    options = {
        "name": first["containers"][0]["service"],
        "template": first["containers"][0]["template"],
        "image": IMAGE,
        "labels": {"a": "2"},
        "ip_address": "198.18.0.9/15",
        **scripted_lab.connection,
    }
    others: list[subprocess.Popen[bytes]] = []

    def replace_slowly() -> None:
        others.append(begin(scripted_lab, options))
        late = time.monotonic() + 30
        while f"{name}~2" not in scripted_lab.vms() and time.monotonic() < late:
            time.sleep(0.02)

    slow = {"match": f"{name}~2", "script": [{"after_ms": 4000, "phase": "running"}]}
    with scripted_lab.scripted(slow), beaten(monkeypatch, replace_slowly):
        lost = service(labels={"a": "2"}, ip_address="198.18.0.9/15")
        standing = {vm["name"]: vm["power"] for vm in scripted_lab.state()["vms"] if vm["name"].startswith(name)}
        assert others[0].wait(timeout=60) == 0
    assert lost["error_code"] == "in_use" and "another run made it meanwhile" in lost["msg"]
    assert standing == {name: "poweredOff", f"{name}~2": "poweredOn"}
    assert vms_of(scripted_lab, name) == [name]
    assert scripted_lab.vms()[name]["power"] == "poweredOn"
    assert kinds(service(labels={"a": "2"}, ip_address="198.18.0.9/15")) == []


@contextmanager
def beaten(monkeypatch: pytest.MonkeyPatch, other: Callable[[], None]) -> Iterator[None]:
    """What another run does comes between the next run's plan and its first clone."""
    clone = apply.instant_clone

    def late(*given: Any, **options: Any) -> Any:
        monkeypatch.setattr(apply, "instant_clone", clone)
        other()
        return clone(*given, **options)

    monkeypatch.setattr(apply, "instant_clone", late)
    yield
    monkeypatch.setattr(apply, "instant_clone", clone)


def begin(lab: Lab, options: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Begin a run in a process of its own."""
    run = "import json, sys; from tests.support.modules import run_module; "
    run += "sys.exit(run_module('instant_clone_container', json.loads(sys.argv[1])).get('failed', 0))"
    environment = {**os.environ, **lab.environment, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", run, json.dumps(options)], env=environment)


# Jobs -----------------------------------------------------------------------

JOB: dict[str, Any] = {"detach": False, "cleanup": True}
OUT_OF_SPACE = {"phase": "failed", "reason": {"code": "disk_full", "message": "no space"}}


def end(code: int = 0) -> dict[str, Any]:
    return {"phase": "exited", "container": {"state": "exited", "exit_code": code}}


@contextmanager
def ending_soon(lab: Lab, name: str) -> Iterator[None]:
    """The container ends by itself a while after the block has begun."""
    timer = threading.Timer(3.0, lab.control, ["POST", f"/vms/{name}/guest-exit?code=0"])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def vms_of(lab: Lab, name: str) -> list[str]:
    return sorted(vm["name"] for vm in lab.state()["vms"] if vm["name"].startswith(name))


@pytest.mark.parametrize("code", [0, 5])
def test_a_job_that_ended_goes_with_its_vm(service: Run, scripted_lab: Lab, code: int) -> None:
    foretold = service(check=True, **JOB)
    with scripted_lab.scripted({"match": "a-job-that-*", "script": [{"phase": "running"}, end(code)]}):
        job = service(**JOB)
    assert job["container"]["exit_code"] == code
    assert [one["action"] for one in job["actions"]] == ["create"] == [one["action"] for one in foretold["actions"]]
    assert job["changed"] and bool(job.get("failed")) == bool(code)
    assert not vms_of(scripted_lab, "a-job-that-ended")


def test_a_job_that_ran_already_is_told_to_be_removed(service: Run, scripted_lab: Lab) -> None:
    name = service()["vm"]["name"]
    before = inventory(scripted_lab)
    foretold = service(check=True, **JOB)
    assert inventory(scripted_lab) == before
    with ending_soon(scripted_lab, name):
        job = service(**JOB)
    assert foretold["changed"] and job["changed"]
    assert kinds(foretold) == kinds(job) == [("remove", name)]
    assert "cleanup" in job["actions"][0]["reason"]
    assert foretold["diff"] == job["diff"]
    assert job["diff"]["after"] == {name: {"state": "absent"}}
    assert not vms_of(scripted_lab, name)


def test_a_job_that_ran_already_and_is_not_to_go_changes_nothing(service: Run, scripted_lab: Lab) -> None:
    name = service()["vm"]["name"]
    with ending_soon(scripted_lab, name):
        assert kinds(service(detach=False)) == []
    assert vms_of(scripted_lab, name) == [name]


def test_jobs_that_are_started_again_are_told_to_be_removed(service: Run, scripted_lab: Lab) -> None:
    with scripted_lab.scripted({"match": "jobs-that-*", "script": [{"phase": "running"}, end()]}):
        names = [one["name"] for one in service(replicas=2, detach=False)["containers"]]
        foretold = service(check=True, replicas=2, **JOB)
        jobs = service(replicas=2, **JOB)
    assert kinds(jobs) == [*(("start", name) for name in names), *(("remove", name) for name in reversed(names))]
    assert kinds(foretold) == kinds(jobs)
    assert foretold["diff"] == jobs["diff"]
    assert not vms_of(scripted_lab, "jobs-that-")


@pytest.mark.parametrize("on_failure", ["remove", "keep"])
def test_a_job_whose_replacement_fails_stays(service: Run, scripted_lab: Lab, on_failure: str) -> None:
    name = service(labels={"a": "1"})["vm"]["name"]
    scripted_lab.control("POST", f"/vms/{name}/guest-exit?code=0")
    with scripted_lab.scripted({"match": f"{name}~2", "script": [OUT_OF_SPACE]}):
        failed = service(labels={"a": "2"}, on_failure=on_failure, **JOB)
    assert failed["reason"]["code"] == "disk_full"
    assert [one["action"] for one in failed["actions"]] == ["recreate"]
    assert vms_of(scripted_lab, name) == [name, *([f"{name}~2"] if on_failure == "keep" else [])]


def test_of_jobs_those_stay_that_did_not_end_in_time(service: Run, scripted_lab: Lab) -> None:
    with scripted_lab.scripted({"match": "of-jobs-*-0", "script": [{"phase": "running"}, end()]}):
        late = service(replicas=2, on_failure="keep", timeout=5, **JOB)
    assert late["error_code"] == "guest_silent", late["msg"]
    left = vms_of(scripted_lab, "of-jobs-")
    assert len(left) == 1 and left[0].endswith("-1")
    again = service(replicas=2, timeout=3, **JOB)
    assert {one["action"] for one in again["actions"]} == {"create"}
    assert vms_of(scripted_lab, "of-jobs-") == left


def test_a_container_that_is_only_made_is_no_job(service: Run, scripted_lab: Lab) -> None:
    with scripted_lab.scripted({"match": "a-container-*", "script": [{"phase": "created"}]}):
        made = service(state="present", **JOB)
    name = made["vm"]["name"]
    assert kinds(made) == [("create", name)]
    assert kinds(service(check=True, state="present", **JOB)) == kinds(service(state="present", **JOB)) == []
    assert vms_of(scripted_lab, name) == [name]


# Bad input ------------------------------------------------------------------

REFUSED: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    # what is wrong: the options, the error's code, and words that have to be in it
    "unknown template": ({"template": "scriptde"}, "not_found", ["scriptde", "'scripted'"]),
    "unknown network": ({"network": "VM Netwrok"}, "not_found", ["VM Netwrok", "'VM Network'"]),
    "unknown datastore": ({"datastore": "LocalDS_1O"}, "not_found", ["LocalDS_1O", "LocalDS_0"]),
    "unknown folder": ({"folder": "othres"}, "not_found", ["othres", "'others'"]),
    "unknown pool": ({"resource_pool": "DC0_C0/Pool"}, "not_found", ["DC0_C0/Pool"]),
    "unknown datacenter": ({"datacenter": "DCO"}, "not_found", ["DCO", "'DC0'"]),
    "image neither held nor pullable": ({"image": "x:1", "pull": "never"}, "template_unusable", ["x:1", "pull"]),
    "memory above the template's": ({"memory": "900g"}, "capacity_short", ["921600 MiB", "no more"]),
    "CPUs above the template's": ({"cpus": 99}, "capacity_short", ["99", "no more"]),
    "spec over 48 KiB": ({"env": {"A": "{noise}"}}, "spec_too_large", ["49152", "web"]),
    "port published twice": ({"ports": ["80:1", "80:2"]}, "invalid_option", ["80/tcp"]),
    "host bind mount": ({"volumes": ["/etc:/etc"]}, "unsupported", ["/etc:/etc", ":ro"]),
    "file that is not there": ({"volumes": ["/no/such:/x:ro"]}, "invalid_option", ["/no/such"]),
    "boolean in env": ({"env": {"A": True}}, "invalid_option", ["env.A", "quote it"]),
    "float in env": ({"env": {"A": 1.1}}, "invalid_option", ["env.A", "quote it"]),
    "address for two": ({"replicas": 2, "ip_address": "198.18.0.9/15"}, "invalid_option", ["2 replicas"]),
    "option of Docker's that a VM cannot honour": (
        {"network_mode": "host"},
        "unsupported",
        ["network_mode", "port group"],
    ),
    "cleanup without waiting": ({"cleanup": True}, "invalid_option", ["detach"]),
    "name that no VM can bear": ({"name": "a/b"}, "invalid_option", ["a/b"]),
    "negative replicas": ({"replicas": -1}, "invalid_option", ["-1"]),
    "unknown comparison": ({"comparisons": {"imgae": "ignore"}}, "invalid_option", ["imgae", "image"]),
    "wrong password": ({"vcenter_password": "wrong"}, "login_refused", ["vcenter_password"]),
    "vCenter that is not there": ({"vcenter_port": 9}, "vcenter_unreachable", ["127.0.0.1:9"]),
}


@pytest.mark.parametrize("case", REFUSED, ids=list(REFUSED))
def test_bad_input_is_told_and_nothing_changes(run: Run, scripted_lab: Lab, case: str, noise: str) -> None:
    options, code, words = REFUSED[case]
    if options.get("env", {}).get("A") == "{noise}":
        options = {"env": {"A": noise}}
    before = inventory(scripted_lab)
    for check in (True, False):
        refused = run(check=check, **options)
        assert refused.get("failed"), "it was accepted"
        assert refused.get("error_code") == code, refused["msg"]
        assert all(word in refused["msg"] for word in words), refused["msg"]
    assert inventory(scripted_lab) == before


@pytest.fixture(scope="session")
def noise() -> str:
    """What no compression makes smaller."""
    return "".join(f"{number * 2654435761 % 2**32:08x}" for number in range(20_000))


def test_a_foreign_vm_of_the_wanted_name_is_left_alone(run: Run, service: Run, scripted_lab: Lab) -> None:
    service()  # so that the folder is there
    scripted_lab.control("POST", "/vms", {"name": "taken", "folder": "bonneville-containers", "on": True})
    before = inventory(scripted_lab)
    for state in ("started", "stopped"):
        refused = run(name="taken", state=state)
        assert refused["error_code"] == "foreign_vm"
        assert "taken" in refused["msg"]
    assert kinds(run(name="taken", state="absent")) == []
    assert inventory(scripted_lab) == before
    scripted_lab.control("POST", "/vms/taken/destroy")


def test_marks_that_an_admin_copied_make_no_vm_ours(run: Run, service: Run, scripted_lab: Lab) -> None:
    name = service()["vm"]["name"]
    scripted_lab.control(
        "POST", "/vms", {"name": "copy-0", "folder": "bonneville-containers", "like": name, "on": True}
    )
    before = inventory(scripted_lab)
    refused = run(name="copy", replicas=1)
    assert refused["error_code"] == "foreign_vm"
    assert "copied" in refused["msg"]
    assert kinds(service()) == []
    assert inventory(scripted_lab) == before
    scripted_lab.control("POST", "/vms/copy-0/destroy")


def test_another_owner_is_refused(service: Run, scripted_lab: Lab) -> None:
    service(owner="https://git.example/a")
    before = inventory(scripted_lab)
    refused = service(owner="https://git.example/b", labels={"x": "1"})
    assert refused["error_code"] == "foreign_vm"
    assert "git.example/a" in refused["msg"]
    assert inventory(scripted_lab) == before
    assert service(owner="https://git.example/a", state="absent")["changed"]


def test_a_missing_privilege_is_named(service: Run, scripted_lab: Lab) -> None:
    before = inventory(scripted_lab)
    scripted_lab.control("POST", "/switch", {"deny": ["VirtualMachine.Provisioning.Clone"]})
    try:
        refused = service(replicas=2)
    finally:
        scripted_lab.control("POST", "/switch", {"deny": []})
    assert refused["error_code"] == "permission_missing"
    assert "VirtualMachine.Provisioning.Clone" in refused["msg"]
    assert inventory(scripted_lab) == before


def test_a_replacement_that_could_not_remove_the_old_one_is_not_begun(service: Run, scripted_lab: Lab) -> None:
    service(labels={"a": "1"})
    before = inventory(scripted_lab)
    scripted_lab.control("POST", "/switch", {"deny": ["VirtualMachine.Inventory.Delete"]})
    try:
        refused = service(labels={"a": "2"})
    finally:
        scripted_lab.control("POST", "/switch", {"deny": []})
    assert refused["error_code"] == "permission_missing"
    assert inventory(scripted_lab) == before


def test_too_little_room_for_swap_files(service: Run, scripted_lab: Lab) -> None:
    free = 0.01
    scripted_lab.control("POST", "/switch", {"datastore_free_gb": free})
    try:
        refused = service(replicas=3)
    finally:
        scripted_lab.control("POST", "/switch", {"datastore_free_gb": 1000})
    assert refused["error_code"] == "capacity_short"
    assert "swap" in refused["msg"]


def test_a_guest_that_never_answers_ends_at_the_deadline(service: Run, scripted_lab: Lab) -> None:
    with scripted_lab.scripted({"match": "*", "silent": True}):
        late = service(timeout=3)
    assert late["error_code"] == "guest_silent"
    assert "3 s were not enough" in late["msg"]
    assert "said nothing" in late["msg"]
    assert not [vm for vm in scripted_lab.vms("bonneville-containers") if vm.startswith("a-guest")]


TROUBLES: dict[str, tuple[dict[str, str] | str, str, str]] = {
    "unfrozen": ("unfreeze", "template_unusable", "not frozen"),
    "off": ("power-off", "template_unusable", "poweredOff"),
    "guestinfo disabled": ({"isolation.tools.setinfo.disable": "TRUE"}, "template_unusable", "setinfo"),
    "agent of a version that we do not speak": ({"bonneville.speaks": "7-9"}, "agent_unsupported", "7 to 9"),
    "another key than the recorded one": ({"guestinfo.bonneville.key": "AAAA"}, "seal_broken", "record the key"),
}


@pytest.mark.parametrize("trouble", TROUBLES, ids=list(TROUBLES))
def test_a_template_that_cannot_be_used_is_told(
    run: Run, scripted_lab: Lab, session: Session, broken_template: Callable[[], FrozenTemplate], trouble: str
) -> None:
    change, code, words = TROUBLES[trouble]
    template = broken_template()
    for moid in template.moids:
        if isinstance(change, str):
            scripted_lab.control("POST", f"/vms/{moid}/{change}")
        else:
            scripted_lab.control("POST", f"/vms/{moid}/reconfigure", change)
    before = inventory(scripted_lab)
    refused = run(template=template.name, template_folder=template.folder)
    assert refused["error_code"] == code, refused["msg"]
    assert words in refused["msg"] and template.name in refused["msg"], refused["msg"]
    assert inventory(scripted_lab) == before


@pytest.fixture
def broken_template(
    session: Session, scripted_lab: Lab, request: pytest.FixtureRequest
) -> Iterator[Callable[[], FrozenTemplate]]:
    """Makes a template that the test may break."""
    made: list[FrozenTemplate] = []

    def make() -> FrozenTemplate:
        name = f"broken{abs(hash(request.node.name)) % 10_000}"
        made.append(freeze_template(session, scripted_lab, name=name, folder="broken-templates", images=(IMAGE,)))
        return made[0]

    yield make
    for template in made:
        for moid in template.moids:
            scripted_lab.control("POST", f"/vms/{moid}/destroy")


def test_an_api_without_instant_clones_is_told() -> None:
    with running_lab(guests="scripted", hosts=1, arguments=("--api-version", "6.5")) as lab:
        options = {"name": "web", "template": "t", "image": "i:1", **lab.connection}
        refused = run_module("instant_clone_container", options, environment=lab.environment)
    assert refused["error_code"] == "api_unsupported"
    assert "6.7" in refused["msg"]


def test_a_certificate_that_nobody_vouches_for_is_told(scripted_lab: Lab) -> None:
    options = {"name": "web", "template": "t", "image": "i:1", **scripted_lab.connection}
    refused = run_module(
        "instant_clone_container", options, environment={"SSL_CERT_FILE": "", "REQUESTS_CA_BUNDLE": ""}
    )
    assert refused["error_code"] == "certificate_untrusted", refused["msg"]


def test_two_folders_may_each_have_one_of_a_name(run: Run, service: Run, scripted_lab: Lab, session: Session) -> None:
    here = service()
    name = here["vm"]["name"]
    ensure_folder(session, datacenter=find_datacenter(session), path="second-home")
    there = run(name=name, folder="second-home")
    assert kinds(there) == [("create", name)]
    assert there["vm"]["log_path"] != here["vm"]["log_path"]
    assert kinds(run(name=name, folder="second-home", state="absent")) == [("remove", name)]
    assert kinds(service()) == []
    assert not scripted_lab.state()["orphan_files"]


def test_files_of_the_controller_are_carried_and_compared(service: Run, tmp_path: Path) -> None:
    file = tmp_path / "app.conf"
    file.write_text("one")
    options = {"volumes": [f"{file}:/etc/app.conf:ro"]}
    first = service(**options)
    assert kinds(service(**options)) == []
    file.write_text("two")
    changed = service(**options)
    assert kinds(changed) == [("recreate", first["vm"]["name"])]
    assert changed["actions"][0]["reason"] == "changed: files"
