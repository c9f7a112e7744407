"""A template's life over real SOAP: made, left alone, repaired, changed, removed, and whatever is refused."""

from __future__ import annotations

import itertools
import json
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import template_marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.template_marks import Marks
from ansible_collections.bonneville.vsphere.plugins.module_utils._template import build
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import read_hardware
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import read_vms
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import wait_for_tasks

from tests.scripted.template_support import IMAGE, READS, Template, actions, failed, good, import_vm, make_folder
from tests.support.archives import save_image, save_layout
from tests.support.containers import clone_containers
from tests.support.lab import Lab, running_lab
from tests.support.modules import run_module
from tests.support.vsphere import SECONDS

_numbers = itertools.count()


@pytest.fixture
def template(scripted_lab: Lab) -> Iterator[Template]:
    """A template that is not there yet; what the test leaves of it is removed."""
    one = Template(lab=scripted_lab, name=f"tpl{next(_numbers)}")
    make_folder(scripted_lab, one.folder)
    before = scripted_lab.state()["sessions"]  # of runs that other tests of this lab killed
    yield one
    good(one.absent())
    state = scripted_lab.state()
    assert state["sessions"] <= before
    assert (state["leases"], state["violations"]) == (0, [])


# Made ---------------------------------------------------------------------------


def test_the_ova_is_imported_once_and_cloned_to_the_other_hosts(template: Template) -> None:
    template.lab.reset_calls()
    built = template.built()
    calls = template.lab.calls()
    assert (calls["ImportVApp"], calls["CloneVM_Task"]) == (1, 2)
    assert actions(built) == [("import", template.vm(0)), ("clone", template.vm(1)), ("clone", template.vm(2))]
    vms = template.vms()
    assert {vm["host"] for vm in vms.values()} == set(template.hosts)
    assert all(vm["frozen"] and vm["power"] == "poweredOn" for vm in vms.values())
    assert len({vm["bios_uuid"] for vm in vms.values()}) == 3
    told = built["template"]
    assert {one["moid"] for one in told["hosts"]} == {vm["moid"] for vm in vms.values()}
    assert all(one["frozen"] and one["timings"]["frozen"] == one["seconds"] for one in told["hosts"])
    assert [image["name"] for image in told["images"]] == [IMAGE]


