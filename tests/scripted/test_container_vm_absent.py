"""Containers are removed by selection, gracefully or not, and nothing that is not ours goes with them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import power
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import ForeignVm, InUse, PermissionMissing
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import detach, read_hardware
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.reconfigure import Change, reconfigure_all
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

from tests.scripted.template_support import good
from tests.support.containers import clone_containers
from tests.support.lab import Lab, running_lab
from tests.support.modules import run_module
from tests.support.vsphere import FrozenTemplate, connected

Run = Callable[..., dict[str, Any]]
Clone = Callable[..., dict[str, str]]

# What a run may call that changes nothing.
READS = {
    "RetrieveServiceContent",
    "RetrievePropertiesEx",
    "ContinueRetrievePropertiesEx",
    "FindByInventoryPath",
    "HasPrivilegeOnEntities",
    "Login",
    "Logout",
}


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> str:
    """A folder of this test's own, which bears its name."""
    return request.node.name.replace("[", "-").replace("]", "")[:60]


@pytest.fixture
def clone(scripted_lab: Lab, session: Session, frozen_template: FrozenTemplate, folder: str) -> Clone:
    """Clone a service's container VMs. Their directories have their names, so no two tests use one service."""

    def make(service: str, **fields: Any) -> dict[str, str]:
        return clone_containers(session, scripted_lab, frozen_template, service, **{"folder": folder, **fields})

    return make


@pytest.fixture
def absent(scripted_lab: Lab, folder: str) -> Run:
    def run(*, check: bool = False, **options: Any) -> dict[str, Any]:
        given = {**scripted_lab.connection, "folder": folder, **options}
        return run_module("container_vm_absent", given, check=check, environment=scripted_lab.environment)

    return run


@contextmanager
def denied(lab: Lab, *privileges: str) -> Iterator[None]:
    lab.control("POST", "/switch", {"deny": list(privileges)})
    try:
        yield
    finally:
        lab.control("POST", "/switch", {"deny": []})


def attach_foreign_disk(session: Session, lab: Lab, moid: str, *, fcd: str = "") -> str:
    """Give a VM a disk whose file is in the directory of another VM, off and foreign; the file's path."""
    other = lab.control("POST", "/vms", {"name": f"disk-of-{moid}", "folder": "others"})["moid"]
    disk = vim.vm.device.VirtualDisk(
        key=-1,
        controllerKey=1000,
        unitNumber=5,
        capacityInKB=1024,
        backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName=f"[{lab.ready['datastore']}] disk-of-{moid}/data.vmdk", diskMode="persistent", thinProvisioned=True
        ),
    )
    create = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk)
    controller = vim.vm.device.VirtualDeviceSpec(
        operation="add", device=vim.vm.device.ParaVirtualSCSIController(key=1000, busNumber=0, sharedBus="noSharing")
    )
    change(session, other, controller, create)
    (made,) = read_hardware(session, [other])[other].disks
    change(session, other, detach(made.device))
    attach(session, moid, made.files[0], fcd=fcd)
    assert [one.files[0] for one in read_hardware(session, [moid])[moid].foreign_disks] == [made.files[0]]
    return made.files[0]


def attach(session: Session, moid: str, path: str, *, fcd: str = "") -> None:
    """Attach a disk that exists."""
    disk = vim.vm.device.VirtualDisk(
        key=-1,
        controllerKey=controller_of(session, moid),
        unitNumber=7,
        capacityInKB=1024,
        vDiskId=vim.vslm.ID(id=fcd) if fcd else None,
        backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=path, diskMode="persistent"),
    )
    change(session, moid, vim.vm.device.VirtualDeviceSpec(operation="add", device=disk))


def controller_of(session: Session, moid: str) -> int:
    return int(read_hardware(session, [moid])[moid].disks[0].device.controllerKey)


def change(session: Session, moid: str, *devices: Any) -> None:
    outcome = reconfigure_all(session, {moid: Change(devices=devices)}, deadline=Deadline(30))
    assert outcome[moid] is None, outcome[moid]


