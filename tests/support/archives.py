"""Image archives as ``docker save`` writes them, whole and damaged, without an engine."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path


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


def _tar(files: Mapping[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    return raw.getvalue()