def test_more_hosts_than_are_worked_on_at_a_time_wait_for_their_turn(
    template: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_HOSTS_AT_A_TIME", 1)
    built = template.built()
    frozen = [one["seconds"] for one in built["template"]["hosts"]]
    assert all(frozen)
    timings = sorted((one["timings"] for one in built["template"]["hosts"][1:]), key=lambda one: one["frozen"])
    assert timings[0]["frozen"] <= timings[1]["cloned"]
    renewed = template.built(memory_mb=1024)
    assert [action for action, _ in actions(renewed)] == ["renew", "remove"] * 3
    assert all(frozen for _, frozen in template.stands().values())


def test_a_template_vm_has_what_clones_need_and_nothing_that_forbids_them(template: Template, session: Session) -> None:
    built = template.built(cpus=4, memory_mb=1024, memory_reservation_mb=512, disk_gb=20)
    moids = [one["moid"] for one in built["template"]["hosts"]]
    facts = read_vms(session, moids)
    for moid, hardware in read_hardware(session, moids).items():
        device = vim.vm.device
        unwanted = (device.VirtualCdrom, device.VirtualFloppy, device.VirtualUSBController, device.VirtualUSB)
        assert not [one for one in hardware.devices if isinstance(one, unwanted)]
        (port,) = hardware.serial_ports
        assert port.backing.fileName == f"{hardware.directory}/container.log"
        (disk,) = hardware.disks
        assert disk.capacity_bytes == 20 << 30
        vm = facts[moid]
        assert (vm.cpus, vm.memory_mb, vm.memory_reservation_mb) == (4, 1024, 512)
        assert vm.extra_config["guest_rpc.rpci.auth.cmd.info-get"] == "TRUE"
        assert vm.extra_config["disk.EnableUUID"] == "TRUE"
        assert not vm.extra_config.get("guestinfo.userdata")
        assert template.name in vm.annotation


def test_guest_settings_are_part_of_the_generation_and_show_no_content(template: Template) -> None:
    settings: dict[str, Any] = {
        "registry_mirrors": ["https://mirror.example.com"],
        "bridge_cidr": "192.168.240.0/24",
        "files": [{"path": "/etc/motd", "content": "not to be shown"}],
    }
    template.built(**settings)
    assert not template.built(**settings)["changed"]
    changed = template.built(**{**settings, "files": [{"path": "/etc/motd", "content": "nor this"}]})
    was = changed["diff"]["before"]["template_vms"][template.vm(0)]
    will = changed["diff"]["after"]["template_vms"][template.vm(0) + "~2"]
    assert was["files"][0]["sha256"] != will["files"][0]["sha256"]
    assert "bridge_cidr" not in was
    told = json.dumps([changed, template.lab.state()])
    assert "not to be shown" not in told
    assert "nor this" not in told


def test_only_the_named_hosts_get_one(template: Template) -> None:
    chosen = template.hosts[1:]
    built = template.built(cluster=None, hosts=chosen)
    assert [one["host"] for one in built["template"]["hosts"]] == chosen
    assert set(template.vms()) == {template.vm(1), template.vm(2)}


def test_a_vm_of_ones_own_is_a_source_and_stays_as_it_was(template: Template, session: Session) -> None:
    golden = f"golden-{template.name}"
    moid = import_vm(session, template.lab, name=golden, folder="others", extra_config={})
    before = template.lab.vms()[golden]
    template.built(source={"vm": f"others/{golden}"})
    assert len(template.vms()) == 3
    assert template.lab.vms()[golden] == before
    template.control(golden, "power-on")
    assert not template.built(source={"vm": golden})["changed"]
    template.control(template.vm(0), "destroy")
    refused = failed(template.run(source={"vm": golden}), "invalid_option")
    assert "poweredOn" in refused["msg"]
    assert golden in refused["msg"]
    template.control(moid, "destroy")


def test_a_template_is_no_source_of_another(template: Template) -> None:
    template.built()
    refused = failed(
        template.run(name="another", source={"vm": f"{template.folder}/{template.vm(0)}"}), "invalid_option"
    )
    assert "marks" in refused["msg"]


def test_the_default_folder_is_made(scripted_lab: Lab) -> None:
    with running_lab(guests="scripted", hosts=1) as lab:
        one = Template(lab=lab, name="photon")
        good(one.run(folder="bonneville-templates"))
        assert "bonneville-templates" in lab.state()["folders"]
        assert not good(one.absent(folder="bonneville-templates", name="none-of-this-name"))["changed"]


# Left alone ---------------------------------------------------------------------


def test_a_second_run_changes_nothing_and_asks_little(template: Template) -> None:
    template.built()
    before = template.stands()
    template.lab.reset_calls()
    again = template.built()
    assert not again["changed"]
    assert again["actions"] == []
    assert again["diff"]["before"] == again["diff"]["after"]
    calls = template.lab.calls()
    assert set(calls) <= READS - {"FindAllByUuid"}
    assert sum(calls.values()) <= 11
    assert template.stands() == before


def test_two_templates_in_one_folder_do_not_touch_each_other(template: Template) -> None:
    template.built()
    before = template.stands()
    other = Template(lab=template.lab, name=f"{template.name}-b", options={"folder": template.folder})
    other.built()
    good(other.absent(folder=template.folder))
    assert template.stands() == before


# Repaired -----------------------------------------------------------------------


def power_off(template: Template) -> None:
    template.control(template.vm(1), "power-off")


def reset(template: Template) -> None:
    template.control(template.vm(1), "reset")


def destroy(template: Template) -> None:
    template.control(template.vm(1), "destroy")


def restart_host(template: Template) -> None:
    template.lab.control("POST", f"/hosts/{template.hosts[1]}/restart")


def forget_key(template: Template) -> None:
    template.control(template.vm(1), "reconfigure", {"bonneville.key": ""})


DAMAGES = [
    (power_off, {"boot"}),
    (reset, {"freeze"}),
    (destroy, {"import"}),
    (restart_host, {"freeze", "boot"}),
    (forget_key, {"refreeze"}),
]


@pytest.mark.parametrize(("damage", "expected"), DAMAGES, ids=[case[0].__name__ for case in DAMAGES])
def test_what_breaks_is_mended_and_the_rest_left_alone(template: Template, damage: Any, expected: set[str]) -> None:
    template.built()
    before = template.stands()
    damage(template)
    foretold = good(template.run(check=True))
    repaired = template.built()
    assert repaired["changed"]
    assert foretold["changed"]
    assert foretold["actions"] == repaired["actions"]
    assert foretold["diff"] == repaired["diff"]
    assert repaired["diff"]["before"] != repaired["diff"]["after"]
    ((action, name),) = actions(repaired)
    assert action in expected
    assert name == template.vm(1)
    assert all(frozen for _, frozen in template.stands().values())
    for untouched in (template.vm(0), template.vm(2)):
        assert template.stands()[untouched] == before[untouched]
    assert not template.built()["changed"]


def test_one_on_a_strange_host_is_brought_back(template: Template, session: Session) -> None:
    built = template.built()
    moids = {one["vm"]: one["moid"] for one in built["template"]["hosts"]}
    hosts = {vm.moid: vm.host for vm in read_vms(session, moids.values()).values()}
    template.control(template.vm(1), "power-off")
    spec = vim.vm.RelocateSpec(host=session.managed("HostSystem", hosts[moids[template.vm(0)]]))
    task = session.managed("VirtualMachine", moids[template.vm(1)]).RelocateVM_Task(spec=spec)
    assert wait_for_tasks(session, {"move": task}, deadline=Deadline(SECONDS))["move"].ok
    repaired = template.built()
    assert actions(repaired) == [("move", template.vm(1))]
    assert template.vms()[template.vm(1)]["host"] == template.hosts[1]
    assert template.vms()[template.vm(1)]["frozen"]


def test_a_host_out_of_service_is_left_out_with_a_warning(template: Template) -> None:
    template.lab.control("POST", f"/hosts/{template.hosts[2]}/maintenance")
    try:
        built = template.built()
        assert f"Left out host {template.hosts[2]}: it is in maintenance mode" in json.dumps(built["warnings"])
        assert set(template.vms()) == {template.vm(0), template.vm(1)}
        named = failed(template.run(cluster=None, hosts=[template.hosts[2]]), "template_unusable")
        assert template.hosts[2] in named["msg"]
    finally:
        template.lab.control("POST", f"/hosts/{template.hosts[2]}/exit-maintenance")
    assert actions(template.built()) == [("import", template.vm(2))]


# Changed ------------------------------------------------------------------------


CHANGES: dict[str, Any] = {"memory_mb": 2048, "images": [IMAGE, "registry.example/job:1"]}


def test_changed_options_build_another_generation_beside_from_one_import(template: Template) -> None:
    template.built(memory_mb=1024)
    before = template.stands()
    foretold = good(template.run(check=True, **CHANGES))
    assert template.stands() == before
    template.lab.reset_calls()
    renewed = template.built(**CHANGES)
    assert foretold["actions"] == renewed["actions"]
    assert foretold["diff"] == renewed["diff"]
    assert actions(renewed) == [
        step for n in range(3) for step in (("renew", template.vm(n) + "~2"), ("remove", template.vm(n)))
    ]
    calls = template.lab.calls()
    assert (calls["ImportVApp"], calls["CloneVM_Task"], calls["InstantClone_Task"]) == (1, 2, 3)
    assert {name: frozen for name, (_, frozen) in template.stands().items()} == {
        template.vm(n) + "~2": True for n in range(3)
    }
    for n in range(3):
        was = renewed["diff"]["before"]["template_vms"][template.vm(n)]
        will = renewed["diff"]["after"]["template_vms"][template.vm(n) + "~2"]
        assert (was["memory_mb"], will["memory_mb"]) == (1024, 2048)
        assert (was["images"], will["images"]) == ([IMAGE], ["registry.example/job:1", IMAGE])
        assert "network" not in was
    assert not template.built(**CHANGES)["changed"]
    assert template.orphans() == [path for path in template.orphans() if "~2" in path]


def test_what_clones_depend_on_is_kept_listed_and_collected_later(template: Template, session: Session) -> None:
    built = template.built()
    service = f"web-{template.name}"
    folder = f"clones-{template.name}"
    clones = clone_containers(session, template.lab, template.as_frozen(built), service, folder=folder)
    old = {vm["name"]: vm["moid"] for vm in template.vms().values()}
    foretold = good(template.run(check=True, **CHANGES))
    renewed = template.built(**CHANGES)
    assert foretold["actions"] == renewed["actions"]
    assert foretold["diff"] == renewed["diff"]
    assert [action for action, _ in actions(renewed)] == ["renew", "retire", "renew", "remove", "renew", "remove"]
    (retired,) = renewed["template"]["retired"]
    assert (retired["vm"], retired["moid"], retired["clones"]) == (template.vm(0), old[template.vm(0)], [service])
    assert template.vms()[template.vm(0)]["power"] == "poweredOff"
    assert template.lab.vms()[service]["power"] == "poweredOn"
    again = template.built(**CHANGES)
    assert not again["changed"]
    assert again["template"]["retired"] == [retired]
    assert again["diff"]["before"] == again["diff"]["after"]
    info = {**template.lab.connection, "name": template.name, "folder": template.folder}
    (told,) = good(run_module("photon_template_info", info, environment=template.lab.environment))["templates"]
    assert [(one["vm"], one["state"]) for one in told["hosts"]][:2] == [
        (template.vm(0), "retired"),
        (template.vm(0) + "~2", "frozen"),
    ]
    assert len(told["warnings"]) == 1
    template.control(clones[service], "destroy")
    collected = template.built(**CHANGES)
    assert actions(collected) == [("remove", template.vm(0))]
    assert collected["template"]["retired"] == []
    assert len(template.vms()) == 3


def test_a_container_is_cloned_from_the_older_generation_until_the_newer_was_tried_out(
    template: Template, session: Session
) -> None:
    template.built()
    with template.lab.scripted({"match": f"{template.vm(1)}*~trial*", "script": reason("docker_unavailable", "gone")}):
        broken = failed(template.run(**CHANGES), "guest_failed")
    assert broken["msg"].count("gone") == 1
    assert {one["action"]: bool(one["failed"]) for one in broken["actions"]}["remove"]
    names = set(template.vms())
    assert names == {template.vm(n) + suffix for n in range(3) for suffix in ("", "~2")}
    deploy = {
        **template.lab.connection,
        "name": f"web-{template.name}",
        "template": template.name,
        "template_folder": template.folder,
        "image": IMAGE,
        "replicas": 3,
    }
    made = good(run_module("instant_clone_container", deploy, environment=template.lab.environment))
    old = {template.vms()[template.vm(n)]["moid"] for n in range(3)}
    assert {one["vm"]["template_vm"] for one in made["containers"]} == old
    resumed = template.built(**CHANGES)
    assert [action for action, _ in actions(resumed)] == ["verify", "retire"] * 3
    more = good(run_module("instant_clone_container", {**deploy, "replicas": 6}, environment=template.lab.environment))
    new = {template.vms()[template.vm(n) + "~2"]["moid"] for n in range(3)}
    assert {one["vm"]["template_vm"] for one in more["containers"]} == old | new
    assert len(more["actions"]) == 3
    gone = {**template.lab.connection, "service": deploy["name"]}
    good(run_module("container_vm_absent", gone, environment=template.lab.environment))
    assert [action for action, _ in actions(template.built(**CHANGES))] == ["remove"] * 3
    assert set(template.vms()) == {template.vm(n) + "~2" for n in range(3)}


def test_a_clone_made_at_the_last_moment_keeps_its_template_vm(template: Template, session: Session) -> None:
    frozen = template.as_frozen(template.built(cluster=None, hosts=template.hosts[:1]))
    late = f"late-{template.name}"
    one_host: dict[str, Any] = {"cluster": None, "hosts": template.hosts[:1]}
    clones: dict[str, str] = {}
    with template.lab.fault(method="ImportVApp", delay_ms=3000):
        template.lab.reset_calls()
        process = template.begin(**CHANGES, **one_host)
        while "CreateImportSpec" not in template.lab.calls():
            time.sleep(0.05)
        clones |= clone_containers(session, template.lab, frozen, late, folder=f"clones-{template.name}")
        assert process.wait(timeout=60) == 0
    assert {name: vm["power"] for name, vm in template.vms().items()} == {
        template.vm(0): "poweredOff",
        template.vm(0) + "~2": "poweredOn",
    }
    again = template.built(**CHANGES, **one_host)
    assert [one["clones"] for one in again["template"]["retired"]] == [[late]]
    template.control(clones[late], "destroy")


def test_a_trial_that_a_run_left_behind_goes(template: Template) -> None:
    template.built()
    with template.lab.scripted({"match": "*~trial*", "silent": True}):
        template.lab.reset_calls()
        process = template.begin(**CHANGES)
        while process.poll() is None and not any("~trial" in name for name in template.vms()):
            time.sleep(0.05)
        process.kill()
        process.wait(timeout=30)
    template.lab.control("POST", "/sessions/expire")
    left = [name for name in template.vms() if "~trial" in name]
    assert left
    resumed = template.built(**CHANGES)
    assert set(left) <= {name for action, name in actions(resumed) if action == "remove"}
    assert set(template.vms()) == {template.vm(n) + "~2" for n in range(3)}


# A host comes and goes ------------------------------------------------------------


def test_a_host_that_joined_is_told_as_such(template: Template) -> None:
    template.built(cluster=None, hosts=template.hosts[:2])
    grown = template.built()
    assert actions(grown) == [("join", template.vm(2))]
    assert not template.built()["changed"]


def test_check_mode_on_an_empty_site_changes_nothing_and_foretells_all(template: Template) -> None:
    template.lab.reset_calls()
    foretold = good(template.run(check=True))
    assert set(template.lab.calls()) <= READS
    assert template.vms() == {}
    built = template.built()
    assert foretold["changed"]
    assert foretold["actions"] == built["actions"]
    assert foretold["diff"] == built["diff"]
    assert foretold["template"]["generation"] == built["template"]["generation"]


# An interrupted build -------------------------------------------------------------


def test_a_build_that_ended_before_its_images_were_in_is_done_again(template: Template, session: Session) -> None:
    built = template.built()
    host = read_vms(session, [built["template"]["hosts"][0]["moid"]])[built["template"]["hosts"][0]["moid"]].host
    good(template.absent())
    marks = Marks(
        template=template.name,
        generation=built["template"]["generation"],
        host=host,
        phase=marks_of.IMPORTING,
        bios_uuid=marks_of.bios_uuid(
            vcenter=session.instance_uuid,
            folder=template.folder,
            template=template.name,
            host=host,
            generation=built["template"]["generation"],
        ),
        spec="{}",
    )
    half = import_vm(
        session, template.lab, name=template.vm(0), folder=template.folder, extra_config=marks.encode(), host=host
    )
    again = template.built()
    assert actions(again) == [("rebuild", template.vm(0)), ("clone", template.vm(1)), ("clone", template.vm(2))]
    assert template.vms()[template.vm(0)]["moid"] != half


def test_a_build_that_ended_after_its_images_were_in_is_gone_on_with(template: Template) -> None:
    leave_primed(template)
    again = template.built()
    assert actions(again) == [("boot", template.vm(1))]


def test_the_vm_that_holds_the_images_is_what_the_missing_ones_are_cloned_from(template: Template) -> None:
    leave_primed(template)
    for number in (0, 2):
        template.control(template.vm(number), "destroy")
    template.lab.reset_calls()
    built = template.built()
    assert actions(built) == [("clone", template.vm(0)), ("boot", template.vm(1)), ("clone", template.vm(2))]
    assert "ImportVApp" not in template.lab.calls()
    assert all(vm["frozen"] for vm in template.vms().values())


@pytest.mark.parametrize("how", [pytest.param(signal.SIGTERM, marks=pytest.mark.long), signal.SIGKILL])
@pytest.mark.parametrize("moment", ["CreateImportSpec", "ReconfigVM_Task", "PowerOnVM_Task", "CloneVM_Task"])
def test_a_run_that_is_killed_is_gone_on_with(template: Template, tmp_path: Path, how: int, moment: str) -> None:
    archives = [str(save_image(tmp_path / "web.tar"))]
    with template.lab.fault(method=moment, delay_ms=1000, times=-1):
        template.lab.reset_calls()
        process = template.begin(image_archives=archives)
        while process.poll() is None and moment not in template.lab.calls():
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it could be killed"
        process.send_signal(how)
        process.wait(timeout=30)
    if how == signal.SIGKILL:
        template.lab.control("POST", "/sessions/expire")
    template.built(image_archives=archives)
    assert all(frozen for _, frozen in template.stands().values())
    assert len(template.vms()) == 3
    good(template.absent())
    assert template.orphans() == []


def leave_primed(template: Template) -> None:
    """Build a template whose second VM could not be booted."""
    with template.lab.fault(
        method="PowerOnVM_Task", task=True, fault="InsufficientMemoryResourcesFault", entity=template.vm(1)
    ):
        first = failed(template.run(), "capacity_short")
    assert template.vm(1) in first["msg"]
    assert {one["name"]: bool(one["failed"]) for one in first["actions"]} == {
        template.vm(0): False,
        template.vm(1): True,
        template.vm(2): False,
    }
    assert first["changed"]
    assert template.vms()[template.vm(1)]["power"] == "poweredOff"


# Parked -------------------------------------------------------------------------


def test_a_parked_host_can_enter_maintenance_and_comes_back_frozen(template: Template, session: Session) -> None:
    frozen = template.as_frozen(template.built())
    clones = clone_containers(session, template.lab, frozen, f"web-{template.name}", folder=f"clones-{template.name}")
    before = template.stands()
    parking = {"state": "parked", "hosts": [template.hosts[0]]}
    with template.denied("VirtualMachine.Interact.PowerOff"):
        assert "VirtualMachine.Interact.PowerOff" in failed(template.absent(**parking), "permission_missing")["msg"]
    foretold = good(template.run(check=True, cluster=None, **parking))
    assert template.stands() == before
    parked = good(template.absent(**parking))
    assert actions(parked) == actions(foretold) == [("park", template.vm(0))]
    assert parked["diff"] == foretold["diff"]
    assert parked["template"]["hosts"][0]["state"] == "powered off"
    assert not good(template.absent(**parking))["changed"]
    moid = before[template.vm(0)][0]
    assert template.vms()[template.vm(0)]["moid"] == moid
    assert {name: state for name, state in template.stands().items() if name != template.vm(0)} == {
        name: state for name, state in before.items() if name != template.vm(0)
    }
    power = {vm["name"]: vm["power"] for vm in template.lab.state()["vms"]}
    assert all(power[name] == "poweredOn" for name in clones)
    assert actions(template.built()) == [("boot", template.vm(0))]
    assert template.stands() == before
    for clone in clones.values():
        template.control(clone, "destroy")


def test_parking_wants_its_hosts_named(template: Template) -> None:
    refused = template.absent(state="parked")
    assert refused["failed"]
    assert "hosts" in refused["msg"]


# Looked at ----------------------------------------------------------------------


def test_what_stands_is_told_host_by_host_with_what_is_amiss(template: Template, session: Session) -> None:
    def told(**options: Any) -> dict[str, Any]:
        given = {**template.lab.connection, "name": template.name, "folder": template.folder, **options}
        return good(run_module("photon_template_info", given, environment=template.lab.environment))

    assert told()["templates"] == []
    built = template.built(memory_mb=1024, memory_reservation_mb=512, cluster=None, hosts=template.hosts[:2])
    clones = clone_containers(
        session, template.lab, template.as_frozen(built), f"web-{template.name}", folder=f"clones-{template.name}"
    )
    template.control(template.vm(1), "power-off")
    template.lab.reset_calls()
    (one,) = told(cluster=template.lab.ready["cluster"])["templates"]
    assert set(template.lab.calls()) <= READS
    first, second = one["hosts"]
    assert (first["host"], first["vm"], first["state"]) == (template.hosts[0], template.vm(0), "frozen")
    assert (first["generation"], first["chain_depth"]) == (built["template"]["generation"], 1)
    assert (first["clones"], second["clones"]) == (list(clones), [])
    assert (first["memory_mb"], first["memory_reserved_mb"]) == (1024, 512)
    assert first["images"] == built["template"]["images"]
    assert (second["state"], second["frozen"]) == ("powered off", False)
    assert told()["templates"] == [{**one, "warnings": one["warnings"][:1]}]
    assert len(one["warnings"]) == 2
    assert f"{template.vm(1)} is powered off" in one["warnings"][0]
    assert f"host {template.hosts[2]} has no template VM" in one["warnings"][1]
    for clone in clones.values():
        template.control(clone, "destroy")


# Removed ------------------------------------------------------------------------


def test_absent_needs_nothing_but_the_name_and_leaves_nothing(template: Template) -> None:
    template.built()
    gone = good(template.absent())
    assert [action for action, _ in actions(gone)] == ["remove"] * 3
    assert template.vms() == {}
    assert template.orphans() == []
    again = good(template.absent())
    assert not again["changed"]


def test_absent_may_be_said_of_single_hosts(template: Template) -> None:
    template.built()
    gone = good(template.absent(hosts=[template.hosts[1]]))
    assert actions(gone) == [("remove", template.vm(1))]
    assert set(template.vms()) == {template.vm(0), template.vm(2)}


def test_check_mode_removes_nothing(template: Template) -> None:
    template.built()
    before = template.stands()
    assert good(template.run(check=True, state="absent"))["changed"]
    assert template.stands() == before


def test_a_template_is_kept_while_containers_are_cloned_from_it(template: Template, session: Session) -> None:
    frozen = template.as_frozen(template.built())
    service = f"web-{template.name}"
    clones = clone_containers(session, template.lab, frozen, service, replicas=2, folder=f"clones-{template.name}")
    before = template.stands()
    refused = failed(template.absent(), "in_use")
    assert all(name in refused["msg"] for name in clones)
    assert template.stands() == before
    for moid in clones.values():
        template.control(moid, "destroy")


def test_force_removes_the_containers_first_and_no_container_of_another_owner(
    template: Template, session: Session
) -> None:
    frozen = template.as_frozen(template.built())
    folder = f"clones-{template.name}"
    ours = clone_containers(session, template.lab, frozen, f"web-{template.name}", replicas=2, folder=folder)
    theirs = clone_containers(session, template.lab, frozen, f"job-{template.name}", owner="blue", folder=folder)
    before = template.stands()
    refused = failed(template.absent(force=True), "in_use")
    assert all(name in refused["msg"] for name in theirs)
    assert not any(name in refused["msg"] for name in ours)
    assert template.stands() == before
    assert set(ours) <= set(template.lab.vms())
    for moid in theirs.values():
        template.control(moid, "destroy")
    foretold = good(template.run(check=True, state="absent", force=True))
    assert set(ours) <= set(template.lab.vms())
    gone = good(template.absent(force=True))
    assert actions(gone) == actions(foretold)
    assert gone["diff"] == foretold["diff"]
    assert [name for _, name in actions(gone)][:2] == sorted(ours, reverse=True)
    assert not set(ours) & set(template.lab.vms())
    assert template.vms() == {}


def test_force_is_for_absent_alone(template: Template) -> None:
    assert "absent" in failed(template.run(force=True), "invalid_option")["msg"]


# Refused, and nothing changed -------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "wanted", "close"),
    [
        ({"cluster": "DC0_C9"}, "DC0_C9", "DC0_C0"),
        ({"cluster": None, "hosts": ["DC0_C0_H9"]}, "DC0_C0_H9", "DC0_C0_H"),
        ({"datastore": "LocalDS_9"}, "LocalDS_9", "LocalDS_0"),
        ({"network": "VM Netwrok"}, "VM Netwrok", "VM Network"),
        ({"datacenter": "DC9"}, "DC9", "DC0"),
        ({"folder": "bonneville-templats"}, "bonneville-templats", "bonneville-templates"),
        ({"source": {"vm": "no-such-vm"}}, "no-such-vm", ""),
    ],
)
def test_an_unknown_name_is_told_with_those_that_are_close(
    template: Template, frozen_template: object, changes: dict[str, Any], wanted: str, close: str
) -> None:
    for check in (True, False):
        template.lab.reset_calls()
        refused = failed(template.run(check=check, **changes), "not_found")
        assert f"'{wanted}'" in refused["msg"]
        assert close in refused["msg"]
        assert set(template.lab.calls()) <= READS
    assert template.vms() == {}


