"""An OVA becomes one VM, or after any failure none."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    CapacityShort,
    InUse,
    OvaInvalid,
    PermissionMissing,
    TaskFailed,
    Unreachable,
    VsphereFault,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere import ova_import
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import ensure_folder
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.ova import Ova, read_ova
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.ova_import import ImportPlace, import_ova
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

from tests.support.lab import Lab
from tests.support.vsphere import SECONDS, Site, connected

FOLDER = "imports"
NAME = "imported"
Import = Callable[..., str]


@pytest.fixture
def importing(scripted_lab: Lab, session: Session) -> Iterator[Import]:
    """Import the lab's OVA, or another, as ``imported`` in a folder of its own."""
    site = Site.of(session, scripted_lab)
    folder = ensure_folder(session, datacenter=site.datacenter, path=FOLDER)
    place = ImportPlace(
        host=site.compute.hosts[1],
        pool=site.compute.pool,
        folder=folder.moid,
        datastore=site.datastore.moid,
        network=site.network,
    )

    def run(ova: Ova | None = None, *, by: Session = session, **changes: Any) -> str:
        given: dict[str, Any] = {
            "name": NAME,
            "place": place,
            "bios_uuid": str(uuid4()),
            "extra_config": {"bonneville.kind": "template"},
            "seconds": SECONDS,
            "progress": lambda text: None,
        }
        return import_ova(by, ova=ova or read_ova(scripted_lab.ready["ova"]), **{**given, **changes})

    yield run
    for name in scripted_lab.vms(FOLDER):
        scripted_lab.control("POST", f"/vms/{name}/destroy")


@pytest.fixture
def copied(scripted_lab: Lab, tmp_path: Path) -> Path:
    """A copy of the lab's OVA, to be spoilt."""
    return Path(shutil.copy(scripted_lab.ready["ova"], tmp_path / "copy.ova"))


def nothing_is_left(lab: Lab) -> bool:
    state = lab.state()
    return not lab.vms(FOLDER) and (state["leases"], state["collectors"], state["orphan_files"]) == (0, 0, [])