def exists(session: Session, path: str) -> bool:
    datastore, _, file = path.removeprefix("[").partition("] ")
    return bool(session.http("HEAD", f"/folder/{file}?dcPath=DC0&dsName={datastore}").status == 200)


def names_in(lab: Lab, folder: str) -> set[str]:
    return set(lab.vms(folder))


def removals(moids: dict[str, str], **fields: Any) -> Sequence[power.Removal]:
    return [
        power.Removal(**{"moid": moid, "name": name, "power": "poweredOn", "stop_timeout": 0, **fields})
        for name, moid in moids.items()
    ]


# Choosing --------------------------------------------------------------------


def test_a_service_goes_with_all_its_replicas(clone: Clone, absent: Run, scripted_lab: Lab, folder: str) -> None:
    moids = clone("svc-gone", replicas=3)
    clone("svc-stays")
    result = good(absent(service="svc-gone"))
    assert result["changed"]
    assert result["removed"] == ["svc-gone-2", "svc-gone-1", "svc-gone-0"]
    assert [(one["action"], one["name"], one["moid"]) for one in result["actions"]] == [
        ("remove", name, moids[name]) for name in result["removed"]
    ]
    assert result["diff"] == {
        "before": dict.fromkeys(result["removed"], "running"),
        "after": dict.fromkeys(result["removed"], "absent"),
    }
    assert names_in(scripted_lab, folder) == {"svc-stays"}
    state = scripted_lab.state()
    assert not state["violations"]
    assert not [file for file in state["orphan_files"] if "svc-gone" in file]


def test_a_second_run_changes_nothing(clone: Clone, absent: Run) -> None:
    clone("again")
    assert good(absent(service="again"))["changed"]
    result = good(absent(service="again", name=["again", "never-there"]))
    assert not result["changed"]
    assert (result["actions"], result["removed"], result["diff"]) == ([], [], {"before": {}, "after": {}})


@pytest.mark.parametrize(
    ("options", "gone"),
    [
        ({"name": ["sel-web-1"]}, {"sel-web-1"}),
        ({"name": "sel-shop-sel-db"}, {"sel-shop-sel-db"}),
        ({"service": "sel-web", "labels": ["stage=review"]}, {"sel-web-0", "sel-web-1"}),
        ({"labels": ["stage"]}, {"sel-web-0", "sel-web-1", "sel-shop-sel-db"}),
        ({"labels": ["stage=live"]}, {"sel-shop-sel-db"}),
        ({"fleet": "sel-shop"}, {"sel-shop-sel-db"}),
        ({"service": "sel-shop/sel-db"}, {"sel-shop-sel-db"}),
        ({"service": "sel-db"}, set()),
        ({"service": "sel-db", "fleet": "sel-shop"}, {"sel-shop-sel-db"}),
        ({"name": []}, set()),
        ({"labels": []}, set()),
    ],
)
def test_what_is_chosen(
    clone: Clone, absent: Run, scripted_lab: Lab, folder: str, options: dict[str, Any], gone: set[str]
) -> None:
    clone("sel-web", replicas=2, options={"labels": {"stage": "review"}})
    clone("sel-db", fleet="sel-shop", options={"labels": {"stage": "live"}})
    try:
        foretold = good(absent(check=True, **options))
        assert set(foretold["removed"]) == gone
        assert set(good(absent(**options))["removed"]) == gone
        assert names_in(scripted_lab, folder) == {"sel-web-0", "sel-web-1", "sel-shop-sel-db"} - gone
    finally:
        good(absent(service=["sel-web", "sel-shop/sel-db"], force=True))


def test_folders_in_the_folder_are_looked_into(clone: Clone, absent: Run, scripted_lab: Lab, folder: str) -> None:
    clone("deep", folder=f"{folder}/a/b")
    assert good(absent(service="deep"))["removed"] == ["deep"]
    assert not names_in(scripted_lab, f"{folder}/a/b")


