# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record that a job has done its work, once its VM is gone: a folder in the fleet's own. Pure.

vSphere is the record of everything else, too. A folder needs no further right,
comes with the one read of the fleet's folder, and its name says for which job and
of which description it stands. The name has a digest of all that the job was
made from, by a salt that is the service's own, so another image or another
value is another job, which runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable

from ansible_collections.bonneville.vsphere.plugins.module_utils._container import secrets
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import Identity
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.steps import Service

PREFIX = "_done "
_LONGEST_LABEL = 50  # a folder's name has at most 80 characters


def record_name(service: Service, ordinal: str, *, vcenter: str) -> str:
    """The folder's name for a job with a spec."""
    return f"{label(service.identity(ordinal))}{_digest(service, vcenter=vcenter)}"


def label(identity: Identity) -> str:
    """What the names of all records of one job begin with."""
    name = f"{identity.service}-{identity.ordinal}" if identity.ordinal else identity.service
    return f"{PREFIX}{name[:_LONGEST_LABEL]} "


def recorded(service: Service, names: Collection[str], *, vcenter: str) -> frozenset[str]:
    """The ordinals of a job that did their work, by the names of the folders that there are."""
    known = [name for name in names if name.startswith(PREFIX)]
    found = set()
    for identity in service.identities:
        # The digest is slow on purpose, so it is made only where there is something to compare with.
        if any(name.startswith(label(identity)) for name in known):
            name = record_name(service, identity.ordinal, vcenter=vcenter)
            if name in known:
                found.add(identity.ordinal)
    return frozenset(found)


def outdated(
    names: Iterable[str],
    services: Iterable[Service],
    *,
    vcenter: str,
    all_others: bool,
    idle: Collection[str] = (),
) -> frozenset[str]:
    """The records that tell nothing any more: of jobs' earlier descriptions; with ``all_others`` of no job, too.

    Args:
        idle: services whose records are kept as they are.
    """
    found = {name for name in names if name.startswith(PREFIX) and not _is_of(name, idle)}
    keep, of_jobs = set(), set()
    for service in services:
        if not service.ends:
            continue
        for ordinal in service.settled | {identity.ordinal for identity in service.identities}:
            start = label(service.identity(ordinal))
            mine = {name for name in found if name.startswith(start)}
            of_jobs |= mine
            if mine:
                keep.add(record_name(service, ordinal, vcenter=vcenter))
    return frozenset((found if all_others else of_jobs) - keep)


def _is_of(name: str, services: Iterable[str]) -> bool:
    """Whether a record is of one of these services, or of a replica of it."""
    labelled = name.removeprefix(PREFIX).rpartition(" ")[0]
    replica = labelled.rpartition("-")
    names = {labelled, replica[0]} if replica[2].isdigit() else {labelled}
    return any(service[:_LONGEST_LABEL] in names for service in services)


def _digest(service: Service, *, vcenter: str) -> str:
    spec = service.spec
    if spec is None:
        raise AssertionError("a job that is wanted has a spec")
    scope = service.identity("").scope
    salt = hashlib.sha256(f"{vcenter}/{scope}/done".encode()).hexdigest()[: 2 * secrets.SALT_BYTES]
    digests = secrets.digest(spec.secrets, scope=scope, key=service.digest_key, salt=salt)
    document = {"options": dict(spec.options), "secrets": digests.document()}
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]