def test_a_license_that_is_not_accepted_is_shown_and_no_login_made(template: Template) -> None:
    template.lab.reset_calls()
    refused = failed(template.run(accept_eula=False), "invalid_option")
    assert "accept_eula" in refused["msg"]
    assert refused["eulas"]
    assert template.lab.calls() == {}


def test_an_ova_that_is_missing_or_cut_off_makes_no_login(template: Template, tmp_path: Path) -> None:
    template.lab.reset_calls()
    failed(template.run(source={"ova": str(tmp_path / "none.ova")}), "not_found")
    cut = tmp_path / "cut.ova"
    whole = Path(template.lab.ready["ova"]).read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    failed(template.run(source={"ova": str(cut)}), "ova_invalid")
    assert template.lab.calls() == {}


def test_a_disk_with_a_wrong_digest_leaves_no_vm(template: Template, tmp_path: Path) -> None:
    ova = tmp_path / "bad.ova"
    shutil.copy(template.lab.ready["ova"], ova)
    content = bytearray(ova.read_bytes())
    at = content.rindex(b"bonneville-lab-guest")
    content[at + 40] ^= 1
    ova.write_bytes(content)
    refused = failed(template.run(source={"ova": str(ova)}), "ova_invalid")
    assert "digest" in refused["msg"]
    assert template.vms() == {}
    assert template.orphans() == []