def test_a_name_in_two_folders_is_ambiguous(clone: Clone, absent: Run, scripted_lab: Lab, folder: str) -> None:
    clone("twofold", folder=f"{folder}/a")
    scripted_lab.control("POST", "/vms/twofold/rename?to=renamed-away")
    clone("twofold-other", folder=f"{folder}/b")
    scripted_lab.control("POST", "/vms/twofold-other/rename?to=twofold")
    result = absent(name="twofold")
    assert result["failed"]
    assert result["error_code"] == "ambiguous"
    assert f"{folder}/a/renamed-away" in result["msg"]
    assert f"{folder}/b/twofold" in result["msg"]
    assert len(names_in(scripted_lab, f"{folder}/a") | names_in(scripted_lab, f"{folder}/b")) == 2
    assert good(absent(name="twofold", folder=f"{folder}/a"))["removed"] == ["renamed-away"]


def test_a_missing_default_folder_holds_nothing_and_another_one_is_an_error() -> None:
    with running_lab(guests="scripted", hosts=1) as lab:
        options = {**lab.connection, "name": "web"}
        result = good(run_module("container_vm_absent", options, environment=lab.environment))
        assert not result["changed"]
        lab.control("POST", "/vms", {"name": "any", "folder": "teams/blue"})
        result = run_module("container_vm_absent", {**options, "folder": "teams/bleu"}, environment=lab.environment)
        assert result["error_code"] == "not_found"
        assert "teams/blue" in result["msg"]


def test_nothing_named_is_an_error(absent: Run) -> None:
    assert "one of the following is required" in absent()["msg"]
    assert absent(name="")["error_code"] == "invalid_option"


# Half-made -------------------------------------------------------------------


def test_half_made_clones_are_found(clone: Clone, absent: Run, scripted_lab: Lab, folder: str) -> None:
    with scripted_lab.scripted(
        {"match": "half-silent*", "silent": True},
        {"match": "half-failed*", "script": [{"phase": "failed", "reason": {"code": "disk_full", "message": "full"}}]},
    ):
        clone("half-silent", phases=())
        clone("half-failed", phases=("failed",))
        clone("half-web")
        clone("half-web", slot="2")
    assert names_in(scripted_lab, folder) == {"half-silent", "half-failed", "half-web", "half-web~2"}
    # A replacement under way is the container, whatever its VM is called.
    assert set(good(absent(name="half-web"))["removed"]) == {"half-web", "half-web~2"}
    result = good(absent(service=["half-silent", "half-failed"]))
    assert result["diff"]["before"] == {"half-silent": "booting", "half-failed": "failed"}
    assert not names_in(scripted_lab, folder)


def test_one_that_is_off_is_removed(clone: Clone, absent: Run, scripted_lab: Lab, folder: str) -> None:
    clone("is-off")
    scripted_lab.control("POST", "/vms/is-off/power-off")
    scripted_lab.reset_calls()
    assert good(absent(service="is-off"))["diff"]["before"] == {"is-off": "stopped"}
    assert not {"ShutdownGuest", "PowerOffVM_Task"} & scripted_lab.calls().keys()
    assert not names_in(scripted_lab, folder)


# What is not ours ------------------------------------------------------------


def test_a_foreign_vm_of_a_wanted_name_is_named_and_nothing_is_removed(
    clone: Clone, absent: Run, scripted_lab: Lab, folder: str
) -> None:
    clone("fgn-ours")
    moid = scripted_lab.control("POST", "/vms", {"name": "fgn-theirs", "folder": folder, "on": True})["moid"]
    for check in (True, False):
        result = absent(check=check, name=["fgn-ours", "fgn-theirs"])
        assert result["failed"]
        assert result["error_code"] == "foreign_vm"
        assert "fgn-theirs" in result["msg"]
        assert moid in result["msg"]
    vms = scripted_lab.vms(folder)
    assert (vms["fgn-ours"]["power"], vms["fgn-theirs"]["power"]) == ("poweredOn", "poweredOn")
    assert good(absent(service="fgn-ours"))["removed"] == ["fgn-ours"]
    assert names_in(scripted_lab, folder) == {"fgn-theirs"}


