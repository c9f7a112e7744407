"""A template VM that an administrator moved to another folder: found by its uuid, brought back or removed, never built
twice.
"""

from __future__ import annotations

import itertools
import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import KEY_BIOS_UUID, KEY_TEMPLATE
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

from tests.scripted.template_support import READS, Template, actions, good, import_vm, make_folder
from tests.support.lab import Lab

ELSEWHERE = "moved-elsewhere"
_numbers = itertools.count()


@pytest.fixture
def template(scripted_lab: Lab) -> Iterator[Template]:
    one = Template(lab=scripted_lab, name=f"moved{next(_numbers)}")
    make_folder(scripted_lab, one.folder)
    yield one
    good(one.absent())
    assert [vm["name"] for vm in everywhere(one).values()] == []
    assert one.orphans() == []


def everywhere(template: Template) -> dict[str, dict[str, Any]]:
    """All VMs of the template, in whatever folder, by moid."""
    vms = template.lab.state()["vms"]
    return {vm["moid"]: vm for vm in vms if vm["extra_config"].get(KEY_TEMPLATE) == template.name}


def move(template: Template, vm: str) -> None:
    template.control(vm, f"move?folder={ELSEWHERE}")


def test_a_frozen_one_is_brought_back_as_it_stands(template: Template) -> None:
    template.built()
    before = template.stands()
    move(template, template.vm(1))
    template.lab.reset_calls()
    foretold = good(template.run(check=True))
    assert set(template.lab.calls()) <= READS
    back = template.built()
    assert actions(back) == actions(foretold) == [("fetch", template.vm(1))]
    assert back["diff"] == foretold["diff"]
    assert back["diff"]["before"] != back["diff"]["after"]
    assert "another folder" in back["actions"][0]["reason"]
    assert template.stands() == before
    assert [one["frozen"] for one in back["template"]["hosts"]] == [True] * 3
    template.lab.reset_calls()
    assert not template.built()["changed"]
    assert set(template.lab.calls()) <= READS - {"FindAllByUuid"}


def test_all_of_them_are_brought_back_at_once(template: Template) -> None:
    template.built()
    before = template.stands()
    for number in range(3):
        move(template, template.vm(number))
    assert actions(template.built()) == [("fetch", template.vm(number)) for number in range(3)]
    assert template.stands() == before


def test_one_that_is_off_as_well_is_brought_back_and_mended(template: Template) -> None:
    template.built()
    moid, _ = template.stands()[template.vm(0)]
    move(template, template.vm(0))
    template.control(moid, "power-off")
    back = template.built()
    assert actions(back) == [("boot", template.vm(0))]
    assert "another folder" in back["actions"][0]["reason"]
    assert template.stands()[template.vm(0)] == (moid, True)


def test_one_of_a_newer_generation_is_brought_back_and_tried_out(template: Template) -> None:
    template.built(memory_mb=1024)
    newer = template.vm(0) + "~2"
    with template.lab.fault(method="InstantClone_Task", task=True, fault="NoDiskSpace", times=-1):
        assert template.run(memory_mb=2048)["failed"]
    moid, _ = template.stands()[newer]
    move(template, newer)
    back = template.built(memory_mb=2048)
    assert ("fetch", newer) in actions(back)
    assert template.stands() == {template.vm(n) + "~2": template.stands()[template.vm(n) + "~2"] for n in range(3)}
    assert template.stands()[newer] == (moid, True)


@pytest.mark.parametrize(("method", "action"), [("PowerOnVM_Task", "rebuild"), ("CloneVM_Task", "boot")])
def test_one_that_is_moved_in_the_middle_of_its_build_is_not_built_twice(
    template: Template, method: str, action: str
) -> None:
    with template.lab.fault(method=method, delay_ms=1000, times=-1):
        template.lab.reset_calls()
        process = template.begin()
        while process.poll() is None and method not in template.lab.calls():
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
    template.lab.control("POST", "/sessions/expire")
    while template.lab.state()["tasks_running"]:
        time.sleep(0.01)
    half = template.vms()[template.vm(0)]["moid"]
    move(template, template.vm(0))
    again = template.built()
    assert actions(again)[0] == (action, template.vm(0))
    assert len(everywhere(template)) == len(template.vms()) == 3
    assert (half in everywhere(template)) == (action == "boot")
    assert not template.built()["changed"]


