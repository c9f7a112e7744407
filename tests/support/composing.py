"""Fleets out of Compose files that are only texts."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError, Several
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet import compose
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.places import (
    DIRECTORY,
    FILE,
    MISSING,
    OUTSIDE,
    Found,
    Look,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import FleetService, Project


def texts(files: Mapping[str, str]) -> Look:
    """A fleet's directory that has these files; names that end in ``.sh`` are executable."""

    def look(path: str) -> Found:
        path = posixpath.normpath(path)
        if path.startswith(("/", "~", "..")):
            return Found(state=OUTSIDE)
        if path in files:
            return Found(state=FILE, content=files[path].encode(), executable=path.endswith(".sh"))
        return Found(state=DIRECTORY if any(name.startswith(f"{path}/") for name in files) else MISSING)

    return look


def load(text: str, beside: Mapping[str, str] | None = None, *, name: str = "shop", **options: Any) -> Project:
    """The fleet of one Compose file, ``compose.yaml``, and further files."""
    return compose.load("/fleets/shop", name=name, look=texts({"compose.yaml": text, **(beside or {})}), **options)


def outline(text: str, beside: Mapping[str, str] | None = None, **options: Any) -> Project:
    """What a removal needs to know of the fleet of one Compose file."""
    return compose.outline("/fleets/shop", look=texts({"compose.yaml": text, **(beside or {})}), **options)


def service(text: str, beside: Mapping[str, str] | None = None, **options: Any) -> FleetService:
    """The service ``web`` of the Compose file whose service of this name has the given lines."""
    body = "\n".join(f"    {line}" for line in text.strip("\n").splitlines())
    image = "" if "image:" in text else "    image: nginx\n"
    return load(f"services:\n  web:\n{image}{body}\n", beside, **options).service("web")


def messages(text: str, beside: Mapping[str, str] | None = None, **options: Any) -> list[str]:
    """What is told of a Compose file that cannot be used, error by error."""
    try:
        found = load(text, beside, **options)
    except Several as several:
        return [error.message for error in several.errors]
    except BonnevilleError as error:
        return [error.message]
    raise AssertionError(f"nothing is wrong with it: {found}")
