"""What the guest makes of a volume's disk: only a blank one gets a file system, once. Files stand for disks."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent import volumes
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent.problem import Problem
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.disks import Disks
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import ProtocolError

TOOLS = ("blkid", "mkfs.ext4", "mkswap")
ANYWHERE = "/usr/sbin:/usr/bin:/sbin:/bin"
pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool, path=ANYWHERE) for tool in TOOLS),
    reason=f"needs {', '.join(TOOLS)}, as guests have them",
)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(16 << 20)
    return path


def test_a_blank_disk_is_made_ready_once(disk: Path) -> None:
    assert volumes._kind("data", str(disk)) == ""
    volumes._format("data", str(disk))
    assert volumes._kind("data", str(disk)) == "ext4"
    subprocess.run(["/sbin/e2fsck", "-fn", disk], check=True, capture_output=True)


def test_what_mkfs_left_half_done_is_begun_again(disk: Path) -> None:
    volumes._mark(str(disk), volumes._BEGUN)
    with disk.open("r+b") as file:
        file.seek(4096)
        file.write(b"half a group descriptor")
    assert volumes._kind("data", str(disk)) == ""
    volumes._format("data", str(disk))
    assert volumes._kind("data", str(disk)) == "ext4"


def test_the_mark_outlives_the_beginning_of_mkfs_and_not_its_end(disk: Path) -> None:
    volumes._mark(str(disk), volumes._BEGUN)
    subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", "-E", "nodiscard", disk], check=True)
    assert volumes._BEGUN in disk.read_bytes()
    volumes._format("data", str(disk))
    assert volumes._BEGUN not in disk.read_bytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [({4096: b"a database's own"}, "not blank"), ({510: b"\x55\xaa", 450: b"\x83", 458: b"\x10"}, "dos")],
)
def test_a_disk_with_anything_on_it_is_left_alone(disk: Path, content: Mapping[int, bytes], words: str) -> None:
    with disk.open("r+b") as file:
        for at, raw in content.items():
            file.seek(at)
            file.write(raw)
    before = disk.read_bytes()
    with pytest.raises(Problem, match=words) as problem:
        volumes._kind("data", str(disk))
    assert problem.value.code == "volume_unusable"
    assert disk.read_bytes() == before


def test_swap_is_no_file_system(disk: Path) -> None:
    subprocess.run(["/sbin/mkswap", disk], check=True, capture_output=True)
    with pytest.raises(Problem, match="swap"):
        volumes._kind("data", str(disk))


def test_only_uuids_are_taken_for_disks() -> None:
    uuid = "6000c29a-1111-2222-3333-444455556666"
    assert Disks.decode(Disks(volumes={"data": uuid}).encode()) == Disks(volumes={"data": uuid})
    with pytest.raises(ProtocolError):
        Disks.decode('{"schema":1,"volumes":{"data":"../../sda"}}')
