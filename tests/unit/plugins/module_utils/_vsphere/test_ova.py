from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import NotFound, OvaInvalid
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.ova import PartReader, read_ova

DISK = bytes(range(256)) * 40
DESCRIPTOR = """<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <References><File ovf:href="disk1.vmdk" ovf:id="file1" ovf:size="{size}"{more}/></References>
  <NetworkSection><Info/><Network ovf:name="VM Network"/><Network ovf:name="hat"/></NetworkSection>
  <VirtualSystem ovf:id="photon"><EulaSection><Info/><License>Be  nice.</License></EulaSection></VirtualSystem>
</Envelope>
"""


def write(
    path: Path,
    *,
    size: int = len(DISK),
    more: str = "",
    manifest: str | None = None,
    algorithm: str = "SHA256",
    leave_out: str = "",
    descriptor: str = "",
) -> str:
    text = (descriptor or DESCRIPTOR.format(size=size, more=more)).encode()
    digest = algorithm.lower()
    lines = [f"{algorithm}(p.ovf)= {hashlib.new(digest, text).hexdigest()}"]
    lines += [f"{algorithm}(disk1.vmdk)= {hashlib.new(digest, DISK).hexdigest()}"]
    members = [("p.ovf", text), ("p.mf", ("\n".join(lines) if manifest is None else manifest).encode())]
    members += [("disk1.vmdk", DISK)]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members:
            if name != leave_out:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return str(path)


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256", "SHA512"])
def test_a_good_ova_tells_its_networks_its_eula_and_streams_its_disk(tmp_path: Path, algorithm: str) -> None:
    ova = read_ova(write(tmp_path / "p.ova", algorithm=algorithm))
    assert ova.networks == ("VM Network", "hat")
    assert ova.eulas == ("Be nice.",)
    with PartReader(ova=ova, part=ova.parts["disk1.vmdk"]) as reader:
        assert len(reader) == len(DISK)
        assert reader.read(100) + b"".join(reader) == DISK
        assert reader.done == len(DISK)
        reader.verify()


def test_the_fingerprint_follows_the_content_and_not_the_path(tmp_path: Path) -> None:
    one, two = read_ova(write(tmp_path / "a.ova")), read_ova(write(tmp_path / "b.ova"))
    other = read_ova(write(tmp_path / "c.ova", algorithm="SHA1"))
    assert one.fingerprint == two.fingerprint != other.fingerprint


def test_without_a_manifest_the_fingerprint_covers_the_disk(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "a.ova", leave_out="p.mf"))
    before = read_ova(str(path))
    raw = bytearray(path.read_bytes())
    raw[before.parts["disk1.vmdk"].offset + 5] ^= 1
    path.write_bytes(raw)
    assert read_ova(str(path)).fingerprint != before.fingerprint


def test_a_flipped_byte_is_found_by_the_manifest(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "p.ova"))
    ova = read_ova(str(path))
    raw = bytearray(path.read_bytes())
    raw[ova.parts["disk1.vmdk"].offset + 17] ^= 1
    path.write_bytes(raw)
    with PartReader(ova=ova, part=ova.parts["disk1.vmdk"]) as reader:
        reader.read()
        with pytest.raises(OvaInvalid, match=r"disk1\.vmdk.*sha256"):
            reader.verify()


@pytest.mark.parametrize("keep", [0.02, 0.2, 0.5, 0.9])
def test_a_truncated_ova_is_refused_before_anything_is_done(tmp_path: Path, keep: float) -> None:
    path = Path(write(tmp_path / "p.ova"))
    raw = path.read_bytes()
    end = read_ova(str(path)).parts["disk1.vmdk"]
    path.write_bytes(raw[: int((end.offset + end.size) * keep)])
    with pytest.raises(OvaInvalid):
        read_ova(str(path))


def test_a_file_that_shrinks_while_it_is_sent_is_noticed(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "p.ova"))
    ova = read_ova(str(path))
    path.write_bytes(path.read_bytes()[: ova.parts["disk1.vmdk"].offset + 10])
    with PartReader(ova=ova, part=ova.parts["disk1.vmdk"]) as reader, pytest.raises(OvaInvalid, match="ends before"):
        reader.read()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"leave_out": "disk1.vmdk"}, "ends before 'disk1.vmdk'"),
        ({"leave_out": "p.ovf"}, "0 OVF descriptors|ends before"),
        ({"manifest": "nonsense"}, "manifest has a line"),
        ({"manifest": "SHA256(p.ovf)= " + "0" * 64}, "descriptor does not have the sha256"),
        ({"manifest": "SHA256(p.ovf)= 00\nSHA256(more.vmdk)= 00"}, r"ends before 'more\.vmdk'"),
        ({"size": 17}, "bytes where its descriptor says 17"),
        ({"more": ' ovf:compression="gzip"'}, "compressed"),
        ({"more": ' ovf:chunkSize="7"'}, "chunks"),
        ({"descriptor": "<Envelope>"}, "not well-formed"),
    ],
)
def test_what_is_wrong_with_an_ova_is_said(tmp_path: Path, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(OvaInvalid, match=words):
        read_ova(write(tmp_path / "p.ova", **arguments))  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"", b"this is no tar", b"\0" * 4096, b"PK\3\4" * 600])
def test_what_is_no_ova_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.ova"
    path.write_bytes(content)
    with pytest.raises(OvaInvalid):
        read_ova(str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nowhere\.ova"):
        read_ova(str(tmp_path / "nowhere.ova"))
