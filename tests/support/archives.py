"""Image archives as ``docker save`` and tools for OCI layouts write them, whole and damaged, without an engine."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def save_image(
    path: Path,
    *,
    name: str = "lab/web:1",
    packed: bool = False,
    content: bytes = b"hello",
    changed: Mapping[str, bytes | None] | None = None,
) -> Path:
    """An archive of one image with one layer.

    ``packed`` compresses the layer, ``changed`` replaces files of the archive (``manifest.json``, ``config``,
    ``layer``) or with None leaves them out, the rest as it would be without.
    """
    layer = _tar({"hello.txt": content})
    diff_id = hashlib.sha256(layer).hexdigest()
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]}}
    ).encode()
    names = {"config": f"{hashlib.sha256(config).hexdigest()}.json", "layer": "0/layer.tar"}
    manifest = [{"Config": names["config"], "RepoTags": [name], "Layers": [names["layer"]]}]
    files: dict[str, bytes | None] = {
        "config": config,
        "layer": gzip.compress(layer, mtime=0) if packed else layer,
        "manifest.json": json.dumps(manifest).encode(),
    }
    files.update(changed or {})
    path.write_bytes(_tar({names.get(key, key): body for key, body in files.items() if body is not None}))
    return path


def save_layout(
    path: Path, *, name: str = "lab/web:1", platforms: bool = False, content: bytes = b"hello", changed: bytes = b""
) -> Path:
    """An OCI layout of one image with one compressed layer.

    With ``platforms`` its index names another index, of which only the last image is for us. ``changed`` stands in
    the layer's place.
    """
    layer = _tar({"hello.txt": content})
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]}}
    return write_layout(path, name=name, platforms=platforms, config=_json(config), layers=[layer], changed=changed)


def layout_of(path: Path, saved: Path) -> Path:
    """What ``docker save`` wrote, as an OCI layout."""
    with tarfile.open(saved) as tar:

        def read(name: str) -> bytes:
            member = tar.extractfile(name)
            assert member is not None
            return member.read()

        (image,) = json.loads(read("manifest.json"))
        layers = [_unpacked(read(name)) for name in image["Layers"]]
        return write_layout(path, name=image["RepoTags"][0], config=read(image["Config"]), layers=layers)


def _unpacked(layer: bytes) -> bytes:
    return gzip.decompress(layer) if layer.startswith(b"\x1f\x8b") else layer


def write_layout(
    path: Path, *, name: str, config: bytes, layers: Sequence[bytes], platforms: bool = False, changed: bytes = b""
) -> Path:
    blobs: dict[str, bytes] = {}

    def blob(kind: str, body: bytes, **more: Any) -> dict[str, Any]:
        blobs[f"blobs/sha256/{_digest(body).partition(':')[2]}"] = body
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": _digest(body), "size": len(body), **more}

    packed = [blob("layer.v1.tar+gzip", gzip.compress(layer, mtime=0)) for layer in layers]
    if changed:
        blobs[f"blobs/sha256/{packed[0]['digest'].partition(':')[2]}"] = changed
    manifest = {"schemaVersion": 2, "config": blob("config.v1+json", config), "layers": packed}
    top = blob("manifest.v1+json", _json(manifest))
    if platforms:
        arm = {**top, "platform": {"os": "linux", "architecture": "arm64"}}
        ours = {**top, "platform": {"os": "linux", "architecture": "amd64"}}
        top = blob("index.v1+json", _json({"schemaVersion": 2, "manifests": [arm, ours]}))
    named = {**top, "annotations": {"org.opencontainers.image.ref.name": name}}
    files = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": _json({"schemaVersion": 2, "manifests": [named]}),
        **blobs,
    }
    path.write_bytes(_tar(files))
    return path


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _tar(files: Mapping[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return raw.getvalue()