def test_an_upload_that_breaks_leaves_no_vm(template: Template) -> None:
    with template.lab.fault(method="upload", fault="http500"):
        broken = template.run()
    assert broken["failed"]
    assert template.vms() == {}
    assert template.orphans() == []


def test_a_vm_of_somebody_else_with_the_wanted_name_is_left_alone(template: Template) -> None:
    template.lab.control("POST", "/vms", {"name": template.vm(1), "folder": template.folder})
    before = template.vms()
    refused = failed(template.run(), "foreign_vm")
    assert template.vm(1) in refused["msg"]
    assert template.vms() == before
    assert not good(template.absent())["changed"]
    assert template.vms() == before
    template.control(template.vm(1), "destroy")


def test_a_copy_with_copied_marks_is_somebody_elses(template: Template) -> None:
    template.built()
    copy = f"copy-of-{template.name}"
    template.lab.control("POST", "/vms", {"name": copy, "folder": template.folder, "like": template.vm(0)})
    assert not template.built()["changed"]
    good(template.absent())
    assert set(template.vms()) == {copy}
    template.control(copy, "destroy")


PRIVILEGES = [
    "VApp.Import",
    "VirtualMachine.Provisioning.Clone",
    "VirtualMachine.Interact.PowerOn",
    "VirtualMachine.Config.AdvancedConfig",
    "VirtualMachine.Inventory.Delete",
    "Datastore.AllocateSpace",
    "Network.Assign",
    "Resource.AssignVMToPool",
]


