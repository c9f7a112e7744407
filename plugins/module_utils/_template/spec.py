# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a template is to be: the part that makes its generation, and the part that is only a way to get there.

Pure: no I/O, no pyVmomi. Sizes are in the units that their names tell.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.settings import Settings
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.settings import document as settings_document

# Part of every generation: raise it when what a build leaves in the VM changes for the same options.
RECIPE = 2
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,38}[A-Za-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the first VM comes from.

    ``kind`` is ``ova`` or ``vm``; ``path`` is the user's word for it and not
    part of the generation. ``fingerprint`` follows the content of an OVA, and
    is the instanceUuid of a VM.
    """

    kind: str
    path: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An image archive on the controller, by its content as a guest gets it.

    Of the file the first ``kept`` bytes, followed by ``added``; both are empty where it is the whole file.
    """

    path: str
    size: int
    sha256: str
    kept: int = 0
    added: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, kw_only=True)
class Login:
    """A registry login, used while priming and kept nowhere."""

    server: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class TemplateSpec:
    """A template as asked for. Sizes of None are the source's own; ``digests`` are the registries', by image."""

    name: str
    source: Source
    network: str
    datastore: str
    cpus: int | None = None
    memory_mb: int | None = None
    memory_reservation_mb: int | None = None
    disk_gb: int | None = None
    images: tuple[str, ...] = ()
    digests: tuple[tuple[str, str], ...] = ()
    archives: tuple[Archive, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    bridge_cidr: str = ""
    settings: Settings = field(default_factory=Settings, repr=False)

    def document(self) -> dict[str, Any]:
        """What the generation is made of, as it stands in the marks: sorted, no paths, no secrets."""
        document = asdict(self)
        for part in ("name", "settings", "digests", *(() if self.bridge_cidr else ("bridge_cidr",))):
            del document[part]
        if self.digests:
            document["digests"] = dict(self.digests)
        document.update(settings_document(self.settings))
        document["recipe"] = RECIPE
        document["source"] = {"kind": self.source.kind, "fingerprint": self.source.fingerprint}
        document["images"] = sorted(self.images)
        document["archives"] = sorted(archive.sha256 for archive in self.archives)
        document["insecure_registries"] = sorted(self.insecure_registries)
        return document

    def canonical(self) -> str:
        """The document as JSON that is the same for the same template."""
        return json.dumps(self.document(), sort_keys=True, separators=(",", ":"))

    @property
    def generation(self) -> str:
        """12 hex digits that name this spec."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()[:12]


def check_name(name: str) -> str:
    """A template's name, fit for a VM's name and a datastore directory; raises InvalidOption."""
    if not _NAME.fullmatch(name):
        raise InvalidOption(
            "Cannot use the template name",
            obj=name,
            why="it becomes part of VM names and datastore paths",
            next_step="Use up to 40 letters, digits, '.', '_' and '-', with a letter or digit at both ends",
        )
    return name


def check_images(images: Iterable[str]) -> tuple[str, ...]:
    """Image names as the engine reads them: a name without tag or digest means ``latest``. Raises InvalidOption."""
    found: dict[str, None] = {}
    for image in images:
        name = image.strip()
        repository = name.partition("@")[0]
        if not repository or repository != "".join(repository.split()) or repository.rpartition("/")[2].startswith(":"):
            raise InvalidOption(
                "Cannot use the image", obj=image, why="it is no image name", next_step="Write it as registry/name:tag"
            )
        if "@" not in name and ":" not in repository.rpartition("/")[2]:
            name += ":latest"
        found[name] = None
    return tuple(found)