def test_copied_marks_are_no_marks(clone: Clone, absent: Run, scripted_lab: Lab, folder: str) -> None:
    clone("copied")
    scripted_lab.control("POST", "/vms", {"name": "copied-by-admin", "folder": folder, "like": "copied", "on": True})
    result = absent(name="copied-by-admin")
    assert result["error_code"] == "foreign_vm"
    assert "copied from another VM" in result["msg"]
    result = good(absent(service="copied"))
    assert result["removed"] == ["copied"]
    assert "copied-by-admin" in str(result["warnings"])
    assert scripted_lab.vms(folder)["copied-by-admin"]["power"] == "poweredOn"


def test_a_template_vm_is_refused(
    absent: Run, scripted_lab: Lab, session: Session, frozen_template: FrozenTemplate
) -> None:
    name = next(name for name, vm in scripted_lab.vms().items() if vm["moid"] == frozen_template.moids[0])
    result = absent(name=name, folder=frozen_template.folder)
    assert result["error_code"] == "foreign_vm"
    assert "template" in result["msg"]
    assert scripted_lab.vms()[name]["frozen"]


def test_another_owner_is_refused(clone: Clone, absent: Run, scripted_lab: Lab, folder: str) -> None:
    clone("owned", owner="blue")
    for owner in ("", "red"):
        result = absent(service="owned", owner=owner)
        assert result["error_code"] == "foreign_vm"
        assert "blue" in result["msg"]
    assert good(absent(service="owned", owner="blue"))["removed"] == ["owned"]


def test_marks_that_change_meanwhile_save_the_vm(
    clone: Clone, scripted_lab: Lab, session: Session, folder: str
) -> None:
    moids = clone("taken-over")
    scripted_lab.control("POST", "/vms/taken-over/reconfigure", {"bonneville.bios_uuid": "of-somebody-else"})
    outcome = power.remove(session, removals(moids), deadline=Deadline(30))
    (error,) = outcome.values()
    assert isinstance(error, ForeignVm)
    assert names_in(scripted_lab, folder) == {"taken-over"}
    scripted_lab.control("POST", "/vms/taken-over/destroy")


# Disks that are not its own --------------------------------------------------


@pytest.mark.parametrize("fcd", ["", "0f3a9d3c-0e3c-4f9f-8a11-000000000001"], ids=["file elsewhere", "first class"])
def test_a_foreign_disk_survives(
    clone: Clone, absent: Run, scripted_lab: Lab, session: Session, folder: str, fcd: str
) -> None:
    name = "disk-fcd" if fcd else "disk-file"
    moids = clone(name)
    path = attach_foreign_disk(session, scripted_lab, moids[name], fcd=fcd)
    assert good(absent(service=name))["removed"] == [name]
    assert not names_in(scripted_lab, folder)
    assert exists(session, path)


def test_a_disk_that_stays_attached_saves_the_vm(
    clone: Clone, absent: Run, scripted_lab: Lab, session: Session, folder: str
) -> None:
    moids = clone("disk-stuck", replicas=2)
    path = attach_foreign_disk(session, scripted_lab, moids["disk-stuck-0"])
    with scripted_lab.fault(method="ReconfigVM_Task", task=True, fault="InvalidDeviceSpec", times=-1):
        result = absent(service="disk-stuck")
    assert result["failed"]
    assert "disk-stuck-0" in result["msg"]
    assert (result["changed"], result["removed"]) == (True, ["disk-stuck-1"])
    assert names_in(scripted_lab, folder) == {"disk-stuck-0"}
    assert exists(session, path)
    # The next run goes on.
    assert good(absent(service="disk-stuck"))["removed"] == ["disk-stuck-0"]
    assert exists(session, path)


def test_a_disk_that_someone_attaches_again_saves_the_vm(
    clone: Clone, scripted_lab: Lab, session: Session, folder: str
) -> None:
    moids = clone("disk-back")
    moid = moids["disk-back"]
    path = attach_foreign_disk(session, scripted_lab, moid)

    def admin() -> None:
        while path in scripted_lab.vms()["disk-back"]["disks"]:
            time.sleep(0.01)
        attach(other, moid, path)

    with connected(scripted_lab) as other, scripted_lab.fault(method="WaitForUpdatesEx", delay_ms=700, times=-1):
        thread = threading.Thread(target=admin)
        thread.start()
        error = power.remove(session, removals(moids), deadline=Deadline(30))[moid]
        thread.join()
    assert isinstance(error, InUse)
    assert path in error.message
    assert names_in(scripted_lab, folder) == {"disk-back"}
    assert power.remove(session, removals(moids, power="poweredOff"), deadline=Deadline(30)) == {moid: None}
    assert exists(session, path)


