from __future__ import annotations

import re
import uuid

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere import vmdk
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.datastore import url_of
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(0, 1 << 45))
def test_a_disk_has_room_for_its_content_in_whole_mebibytes(content: int) -> None:
    size = vmdk.disk_size(content)
    assert size >= max(1, content)
    assert size % (1 << 20) == 0
    assert size - content <= 1 << 20


def test_every_uuid_is_one_of_vmwares_and_its_own() -> None:
    made = {vmdk.new_uuid() for _ in range(50)}
    assert len(made) == 50
    assert all(one.startswith("6000c29") and str(uuid.UUID(one)) == one for one in made)


def test_the_descriptor_names_its_content_size_and_uuid() -> None:
    disk_uuid = "6000c29a-0000-1111-2222-333344445555"
    text = vmdk.descriptor("[ds1] photon@esx1/archive-1.vmdk", size=3 << 20, disk_uuid=disk_uuid).decode()
    assert text.startswith("# Disk DescriptorFile\n")
    assert 'RW 6144 VMFS "archive-1-flat.vmdk"' in text
    (told,) = re.findall(r'ddb.uuid = "(.*)"', text)
    assert told == "60 00 c2 9a 00 00 11 11-22 22 33 33 44 44 55 55"


def test_the_content_stands_beside_the_descriptor() -> None:
    assert vmdk.flat_name("[ds1] a/b.vmdk") == "[ds1] a/b-flat.vmdk"


@pytest.mark.parametrize(
    ("path", "datacenter", "expected"),
    [
        ("[ds1] a/b.vmdk", "DC0", "/folder/a/b.vmdk?dcPath=DC0&dsName=ds1"),
        ("[my ds] a b/c&d.vmdk", "Europe/DC 1", "/folder/a%20b/c%26d.vmdk?dcPath=Europe%2FDC%201&dsName=my%20ds"),
        ("[ds1] photon@esx1/x.vmdk", "DC0", "/folder/photon%40esx1/x.vmdk?dcPath=DC0&dsName=ds1"),
    ],
)
def test_a_datastores_file_is_reached_by_its_path(path: str, datacenter: str, expected: str) -> None:
    assert url_of(path, datacenter=datacenter) == expected
