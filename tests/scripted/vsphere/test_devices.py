"""VMs' devices, and whose disks hang on which files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import NotFound
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.clone import (
    CloneOutcome,
    CloneRequest,
    instant_clone,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.devices import (
    find_disk_users,
    is_on,
    network_backing,
    nic_on,
    read_hardware,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import ensure_folder, find_network
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.reconfigure import Change, reconfigure_all
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

from tests.support.lab import Lab
from tests.support.vsphere import SECONDS, FrozenTemplate, Site

FOLDER = "disks"


@pytest.fixture
def clones(scripted_lab: Lab, session: Session, frozen_template: FrozenTemplate) -> Iterator[list[CloneOutcome]]:
    """Two clones of the first template VM, and one of the second."""
    site = Site.of(session, scripted_lab)
    folder = ensure_folder(session, datacenter=site.datacenter, path=FOLDER)
    requests = [
        CloneRequest(
            key=str(number),
            name=f"user-{number}",
            source=frozen_template.moids[source],
            bios_uuid=str(uuid4()),
            extra_config={},
            folder=folder.moid,
            log=f"[{site.datastore.name}] user-{number}/container.log",
        )
        for number, source in enumerate((0, 0, 1))
    ]
    with Watch(session) as watch:
        hardware = read_hardware(session, frozen_template.moids)
        yield instant_clone(session, requests, hardware=hardware, watch=watch, deadline=Deadline(SECONDS))
    for name in scripted_lab.vms(FOLDER):
        scripted_lab.control("POST", f"/vms/{name}/power-off")
        scripted_lab.control("POST", f"/vms/{name}/destroy")


def test_hardware_is_what_the_vm_has(scripted_lab: Lab, session: Session, frozen_template: FrozenTemplate) -> None:
    scripted_lab.reset_calls()
    found = read_hardware(session, [*frozen_template.moids, frozen_template.moids[0]])
    assert scripted_lab.calls() == {"RetrievePropertiesEx": 1}
    assert set(found) == set(frozen_template.moids)
    told = {vm["moid"]: vm for vm in scripted_lab.state()["vms"]}
    for moid, hardware in found.items():
        assert hardware.name == told[moid]["name"]
        assert hardware.vmx_path == f"[LocalDS_0] {hardware.name}/{hardware.name}.vmx"
        assert hardware.directory == f"[LocalDS_0] {hardware.name}"
        assert hardware.macs == (told[moid]["mac"],)
        assert len(hardware.serial_ports) == 1
        (disk,) = hardware.disks
        assert list(disk.files) == told[moid]["disks"]
        assert disk.capacity_bytes == 16 << 30
        assert hardware.foreign_disks == ()


def test_a_vm_that_is_gone(session: Session, frozen_template: FrozenTemplate) -> None:
    with pytest.raises(NotFound, match="Cannot read devices"):
        read_hardware(session, [frozen_template.moids[0], "vm-0"])


def test_no_vms_cost_nothing(scripted_lab: Lab, session: Session) -> None:
    scripted_lab.reset_calls()
    assert read_hardware(session, []) == {}
    assert scripted_lab.calls() == {}


def test_a_clone_hangs_on_its_sources_disk(
    session: Session, frozen_template: FrozenTemplate, clones: list[CloneOutcome]
) -> None:
    source = read_hardware(session, frozen_template.moids)[frozen_template.moids[0]]
    clone = read_hardware(session, [clones[0].vm])[clones[0].vm]
    assert clone.disks[0].files[1:] == source.disks[0].files
    assert clone.foreign_disks == ()


def test_users_of_a_disk_are_found_by_their_chains(
    scripted_lab: Lab, session: Session, frozen_template: FrozenTemplate, clones: list[CloneOutcome]
) -> None:
    datastore = Site.of(session, scripted_lab).datastore.moid
    source = read_hardware(session, frozen_template.moids)[frozen_template.moids[0]]
    # The template is shared: other tests may have left clones of it.
    ours = {clone.request.name for clone in clones}
    scripted_lab.reset_calls()
    found = find_disk_users(session, files=source.disks[0].files, datastores=[datastore], besides=[source.vm])
    assert scripted_lab.calls() == {"RetrievePropertiesEx": 1}
    assert {vm: name for vm, name in found.items() if name in ours} == {clones[0].vm: "user-0", clones[1].vm: "user-1"}
    with_itself = find_disk_users(session, files=source.disks[0].files, datastores=[datastore])
    assert with_itself == {**found, source.vm: source.name}
    assert find_disk_users(session, files=["[LocalDS_0] nobody/nobody.vmdk"], datastores=[datastore]) == {}


def test_a_disk_from_elsewhere_is_foreign(session: Session, clones: list[CloneOutcome]) -> None:
    """Destroy would take it along."""
    vm = read_hardware(session, [clones[0].vm])[clones[0].vm]
    disk = vim.vm.device.VirtualDisk(
        key=-1,
        controllerKey=vm.disks[0].device.controllerKey,
        unitNumber=5,
        capacityInKB=1024,
        backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName="[LocalDS_0] user-1/data.vmdk", diskMode="persistent", thinProvisioned=True
        ),
    )
    attach = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk)
    changed = reconfigure_all(session, {vm.vm: Change(devices=[attach])}, deadline=Deadline(SECONDS))
    assert changed == {vm.vm: None}
    after = read_hardware(session, [vm.vm])[vm.vm]
    assert [one.files[0] for one in after.foreign_disks] == ["[LocalDS_0] user-1/data.vmdk"]
    detach = vim.vm.device.VirtualDeviceSpec(operation="remove", device=after.foreign_disks[0].device)
    assert reconfigure_all(session, {vm.vm: Change(devices=[detach])}, deadline=Deadline(SECONDS)) == {vm.vm: None}


@pytest.mark.parametrize("path", ["VM Network", "DC0_DVPG0"])
def test_a_nic_goes_to_a_network_of_each_kind(
    scripted_lab: Lab, session: Session, clones: list[CloneOutcome], path: str
) -> None:
    network = find_network(session, datacenter=Site.of(session, scripted_lab).datacenter, path=path)

    def nic() -> Any:
        return read_hardware(session, [clones[2].vm])[clones[2].vm].nics[0]

    moved = nic_on(nic(), network, mac="00:50:56:0a:0b:0c")
    change = Change(devices=[vim.vm.device.VirtualDeviceSpec(operation="edit", device=moved)])
    assert reconfigure_all(session, {clones[2].vm: change}, deadline=Deadline(SECONDS)) == {clones[2].vm: None}
    assert is_on(nic(), network)
    assert type(nic().backing) is type(network_backing(network))
    others = [other for other in ("VM Network", "DC0_DVPG0") if other != path]
    other = find_network(session, datacenter=Site.of(session, scripted_lab).datacenter, path=others[0])
    assert not is_on(nic(), other)
