# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders and what is in them: moving VMs in, and removing folders without ever removing what they hold."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError, InUse
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.again import fault_of, run_tasks
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.collect import read
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explaining
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import moid_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Datacenter, Folder
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

_MOVE = "Cannot move the VM into its folder"
_REMOVE = "Cannot remove the folder"


def move_into(
    session: Session, folder: str, vms: Mapping[str, str], *, deadline: Deadline, watch: Watch
) -> dict[str, BonnevilleError | None]:
    """Move VMs into a folder, side by side; each one's error by moid, or None. What passes by itself is not shown.

    Args:
        folder: its moid.
        vms: names for the words of a failure, by moid.
    """
    place = session.managed("Folder", folder)

    def moved(moids: Sequence[str]) -> dict[str, None]:
        start = [(session.managed("VirtualMachine", moid), ()) for moid in moids]
        found = read(session, start=start, properties={"VirtualMachine": ("parent",)}, what=_MOVE, gone_ok=True)
        return {one.moid: None for one in found if moid_of(one.get("parent")) == folder}

    def begin(moid: str) -> Any:
        return place.MoveIntoFolder_Task([session.managed("VirtualMachine", moid)])

    return run_tasks(
        session,
        {moid: partial(begin, moid) for moid in vms},
        what=_MOVE,
        names=vms,
        deadline=deadline,
        watch=watch,
        done=moved,
    )


def make_folder(session: Session, *, parent: str, name: str) -> str:
    """A new folder's moid. Raises: InUse where the name is taken, NotFound where the parent is gone."""
    with explaining("Cannot create the folder", obj=name):
        return moid_of(session.managed("Folder", parent).CreateFolder(name))


def subfolders(session: Session, moid: str) -> dict[str, str]:
    """The names of a folder's own folders, by moid. Raises NotFound where it is gone."""
    start = [(session.managed("Folder", moid), ("members",))]
    properties = {"Folder": ("name", "parent")}
    found = read(session, start=start, properties=properties, what="Cannot read the folder", skip_start=False)
    return {one.moid: unescaped(str(one.get("name", ""))) for one in found if moid_of(one.get("parent")) == moid}


def remove_empty(
    session: Session, folders: Mapping[str, str], *, spare: Iterable[str] = (), watch: Watch
) -> dict[str, BonnevilleError | None]:
    """Remove folders in which nothing is; each one's error by moid, or None where it is gone.

    vCenter deletes a folder with all VMs in it, so each is looked into before
    every try. One that holds anything is left out, and so is one that was gone
    before.

    Args:
        folders: names for the words of a failure, by moid.
        spare: moids of folders that do not count, and go with the one that they are in.
    """
    spared = frozenset(spare)
    empty = _empty(session, folders, spared)
    unseen: set[str] = set()

    def begin(moid: str) -> Any:
        if moid in unseen and moid not in _empty(session, [moid], spared):
            raise InUse(
                _REMOVE, obj=folders[moid], why="something was put into it, or it was removed", next_step="Run again"
            )
        unseen.add(moid)
        return session.managed("Folder", moid).Destroy_Task()

    def gone(moids: Sequence[str]) -> dict[str, None]:
        there = _children(session, moids)
        return {moid: None for moid in moids if moid not in there}

    outcomes = run_tasks(
        session,
        {moid: partial(begin, moid) for moid in empty},
        what=_REMOVE,
        names=folders,
        deadline=Deadline(60.0),
        watch=watch,
        done=gone,
    )
    return {
        moid: None if error and fault_of(error) == "ManagedObjectNotFound" else error
        for moid, error in outcomes.items()
    }


def remove_folder(
    session: Session, *, datacenter: Datacenter, folder: Folder, spare: Iterable[str], watch: Watch
) -> bool:
    """Remove a folder in which nothing is but what may be spared; whether it is gone."""
    path = f"{datacenter.path}/vm/{folder.path}"
    outcomes = remove_empty(session, {folder.moid: path}, spare=spare, watch=watch)
    for error in outcomes.values():
        if error:
            raise error
    return bool(outcomes)


def unescaped(name: str) -> str:
    """A name as it was given: vCenter shows ``/``, ``\\`` and ``%`` in it as escapes."""
    return name.replace("%2f", "/").replace("%5c", "\\").replace("%25", "%")


def _empty(session: Session, folders: Iterable[str], spared: Collection[str]) -> list[str]:
    """Of these folders, those that are there and hold nothing but what may be spared, by moid."""
    wanted = list(folders)
    found = _children(session, [*wanted, *spared])
    # What is spared holds nothing but folders of its own.
    if any(kind != "Folder" for moid in spared for kind in found.get(moid, {}).values()):
        return []
    return [moid for moid in wanted if moid in found and not found[moid].keys() - spared]


def _children(session: Session, folders: Iterable[str]) -> dict[str, dict[str, str]]:
    """What is in folders: types by moid."""
    start = [(session.managed("Folder", moid), ()) for moid in folders]
    found = read(
        session, start=start, properties={"Folder": ("childEntity",)}, what="Cannot read the folders", gone_ok=True
    )
    return {
        one.moid: {moid_of(child): type(child).__name__.rpartition(".")[2] for child in one.get("childEntity") or ()}
        for one in found
    }
