"""A template on eight hosts: a generation tried out on each, and each damage mended by an action of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import read_hardware
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import find_hosts
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import wait_for_tasks

from tests.scripted.template_support import WIDE, Template, actions, failed, good, wide_template
from tests.support.containers import clone_containers
from tests.support.vsphere import SECONDS, Site, connected


@pytest.fixture
def template() -> Iterator[Template]:
    with wide_template() as one:
        yield one
        good(one.absent(force=True))
        state = one.lab.state()
        assert (state["sessions"], state["violations"], state["orphan_files"]) == (0, [], [])


@pytest.fixture
def session(template: Template) -> Iterator[Session]:
    with connected(template.lab) as session:
        yield session


def move(template: Template, moid: str) -> None:
    """Take a VM to the first host, as an administrator does."""
    template.control(moid, "power-off")
    with connected(template.lab) as session:
        there = find_hosts(session, datacenter=Site.of(session, template.lab).datacenter, names=template.hosts[:1])[0][
            0
        ]
        spec = vim.vm.RelocateSpec(host=session.managed("HostSystem", there.moid))
        task = session.managed("VirtualMachine", moid).RelocateVM_Task(spec=spec)
        assert wait_for_tasks(session, {"": task}, deadline=Deadline(SECONDS))[""].ok


def test_all_damages_at_once_are_mended_each_by_its_own_action(template: Template) -> None:
    moved = {one["vm"]: one["moid"] for one in template.built()["template"]["hosts"]}[template.vm(7)]
    before = template.stands()
    move(template, moved)
    template.control(template.vm(1), "power-off")
    template.control(template.vm(2), "reset")
    template.control(template.vm(3), "destroy")
    template.control(template.vm(4), "reconfigure", {"bonneville.key": ""})
    template.lab.control("POST", f"/hosts/{template.hosts[5]}/restart")
    good(template.run(state="parked", source=None, cluster=None, hosts=[template.hosts[6]]))
    foretold = good(template.run(check=True))
    mended = template.built()
    assert mended["actions"] == foretold["actions"]
    done = {name: action for action, name in actions(mended)}
    # A host that restarts may have HA start its template VM again.
    assert done.pop(template.vm(5)) in ("boot", "freeze")
    assert done == {
        template.vm(1): "boot",
        template.vm(2): "freeze",
        template.vm(3): "import",
        template.vm(4): "refreeze",
        template.vm(6): "boot",
        template.vm(7): "move",
    }
    after = template.stands()
    assert len(after) == WIDE
    assert all(frozen for _, frozen in after.values())
    assert template.vms()[template.vm(7)]["host"] == template.hosts[7]
    assert after[template.vm(0)] == before[template.vm(0)]
    assert not template.built()["changed"]


def test_a_generation_is_tried_out_on_every_host_and_a_container_keeps_the_older_one(template: Template) -> None:
    frozen = template.as_frozen(template.built(memory_mb=1024))
    with connected(template.lab) as session:
        (container,) = clone_containers(session, template.lab, frozen, "web", folder="clones")
    template.lab.reset_calls()
    renewed = template.built(memory_mb=2048)
    assert template.lab.calls()["InstantClone_Task"] == WIDE
    done = [action for action, _ in actions(renewed)]
    assert (done.count("retire"), done.count("remove")) == (1, WIDE - 1)
    assert [one["clones"] for one in renewed["template"]["retired"]] == [[container]]
    assert len(renewed["template"]["hosts"]) == WIDE
    refused = template.absent()
    assert refused["error_code"] == "in_use"
    assert container in refused["msg"]
    template.control(container, "destroy")
    assert [action for action, _ in actions(template.built(memory_mb=2048))] == ["remove"]


def test_a_template_is_kept_while_anybodys_disk_hangs_on_it(template: Template, session: Session) -> None:
    frozen = template.as_frozen(template.built())
    source = frozen.vms[template.hosts[0]]
    hardware = read_hardware(session, [source])[source]
    site = Site.of(session, template.lab)
    name = f"admins-{template.name}"
    disk = vim.vm.device.VirtualDisk.FlatVer2BackingInfo
    parent = hardware.disks[0].device.backing
    task = session.managed("VirtualMachine", source).InstantClone_Task(
        vim.vm.InstantCloneSpec(
            name=name,
            location=vim.vm.RelocateSpec(
                folder=session.managed("Folder", _root(session, site)),
                deviceChange=[_log_elsewhere(hardware.serial_ports[0], f"[{site.datastore.name}] {name}/console.log")],
            ),
        )
    )
    state = wait_for_tasks(session, {"clone": task}, deadline=Deadline(SECONDS))["clone"]
    assert state.ok, state.fault
    assert isinstance(parent, disk)
    for options in ({}, {"force": True}):
        refused = failed(template.absent(**options), "in_use")
        assert name in refused["msg"]
    assert len(template.vms()) == WIDE
    good(template.absent(hosts=[template.hosts[1]]))
    template.control(name, "destroy")


def _root(session: Session, site: Site) -> str:
    return str(session.managed("Datacenter", site.datacenter.moid).vmFolder._moId)


def _log_elsewhere(port: Any, path: str) -> Any:
    port.backing = vim.vm.device.VirtualSerialPort.FileBackingInfo(fileName=path)
    return vim.vm.device.VirtualDeviceSpec(operation="edit", device=port)