@pytest.mark.parametrize("privilege", PRIVILEGES)
def test_a_missing_privilege_is_named_before_anything_is_made(template: Template, privilege: str) -> None:
    template.lab.reset_calls()
    with template.denied(privilege):
        refused = failed(template.run(), "permission_missing")
        foretold = failed(template.run(check=True), "permission_missing")
    assert privilege in refused["msg"]
    assert foretold["msg"] == refused["msg"]
    assert set(template.lab.calls()) <= READS
    assert template.vms() == {}


def test_a_missing_privilege_keeps_a_template_whole(template: Template) -> None:
    template.built()
    before = template.stands()
    with template.denied("VirtualMachine.Inventory.Delete"):
        failed(template.absent(), "permission_missing")
        assert not template.built()["changed"]
    assert template.stands() == before


# What goes wrong inside the guest -------------------------------------------------------


def reason(code: str, message: str) -> list[dict[str, Any]]:
    return [{"phase": "failed", "reason": {"code": code, "message": message}}]


def test_an_image_that_cannot_be_had_is_told_once_and_leaves_nothing(template: Template) -> None:
    with template.lab.scripted({"match": template.vm(0), "script": reason("image_pull_failed", "no such manifest")}):
        broken = failed(template.run(), "guest_failed")
    assert broken["reason"] == {"code": "image_pull_failed", "message": "no such manifest"}
    assert broken["msg"].count("no such manifest") == 1
    assert "insecure_registries" in broken["msg"]
    assert all(one["failed"] for one in broken["actions"])
    assert not broken["changed"]
    assert template.vms() == {}
    assert template.orphans() == []


