"""Compose files of the scripted tests, and what the module says of fleets made from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.lab import Lab

WEB = "registry.example/web:1"
JOB = "registry.example/job:1"
ONE = f"services: {{web: {{image: {WEB}}}}}"
TWO = f"services: {{web: {{image: {WEB}, deploy: {{replicas: 2}}}}}}"
BOTH = f"services: {{web: {{image: {WEB}}}, cron: {{image: {WEB}, deploy: {{replicas: 2}}}}}}"


def kinds(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A result's actions, each with the container's name."""
    return [(action["action"], action["name"]) for action in result["actions"]]


def there(lab: Lab, name: str) -> set[str]:
    """The names of the VMs in a fleet's folder."""
    return set(lab.vms(f"bonneville-containers/{name}"))
