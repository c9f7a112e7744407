from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption, NotFound, Unsupported
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.archive import check_archive, read_archive

from tests.support.archives import save_image


def test_an_archive_is_known_by_its_content(tmp_path: Path) -> None:
    path = save_image(tmp_path / "web.tar")
    archive = read_archive(str(path))
    assert archive.size == path.stat().st_size
    assert archive.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("packed", [False, True])
def test_a_whole_one_is_taken(tmp_path: Path, packed: bool) -> None:
    check_archive(read_archive(str(save_image(tmp_path / "web.tar", packed=packed))))


def test_a_compressed_one_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "web.tar.gz"
    path.write_bytes(gzip.compress(save_image(tmp_path / "web.tar").read_bytes()))
    check_archive(read_archive(str(path)))


def test_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no/such\.tar"):
        read_archive(str(tmp_path / "no" / "such.tar"))


def test_an_empty_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "web.tar").touch()
    with pytest.raises(InvalidOption, match="empty"):
        read_archive(str(tmp_path / "web.tar"))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"manifest.json": None}, "'manifest.json' is missing"),
        ({"manifest.json": b"[]"}, "lists no image"),
        ({"manifest.json": b"{"}, "cannot be read"),
        ({"manifest.json": b'[{"Layers": []}]'}, "cannot be read"),
        ({"layer": None}, "'0/layer.tar' is missing"),
        ({"layer": b"something else"}, "another content"),
        ({"layer": gzip.compress(b"something else")}, "another content"),
        ({"layer": gzip.compress(b"x" * 4096)[:-6]}, "cannot be read"),
        ({"config": b"{}"}, "the digest that it is named by"),
    ],
)
def test_a_damaged_one_says_what_is_wrong(tmp_path: Path, changed: dict[str, bytes | None], why: str) -> None:
    archive = read_archive(str(save_image(tmp_path / "web.tar", changed=changed)))
    with pytest.raises(InvalidOption, match=why) as caught:
        check_archive(archive)
    assert "docker save" in str(caught.value)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_truncated_one_is_damaged(tmp_path: Path, part: float) -> None:
    path = save_image(tmp_path / "web.tar", content=b"x" * 100_000)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(InvalidOption):
        check_archive(read_archive(str(path)))


def test_any_other_file_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "web.tar"
    path.write_text("<html>not found</html>")
    with pytest.raises(InvalidOption, match="no tar archive"):
        check_archive(read_archive(str(path)))


def test_an_oci_layout_is_told_how_to_become_one(tmp_path: Path) -> None:
    layout: dict[str, bytes | None] = {"manifest.json": None, "oci-layout": b"{}", "index.json": b"{}"}
    with pytest.raises(Unsupported, match="docker-archive"):
        check_archive(read_archive(str(save_image(tmp_path / "web.tar", changed=layout))))
