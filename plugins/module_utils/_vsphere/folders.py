# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders and what is in them: moving VMs in, and removing folders without ever removing what they hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError, NotFound
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.collect import is_gone, read
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.faults import explaining
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import moid_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Datacenter, Folder
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch, wait_for_tasks

_MOVE = "Cannot move the VM into its folder"
_REMOVE = "Cannot remove the folder"


def move_into(
    session: Session, folder: str, vms: Mapping[str, str], *, deadline: Deadline, watch: Watch
) -> dict[str, BonnevilleError | None]:
    """Move VMs into a folder, side by side; each one's error by moid, or None.

    Args:
        folder: its moid.
        vms: names for the words of a failure, by moid.
    """
    place = session.managed("Folder", folder)

    def begin(moid: str) -> object:
        try:
            with explaining(_MOVE, obj=vms[moid]):
                return place.MoveIntoFolder_Task([session.managed("VirtualMachine", moid)])
        except BonnevilleError as error:
            return error

    begun = dict(zip(vms, session.in_parallel(begin, vms), strict=True))
    tasks = {moid: task for moid, task in begun.items() if not isinstance(task, BonnevilleError)}
    states = wait_for_tasks(session, tasks, deadline=deadline, watch=watch)
    outcome: dict[str, BonnevilleError | None] = {}
    for moid, task in begun.items():
        if isinstance(task, BonnevilleError):
            outcome[moid] = task
        else:
            outcome[moid] = None if states[moid].ok else states[moid].error(_MOVE, obj=vms[moid])
    return outcome


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


def remove_empty(session: Session, folders: Mapping[str, str], *, spare: Iterable[str] = ()) -> dict[str, object]:
    """Begin to remove folders in which nothing is; their tasks by moid, without those that are gone or hold anything.

    vCenter deletes a folder with all VMs in it, so each is looked into first.

    Args:
        folders: names for the words of a failure, by moid.
        spare: moids of folders that do not count, and go with the one that they are in.
    """
    passed = set(spare)
    found = _children(session, [*folders, *passed])
    # What is spared holds nothing but folders of its own.
    if any(kind != "Folder" for moid in passed for kind in found.get(moid, {}).values()):
        return {}
    tasks: dict[str, object] = {}
    for moid in folders:
        if moid not in found or found[moid].keys() - passed:
            continue
        try:
            with explaining(_REMOVE, obj=folders[moid]):
                tasks[moid] = session.managed("Folder", moid).Destroy_Task()
        except NotFound as error:
            if not is_gone(error):
                raise
    return tasks


def remove_folder(
    session: Session, *, datacenter: Datacenter, folder: Folder, spare: Iterable[str], watch: Watch
) -> bool:
    """Remove a folder in which nothing is but what may be spared, and wait for it; whether it is gone."""
    tasks = remove_empty(session, {folder.moid: folder.path}, spare=spare)
    states = wait_for_tasks(session, tasks, deadline=Deadline(60.0), watch=watch)
    for state in states.values():
        if not state.ok:
            raise state.error(_REMOVE, obj=f"{datacenter.path}/vm/{folder.path}")
    return bool(tasks)


def unescaped(name: str) -> str:
    """A name as it was given: vCenter shows ``/``, ``\\`` and ``%`` in it as escapes."""
    return name.replace("%2f", "/").replace("%5c", "\\").replace("%25", "%")


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