def test_one_hosts_failure_does_not_stop_the_others(template: Template) -> None:
    with template.lab.scripted({"match": template.vm(1), "script": reason("docker_unavailable", "dockerd is away")}):
        broken = failed(template.run(), "guest_failed")
    assert template.vm(1) in broken["msg"]
    stands = template.stands()
    assert {name for name, (_, frozen) in stands.items() if frozen} == {template.vm(0), template.vm(2)}
    told = {one["vm"]: one["frozen"] for one in broken["template"]["hosts"]}
    assert told == {name: frozen for name, (_, frozen) in stands.items()}
    assert actions(template.built()) == [("refreeze", template.vm(1))]


def test_failures_of_several_hosts_are_all_told(template: Template) -> None:
    rules = [{"match": template.vm(n), "script": reason("internal", f"trouble {n}")} for n in (1, 2)]
    with template.lab.scripted(*rules):
        broken = failed(template.run(), "guest_failed")
    assert "trouble 1" in broken["msg"]
    assert "trouble 2" in broken["msg"]
    assert len(broken["errors"]) == 2


@pytest.mark.parametrize(
    ("rule", "last_seen"),
    [
        ({"silent": True}, "said nothing"),
        ({"never_freeze": True}, "agent ready"),
        ({"stale_nonce": True}, "nonce 0000"),
        ({"raw": "{"}, "no status"),
    ],
)
def test_a_guest_that_does_not_get_there_ends_the_wait_with_its_last_words(
    template: Template, rule: dict[str, Any], last_seen: str
) -> None:
    with template.lab.scripted({"match": template.vm(0), **rule}):
        broken = failed(template.run(cluster=None, hosts=[template.hosts[0]], timeout=2), "guest_silent")
    assert template.vm(0) in broken["msg"]
    assert last_seen in broken["last_seen"]
    assert good(template.run(cluster=None, hosts=[template.hosts[0]]))["changed"]