# How they go -----------------------------------------------------------------


def test_guests_are_asked_and_only_then_powered_off(clone: Clone, absent: Run, scripted_lab: Lab) -> None:
    clone("graceful", replicas=2)
    scripted_lab.reset_calls()
    good(absent(service="graceful"))
    calls = scripted_lab.calls()
    assert calls["ShutdownGuest"] == 2
    assert "PowerOffVM_Task" not in calls


def test_force_pulls_the_plug(clone: Clone, absent: Run, scripted_lab: Lab, folder: str) -> None:
    with scripted_lab.scripted({"match": "forced*", "never_stop": True}):
        clone("forced", options={"stop_timeout": 600})
    scripted_lab.reset_calls()
    good(absent(service="forced", force=True))
    calls = scripted_lab.calls()
    assert "ShutdownGuest" not in calls
    assert calls["PowerOffVM_Task"] == 1
    assert not names_in(scripted_lab, folder)


def test_a_guest_that_never_stops_loses_its_power(
    clone: Clone, scripted_lab: Lab, session: Session, folder: str
) -> None:
    with scripted_lab.scripted({"match": "stubborn-1", "never_stop": True}):
        moids = clone("stubborn", replicas=2)
    scripted_lab.reset_calls()
    ended: list[str] = []
    outcome = power.remove(
        session, removals(moids), deadline=Deadline(30), grace=1, on_done=lambda moid, error: ended.append(moid)
    )
    assert set(outcome.values()) == {None}
    assert ended == [moids["stubborn-0"], moids["stubborn-1"]]
    assert scripted_lab.calls()["PowerOffVM_Task"] == 1
    assert not names_in(scripted_lab, folder)


def test_a_guest_without_tools_loses_its_power(clone: Clone, absent: Run, scripted_lab: Lab, folder: str) -> None:
    clone("toolless")
    with scripted_lab.fault(method="ShutdownGuest", fault="ToolsUnavailable", times=-1):
        scripted_lab.reset_calls()
        good(absent(service="toolless"))
    assert scripted_lab.calls()["PowerOffVM_Task"] == 1
    assert not names_in(scripted_lab, folder)


def test_a_deadline_that_passes_is_told(clone: Clone, scripted_lab: Lab, session: Session, folder: str) -> None:
    with scripted_lab.scripted({"match": "late*", "never_stop": True}):
        moids = clone("late")
    (error,) = power.remove(session, removals(moids, stop_timeout=600), deadline=Deadline(1)).values()
    assert error is not None
    assert "still shutting down" in error.message
    assert scripted_lab.vms(folder)["late"]["power"] == "poweredOn"
    with scripted_lab.fault(method="Destroy_Task", task=True, delay_ms=3000):
        (error,) = power.remove(session, removals(moids, force=True), deadline=Deadline(1)).values()
    assert error is not None
    assert "at the deadline" in error.message
    good_now = power.remove(session, removals(moids, power="poweredOff"), deadline=Deadline(30))
    assert good_now == {moids["late"]: None}


def test_one_that_an_admin_removes_meanwhile_is_gone(clone: Clone, absent: Run, scripted_lab: Lab, folder: str) -> None:
    with scripted_lab.scripted({"match": "raced-0", "never_stop": True}):
        clone("raced", replicas=2, options={"stop_timeout": 600})
    scripted_lab.reset_calls()

    def admin() -> None:
        while scripted_lab.calls().get("Destroy_Task", 0) < 1:
            time.sleep(0.02)
        scripted_lab.control("POST", "/vms/raced-0/destroy")

    thread = threading.Thread(target=admin)
    thread.start()
    result = absent(service="raced")
    thread.join()
    assert set(good(result)["removed"]) == {"raced-0", "raced-1"}
    assert not names_in(scripted_lab, folder)