def test_it_goes_with_the_template(template: Template) -> None:
    template.built()
    move(template, template.vm(1))
    template.lab.reset_calls()
    gone = good(template.absent())
    assert actions(gone) == [("remove", template.vm(number)) for number in range(3)]
    assert [one["host"] for one in gone["actions"]] == template.hosts
    assert template.lab.calls()["FindAllByUuid"] == 1
    assert everywhere(template) == {}


def test_one_of_an_older_generation_goes_when_a_newer_one_takes_over(template: Template) -> None:
    template.built()
    old = everywhere(template)
    move(template, template.vm(1))
    newer = template.built(memory_mb=3072)
    assert sorted(actions(newer)) == sorted(
        [("renew", f"{template.vm(number)}~2") for number in range(3)]
        + [("remove", template.vm(number)) for number in range(3)]
    )
    assert not old.keys() & everywhere(template).keys()
    assert not template.built(memory_mb=3072)["changed"]


def test_it_is_parked_with_its_host(template: Template) -> None:
    template.built()
    (moid,) = (vm["moid"] for vm in template.vms().values() if vm["name"] == template.vm(1))
    move(template, template.vm(1))
    parked = good(template.absent(state="parked", hosts=[template.hosts[1]]))
    assert actions(parked) == [("park", template.vm(1))]
    assert everywhere(template)[moid]["power"] == "poweredOff"
    assert [action for action, _ in actions(template.built())] == ["boot"]


def test_a_vm_with_its_uuid_and_no_marks_is_left_where_it_is(template: Template, session: Session) -> None:
    template.built()
    uuid = template.vms()[template.vm(1)]["bios_uuid"]
    template.control(template.vm(1), "destroy")
    name = f"somebodys-{template.name}"
    moid = import_vm(session, template.lab, name=name, folder=ELSEWHERE, extra_config={KEY_BIOS_UUID: uuid})
    before = template.lab.vms()[name]
    assert before["bios_uuid"] == uuid
    assert actions(template.built()) == [("import", template.vm(1))]
    assert template.lab.vms()[name] == before
    template.control(moid, "destroy")


def test_a_template_of_the_same_name_in_another_folder_is_another_one(template: Template) -> None:
    template.built()
    before = template.stands()
    other = Template(lab=template.lab, name=template.name, options={"folder": f"{template.folder}-b"})
    make_folder(template.lab, f"{template.folder}-b")
    assert [action for action, _ in actions(other.built())] == ["import", "clone", "clone"]
    assert template.stands() == before
    assert not template.built()["changed"]
    good(other.absent(folder=f"{template.folder}-b"))
    assert template.stands() == before


def test_where_somebodys_vm_has_its_name_nothing_is_done(template: Template) -> None:
    template.built()
    move(template, template.vm(1))
    before = everywhere(template)
    rival = template.lab.control("POST", "/vms", {"name": template.vm(1), "folder": template.folder})["moid"]
    refused = template.run()
    assert refused["error_code"] == "foreign_vm", refused["msg"]
    assert everywhere(template) == before
    template.control(rival, "destroy")
    assert actions(template.built()) == [("fetch", template.vm(1))]


def test_the_missing_privilege_is_named_before_anything_is_done(template: Template) -> None:
    template.built()
    move(template, template.vm(1))
    with template.denied("VirtualMachine.Inventory.Move"):
        refused = template.run()
        assert refused["error_code"] == "permission_missing"
        assert "VirtualMachine.Inventory.Move" in refused["msg"]
        assert "VirtualMachine.Inventory.Move" in json.dumps(refused)
    assert actions(template.built()) == [("fetch", template.vm(1))]