def test_an_agent_of_another_time_is_told_as_such(template: Template) -> None:
    with template.lab.scripted({"match": template.vm(0), "agent_speaks": [7, 9]}):
        failed(template.run(), "agent_unsupported")
    assert template.vms() == {}


def test_a_source_whose_guest_may_not_report_is_refused(template: Template, session: Session) -> None:
    golden = f"golden-{template.name}"
    settings = {"isolation.tools.setinfo.disable": "TRUE"}
    import_vm(session, template.lab, name=golden, folder="others", extra_config=settings)
    refused = failed(template.run(source={"vm": golden}), "template_unusable")
    assert "isolation.tools.setinfo.disable" in refused["msg"]
    assert template.vms() == {}
    template.control(golden, "destroy")


def test_a_datastore_that_fills_up_stops_one_host_only(template: Template) -> None:
    with template.lab.fault(method="CloneVM_Task", task=True, fault="NoDiskSpace", new_name=template.vm(2)):
        broken = failed(template.run(), "capacity_short")
    assert template.vm(2) in broken["msg"]
    assert {name for name, (_, frozen) in template.stands().items() if frozen} == {template.vm(0), template.vm(1)}
    assert actions(template.built()) == [("import", template.vm(2))]


# Image archives -----------------------------------------------------------------