def large(lab: Lab, path: Path, *, mebibytes: int) -> Ova:
    """The lab's OVA with a disk that does not fit into the buffers on its way."""
    with tarfile.open(lab.ready["ova"]) as old:
        files = {member.name: old.extractfile(member) for member in old}
        content = {name: file.read() for name, file in files.items() if file}
    (disk,) = [name for name in content if name.endswith(".vmdk")]
    (descriptor,) = [name for name in content if name.endswith(".ovf")]
    size = len(content[disk])
    content[disk] += bytes(mebibytes << 20)
    content[descriptor] = content[descriptor].replace(
        f'ovf:size="{size}"'.encode(), f'ovf:size="{len(content[disk])}"'.encode()
    )
    manifest = "".join(f"SHA256({name})= {sha256(content[name]).hexdigest()}\n" for name in (descriptor, disk))
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as new:
        for name, data in (
            (descriptor, content[descriptor]),
            (descriptor[:-3] + "mf", manifest.encode()),
            (disk, content[disk]),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            new.addfile(info, io.BytesIO(data))
    return read_ova(str(path))


def disk_part(ova: Ova) -> Any:
    return next(part for name, part in ova.parts.items() if name.endswith(".vmdk"))


# As it should be -------------------------------------------------------------------


def test_an_ova_becomes_a_vm(scripted_lab: Lab, importing: Import) -> None:
    said: list[str] = []
    uuid = str(uuid4())
    moid = importing(bios_uuid=uuid, progress=said.append)
    vm = scripted_lab.vms(FOLDER)[NAME]
    assert (vm["moid"], vm["bios_uuid"], vm["power"], vm["host"]) == (moid, uuid, "poweredOff", "DC0_C0_H1")
    assert vm["extra_config"]["bonneville.kind"] == "template"
    assert said[-1] == "uploaded 100 % of 3 MiB"
    state = scripted_lab.state()
    assert (state["leases"], state["collectors"]) == (0, 0)


def test_its_cost(scripted_lab: Lab, importing: Import) -> None:
    scripted_lab.reset_calls()
    importing()
    calls = scripted_lab.calls()
    assert calls.pop("WaitForUpdatesEx") <= 3
    assert calls == {
        "CreateImportSpec": 1,
        "ImportVApp": 1,
        "CreatePropertyCollector": 1,
        "CreateFilter": 1,
        "DestroyPropertyCollector": 1,
        "HttpNfcLeaseComplete": 1,
    }


def test_a_lease_that_takes_its_time(scripted_lab: Lab, importing: Import) -> None:
    """Longer than any single call may."""
    with (
        connected(scripted_lab, call_timeout=2.0) as hasty,
        scripted_lab.fault(method="ImportVApp", task=True, delay_ms=3000),
    ):
        assert importing(by=hasty)


def test_a_lease_is_prolonged_while_the_upload_lasts(
    scripted_lab: Lab, importing: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ova_import, "_HEARTBEAT_SECONDS", 0.05)
    scripted_lab.reset_calls()
    with scripted_lab.fault(method="upload", delay_ms=400):
        assert importing()
    assert scripted_lab.calls()["HttpNfcLeaseProgress"] >= 2


@pytest.mark.parametrize("fault", ["http503", "reset"])
def test_a_sign_of_life_that_is_not_heard_is_no_trouble(
    scripted_lab: Lab, importing: Import, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(ova_import, "_HEARTBEAT_SECONDS", 0.05)
    scripted_lab.control("POST", "/faults", {"method": "HttpNfcLeaseProgress", "fault": fault, "times": 2})
    with scripted_lab.fault(method="upload", delay_ms=400):
        assert importing()


def test_an_end_whose_answer_was_lost_is_an_end(scripted_lab: Lab, importing: Import) -> None:
    with scripted_lab.fault(method="HttpNfcLeaseComplete", fault="reset", after=True):
        assert importing() == scripted_lab.vms(FOLDER)[NAME]["moid"]


# Refused before anything is made ------------------------------------------------------


def test_a_descriptor_that_vcenter_cannot_use(scripted_lab: Lab, importing: Import, copied: Path) -> None:
    ova = read_ova(str(copied))
    broken = replace(ova, descriptor=ova.descriptor.replace("VirtualHardwareSection", "NothingSection"))
    with pytest.raises(OvaInvalid, match=r"vCenter refuses its descriptor: .*VirtualHardwareSection"):
        importing(broken)
    assert nothing_is_left(scripted_lab)


def test_a_name_that_is_taken(scripted_lab: Lab, importing: Import) -> None:
    first = importing()
    with pytest.raises(InUse, match=rf"Cannot import .*\.ova as '{NAME}': the name {NAME} is taken"):
        importing()
    assert {name: vm["moid"] for name, vm in scripted_lab.vms(FOLDER).items()} == {NAME: first}
    assert scripted_lab.state()["leases"] == 0


def test_a_privilege_that_is_missing(scripted_lab: Lab, importing: Import) -> None:
    scripted_lab.control("POST", "/switch", {"deny": ["VApp.Import"]})
    try:
        with pytest.raises(PermissionMissing, match=r"VApp\.Import"):
            importing()
    finally:
        scripted_lab.control("POST", "/switch", {"deny": []})
    assert nothing_is_left(scripted_lab)


# Broken on the way ----------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["at once", "late"])
def test_a_lease_in_error(scripted_lab: Lab, importing: Import, after: bool) -> None:
    with (
        scripted_lab.fault(method="ImportVApp", task=True, after=after, fault="InsufficientResourcesFault"),
        pytest.raises(CapacityShort, match=rf"Cannot import .* as '{NAME}': too few resources"),
    ):
        importing()
    assert nothing_is_left(scripted_lab)


def test_a_lease_that_is_never_ready(scripted_lab: Lab, importing: Import) -> None:
    with (
        scripted_lab.fault(method="ImportVApp", task=True, delay_ms=1500),
        pytest.raises(VsphereFault, match="lease for the upload was 'initializing' after 0 s"),
    ):
        importing(seconds=0.2)
    wait_until_settled(scripted_lab)
    assert nothing_is_left(scripted_lab)


def wait_until_settled(lab: Lab) -> None:
    deadline = Deadline(SECONDS)
    while lab.state()["tasks_running"] and not deadline.passed:
        pass


def test_a_file_that_is_cut_off_meanwhile(scripted_lab: Lab, importing: Import, copied: Path) -> None:
    ova = read_ova(str(copied))
    with copied.open("r+b") as file:
        file.truncate(disk_part(ova).offset + 2_000_000)
    with pytest.raises(OvaInvalid, match=r"it ends before '.*\.vmdk' does"):
        importing(ova)
    assert nothing_is_left(scripted_lab)


def test_a_disk_with_a_wrong_digest(scripted_lab: Lab, importing: Import, copied: Path) -> None:
    ova = read_ova(str(copied))
    with copied.open("r+b") as file:
        file.seek(disk_part(ova).offset + 3_000_000)
        file.write(b"x")
    with pytest.raises(OvaInvalid, match="does not have the sha256 digest that its manifest names"):
        importing(ova)
    assert nothing_is_left(scripted_lab)


def test_a_host_that_fails(scripted_lab: Lab, importing: Import) -> None:
    with (
        scripted_lab.fault(method="upload", fault="http500"),
        pytest.raises(VsphereFault, match=r"Cannot upload '.*\.vmdk': 127.* answered 500 .* after \d+ bytes"),
    ):
        importing()
    assert nothing_is_left(scripted_lab)


def test_a_host_that_hangs_up(scripted_lab: Lab, importing: Import, tmp_path: Path) -> None:
    ova = large(scripted_lab, tmp_path / "large.ova", mebibytes=16)
    with scripted_lab.fault(method="upload", fault="reset", times=-1), pytest.raises(Unreachable, match="Cannot reach"):
        importing(ova)
    assert nothing_is_left(scripted_lab)


def test_a_lease_that_is_lost(
    scripted_lab: Lab, importing: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ova_import, "_HEARTBEAT_SECONDS", 0.05)
    ova = large(scripted_lab, tmp_path / "large.ova", mebibytes=16)

    def expire(text: str) -> None:
        scripted_lab.control("POST", "/leases/expire")

    with (
        scripted_lab.fault(method="upload", delay_ms=1000),
        pytest.raises(TaskFailed, match="Lost the lease to upload the OVA"),
    ):
        importing(ova, progress=expire)
    assert nothing_is_left(scripted_lab)


def test_a_lease_that_is_lost_at_the_end(scripted_lab: Lab, importing: Import) -> None:
    def expire(text: str) -> None:
        if "100 %" in text:
            scripted_lab.control("POST", "/leases/expire")

    with pytest.raises(BonnevilleError):
        importing(progress=expire)
    assert nothing_is_left(scripted_lab)


def test_no_time_left_for_the_upload(scripted_lab: Lab, importing: Import, tmp_path: Path) -> None:
    ova = large(scripted_lab, tmp_path / "large.ova", mebibytes=16)
    with (
        scripted_lab.fault(method="upload", delay_ms=1500),
        pytest.raises(TaskFailed, match=r"Cannot upload the OVA '.*': \d+ % were sent in 1 s\. Raise timeout"),
    ):
        importing(ova, seconds=1.0)
    assert nothing_is_left(scripted_lab)


def test_an_interrupt_in_the_middle(scripted_lab: Lab, importing: Import) -> None:
    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        importing(progress=interrupt)
    assert nothing_is_left(scripted_lab)


def test_a_session_that_ends_in_the_middle(scripted_lab: Lab, importing: Import) -> None:
    def expire(text: str) -> None:
        scripted_lab.control("POST", "/sessions/expire")

    with pytest.raises(BonnevilleError):
        importing(progress=expire)
    assert nothing_is_left(scripted_lab)