def test_vms_that_are_gone_already_are_as_wanted(clone: Clone, scripted_lab: Lab, session: Session) -> None:
    moids = clone("bygone", replicas=4)
    for name in ("bygone-0", "bygone-1", "bygone-2"):
        scripted_lab.control("POST", f"/vms/{name}/destroy")
    todo = [
        *removals({"bygone-0": moids["bygone-0"]}),
        *removals({"bygone-1": moids["bygone-1"]}, force=True),
        *removals({"bygone-2": moids["bygone-2"]}, power="poweredOff"),
        *removals({"bygone-3": moids["bygone-3"]}),
    ]
    assert power.remove(session, todo, deadline=Deadline(30)) == dict.fromkeys(moids.values())


# Failures and guards ---------------------------------------------------------


def test_check_mode_touches_nothing(clone: Clone, absent: Run, scripted_lab: Lab, folder: str) -> None:
    clone("checked", replicas=2)
    before = scripted_lab.state()
    scripted_lab.reset_calls()
    foretold = good(absent(check=True, service="checked"))
    assert foretold["changed"]
    assert scripted_lab.calls().keys() <= READS
    assert scripted_lab.state()["vms"] == before["vms"]
    done = good(absent(service="checked"))
    for key in ("actions", "diff", "removed", "changed"):
        assert foretold[key] == done[key]


@pytest.mark.parametrize("privilege", ["VirtualMachine.Inventory.Delete", "VirtualMachine.Interact.PowerOff"])
def test_a_missing_privilege_is_named_before_anything_is_done(
    clone: Clone, absent: Run, scripted_lab: Lab, folder: str, privilege: str
) -> None:
    name = f"lacking-{privilege.rpartition('.')[2].lower()}"
    clone(name)
    with denied(scripted_lab, privilege):
        for check in (True, False):
            result = absent(check=check, service=name)
            assert result["error_code"] == "permission_missing"
            assert privilege in result["msg"]
            assert name in result["msg"]
    assert scripted_lab.vms(folder)[name]["power"] == "poweredOn"
    good(absent(service=name))


def test_what_vcenter_refuses_all_the_same_is_told_beside_what_went(
    clone: Clone, absent: Run, scripted_lab: Lab, folder: str
) -> None:
    clone("refused", replicas=3)
    with scripted_lab.fault(
        method="Destroy_Task",
        fault="NoPermission",
        privilege="VirtualMachine.Inventory.Delete",
        entity="refused-[01]",
        times=-1,
    ):
        result = absent(service="refused")
    assert result["error_code"] == "permission_missing"
    assert "2 of 3" in result["msg"]
    assert "refused-0" in result["msg"]
    assert "refused-1" in result["msg"]
    assert (result["changed"], result["removed"]) == (True, ["refused-2"])
    assert [one["name"] for one in result["actions"]] == ["refused-2"]
    assert names_in(scripted_lab, folder) == {"refused-0", "refused-1"}
    assert set(good(absent(service="refused"))["removed"]) == {"refused-0", "refused-1"}


def test_a_failing_power_off_is_told(clone: Clone, scripted_lab: Lab, session: Session) -> None:
    moids = clone("stays-on")
    with scripted_lab.fault(
        method="PowerOffVM_Task", fault="NoPermission", privilege="VirtualMachine.Interact.PowerOff"
    ):
        (error,) = power.remove(session, removals(moids, force=True), deadline=Deadline(30)).values()
    assert isinstance(error, PermissionMissing)
    assert power.remove(session, removals(moids), deadline=Deadline(30)) == {moids["stays-on"]: None}


def test_25_cost_two_calls_each_and_a_few(clone: Clone, absent: Run, scripted_lab: Lab, folder: str) -> None:
    clone("many", replicas=25)
    scripted_lab.reset_calls()
    good(absent(service="many"))
    calls = scripted_lab.calls()
    assert (calls["ShutdownGuest"], calls["Destroy_Task"]) == (25, 25)
    assert sum(calls.values()) <= 2 * 25 + 25, calls
    assert not names_in(scripted_lab, folder)
    state = scripted_lab.state()
    assert not state["violations"]
