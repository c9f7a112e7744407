from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption, NotFound, Unsupported
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.archive import (
    Content,
    check_archive,
    read_archive,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import Archive

from tests.support.archives import save_image, save_layout


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


# OCI layouts --------------------------------------------------------------------


def loaded(archive: Archive) -> bytes:
    """What the guest gets."""
    with Content(archive) as content:
        return b"".join(iter(lambda: content.read(1000), b""))


@pytest.mark.parametrize("platforms", [False, True])
def test_a_layout_becomes_what_an_engine_loads(tmp_path: Path, platforms: bool) -> None:
    path = save_layout(tmp_path / "web.tar", platforms=platforms)
    archive = read_archive(str(path))
    check_archive(archive)
    whole = loaded(archive)
    assert (len(whole), hashlib.sha256(whole).hexdigest()) == (archive.size, archive.sha256)
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        names = tar.getnames()
        (image,) = json.load(tar.extractfile("manifest.json") or io.BytesIO())
    assert image["RepoTags"] == ["lab/web:1"]
    assert {image["Config"], *image["Layers"]} <= set(names)
    assert {"oci-layout", "index.json"} <= set(names)
    again = save_layout(tmp_path / "again.tar", platforms=platforms)
    assert read_archive(str(again)).sha256 == archive.sha256


def test_a_layout_that_docker_save_wrote_is_taken_as_it_is(tmp_path: Path) -> None:
    path = save_image(tmp_path / "web.tar", changed={"oci-layout": b"{}", "index.json": b"{}"})
    archive = read_archive(str(path))
    assert loaded(archive) == path.read_bytes()


def test_a_layout_with_a_damaged_layer_is_damaged(tmp_path: Path) -> None:
    other = save_layout(tmp_path / "other.tar", content=b"other").read_bytes()
    path = save_layout(tmp_path / "web.tar", changed=gzip.compress(other))
    with pytest.raises(InvalidOption, match="another content"):
        check_archive(read_archive(str(path)))


@pytest.mark.parametrize(("name", "words"), [("latest", "NAME:TAG"), ("", "NAME:TAG")])
def test_a_layout_without_a_name_is_told_as_such(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        read_archive(str(save_layout(tmp_path / "web.tar", name=name)))


def test_a_layout_that_is_compressed_as_a_whole_is_told_how_to_become_usable(tmp_path: Path) -> None:
    path = tmp_path / "web.tar.gz"
    path.write_bytes(gzip.compress(save_layout(tmp_path / "web.tar").read_bytes()))
    with pytest.raises(Unsupported, match="gunzip"):
        check_archive(read_archive(str(path)))
