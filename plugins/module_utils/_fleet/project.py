# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet as its Compose files describe it: plain values, what the loader makes and the engine reads. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STARTED = "service_started"
HEALTHY = "service_healthy"
COMPLETED = "service_completed_successfully"


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """A service that has to be in a condition before another one starts."""

    service: str
    condition: str = STARTED
    restart: bool = False
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class Update:
    """``deploy.update_config``: how replicas are replaced.

    ``parallelism`` 0 means all at once; ``delay`` and ``monitor`` are in
    seconds; ``order`` is ``stop-first`` or ``start-first``; ``failure_action``
    is ``pause``, ``continue`` or ``rollback``.
    """

    parallelism: int = 1
    delay: float = 0.0
    order: str = "stop-first"
    failure_action: str = "pause"
    monitor: float = 0.0
    max_failure_ratio: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """``deploy.rollback_config``: how replicas are put back after an update that failed, in ``Update``'s words."""

    parallelism: int = 1
    delay: float = 0.0
    order: str = "stop-first"
    monitor: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Content:
    """A file that a service's containers see read-only at ``target``. ``mode`` is octal text."""

    target: str
    content: bytes = field(repr=False)
    mode: str = "0444"


@dataclass(frozen=True, kw_only=True)
class FleetService:
    """One service.

    ``options`` are container options by the names and in the forms of
    instant_clone_container, without ``name``, ``replicas`` and ``state``; a
    named volume stands in ``volumes`` as ``KEY:TARGET[:ro]``, by its ``key`` in
    the project. ``replicas`` of None is one container without a number.
    ``aliases`` are names by which the fleet's other containers find it, besides
    its own. ``rollback`` is how replicas are put back, None for all at once.
    ``job`` tells that it is to end; ``ttl`` is how many seconds after
    its end its VM is removed, None for never.
    """

    name: str
    options: Mapping[str, Any] = field(repr=False)
    contents: tuple[Content, ...] = ()
    replicas: int | None = None
    depends_on: tuple[Dependency, ...] = ()
    update: Update = field(default_factory=Update)
    rollback: Rollback | None = None
    aliases: tuple[str, ...] = ()
    job: bool = False
    ttl: float | None = None


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A named volume.

    ``size_gb`` of None is the default size, an empty ``datastore`` the fleet's;
    an ``external`` one is not made and not removed.
    """

    key: str
    name: str
    size_gb: int | None = None
    external: bool = False
    datastore: str = ""


@dataclass(frozen=True, kw_only=True)
class Project:
    """A whole fleet.

    ``idle`` are the names of further services in the files, which no chosen
    profile has: they are not brought up, and what stands of them is left alone.
    ``volumes`` are all that the files name, mounted by a service or not.
    ``places`` are the ``folder``, ``datastore`` and ``resource_pool`` that the
    files name for it, by these names. ``warnings`` name every key that is
    ignored because the user said so, and every volume that has no name.
    """

    name: str
    services: tuple[FleetService, ...] = ()
    idle: tuple[str, ...] = ()
    volumes: tuple[Volume, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def service(self, name: str) -> FleetService:
        """A service by its name; raises KeyError."""
        return {service.name: service for service in self.services}[name]