def test_an_archive_is_loaded_and_its_disk_is_gone(template: Template, tmp_path: Path, session: Session) -> None:
    first = save_image(tmp_path / "one.tar", name="lab/one:1", content=b"1" * 3_000_000)
    second = save_layout(tmp_path / "two.tar", name="lab/two:1")
    built = template.built(image_archives=[str(first), str(second)])
    assert [image["name"] for image in built["template"]["images"]] == ["lab/one:1", "lab/two:1", IMAGE]
    for hardware in read_hardware(session, [one["moid"] for one in built["template"]["hosts"]]).values():
        assert len(hardware.disks) == 1
    again = template.built(image_archives=[str(second.rename(tmp_path / "renamed.tar")), str(first)])
    assert not again["changed"]
    save_image(first, name="lab/one:2")
    foretold = good(template.run(check=True, image_archives=[str(first)]))
    assert {action for action, _ in actions(foretold)} == {"renew", "remove"}
    assert "archives" in foretold["actions"][0]["reason"]
    good(template.absent())
    assert template.orphans() == []


@pytest.mark.parametrize("damage", ["missing", "truncated", "no archive"])
def test_a_damaged_archive_is_told_before_anything_is_made(template: Template, tmp_path: Path, damage: str) -> None:
    path = save_image(tmp_path / "web.tar")
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:2000])
    else:
        path.write_text("<html>")
    template.lab.reset_calls()
    refused = template.run(image_archives=[str(path)])
    assert refused["failed"]
    assert str(path) in refused["msg"]
    assert set(template.lab.calls()) <= READS
    assert template.vms() == {}


@pytest.mark.parametrize(
    "fault",
    [
        {"method": "ReconfigVM_Task", "task": True, "fault": "SystemError"},
        {"method": "ReconfigVM_Task", "fault": "SystemError"},
        {"method": "PowerOnVM_Task", "task": True, "fault": "SystemError"},
    ],
)
def test_a_failure_with_an_archive_under_way_leaves_no_file(
    template: Template, tmp_path: Path, fault: dict[str, Any]
) -> None:
    with template.lab.fault(**fault):
        assert template.run(image_archives=[str(save_image(tmp_path / "web.tar"))])["failed"]
    assert template.vms() == {}
    assert template.orphans() == []


def test_uploading_an_archive_needs_its_privilege(template: Template, tmp_path: Path) -> None:
    with template.denied("Datastore.FileManagement"):
        refused = failed(template.run(image_archives=[str(save_image(tmp_path / "web.tar"))]), "permission_missing")
        assert "Datastore.FileManagement" in refused["msg"]
        template.built()


# Secrets ------------------------------------------------------------------------


def test_a_registry_login_is_nowhere_in_clear() -> None:
    secret = "c0rrect-horse-battery"
    with running_lab(guests="scripted", hosts=2, arguments=("--trace",)) as lab:
        make_folder(lab, "folder-photon")
        template = Template(lab=lab, name="photon")
        login = {"server": "registry.example", "username": "robot", "password": secret}
        built = template.built(registry_logins=[login])
        again = template.built(registry_logins=[{**login, "password": "another"}])
        told = json.dumps([built, again, lab.state(), lab.control("GET", "/traffic")])
        assert "guestinfo.bonneville.login" in told
        assert secret not in told
        assert not again["changed"]
        assert built["invocation"]["module_args"]["registry_logins"][0]["username"] == "robot"
        for vm in template.vms().values():
            assert not vm["extra_config"].get("guestinfo.bonneville.login")
