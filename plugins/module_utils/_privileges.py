# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every privilege that anything here needs in vCenter, and for what. Pure.

The one list: ``container_vm_role`` makes a role of it, and the guide for beginners and the error about a missing
privilege are written from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_VM = "VirtualMachine"

_VMS = {
    f"{_VM}.Provisioning.Clone": "clone the template's VM",
    f"{_VM}.Inventory.CreateFromExisting": "put the clone into its folder",
    f"{_VM}.Inventory.Delete": "delete what is no longer needed, or could not be finished",
    f"{_VM}.Interact.PowerOn": "start a VM",
    f"{_VM}.Interact.PowerOff": "stop a VM",
    f"{_VM}.Config.AdvancedConfig": "write the marks, and tell the guest what to do",
    f"{_VM}.Config.EditDevice": "set the network adapter and the log port",
    "Datastore.AllocateSpace": "keep the VM's disks",
    "Folder.Create": "make the folder of the VMs",
    "Network.Assign": "connect the VM to its network",
    "Resource.AssignVMToPool": "run the VM in the cluster or pool",
}
_CONTAINERS = {
    **_VMS,
    f"{_VM}.Config.Rename": "give a replacement the name of what it replaces",
    "Datastore.Browse": "read the container's output",
}

# What each task of this collection needs, on the datacenter and all below it.
TASKS: Mapping[str, Mapping[str, str]] = {
    "templates": {
        **_VMS,
        f"{_VM}.Config.AddNewDisk": "copy the template to each host",
        f"{_VM}.Config.AddRemoveDevice": "take away CD-ROM and floppy, and give a log port",
        f"{_VM}.Config.Annotation": "write what the VM is",
        f"{_VM}.Config.CPUCount": "cpus",
        f"{_VM}.Config.Memory": "memory_mb",
        f"{_VM}.Config.Resource": "memory_reservation_mb",
        f"{_VM}.Config.DiskExtend": "disk_gb",
        f"{_VM}.Inventory.Move": "bring back a VM that was moved to another folder",
        "Host.Inventory.EditCluster": "exempt template VMs from DRS and HA; left out without it",
        "Resource.ColdMigrate": "bring back a template VM that was moved to another host",
        "VApp.Import": "import the OVA",
        "VApp.PullFromUrls": "have the host get the OVA by itself, with source.transfer=pull",
    },
    "image_archives": {
        f"{_VM}.Config.AddExistingDisk": "attach the archive's disk",
        f"{_VM}.Config.RemoveDisk": "detach it again",
        "Datastore.FileManagement": "upload the archive, and delete it afterwards",
    },
    "containers": _CONTAINERS,
    "fleets": {
        **_CONTAINERS,
        f"{_VM}.Inventory.Move": "bring back a VM that was moved to another folder",
        "Folder.Delete": "give back the fleet's lease, and delete its folder",
    },
    "volumes": {
        f"{_VM}.Config.AddExistingDisk": "attach a volume's disk",
        f"{_VM}.Config.RemoveDisk": "detach a disk before its VM is deleted",
        "Datastore.FileManagement": "make and remove a volume's disk",
    },
    "host_maintenance": {
        "Host.Config.Maintenance": "have a host enter maintenance mode, and leave it",
        "Resource.HotMigrate": "move container VMs to other hosts as they run",
        f"{_VM}.Interact.PowerOff": "park the host's template VMs",
    },
}


def needed(tasks: Iterable[str]) -> frozenset[str]:
    """All that these tasks need together."""
    return frozenset(privilege for task in tasks for privilege in TASKS[task])


def granting(privileges: Iterable[str]) -> str:
    """What to do about privileges that are missing."""
    if set(privileges) <= needed(TASKS):
        return "Grant it to the user's role, which the playbook bonneville.vsphere.create_role can make"
    return "Grant it to the user's role, or let another user do it"
