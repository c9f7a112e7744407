"""What stands of a fleet, in a form by which the ends of two runs can be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.peers import KEY_PEERS

from tests.support.lab import Lab


def standing(lab: Lab, fleet: str) -> dict[str, Any]:
    """A fleet's VMs, folders and disks, and what else the lab has to complain of.

    Left out is what no two runs have in common: ids, addresses, hosts, times and random values. In place of the
    fleet's name stands ``FLEET``.
    """
    state = lab.state()
    mine = [vm for vm in state["vms"] if fleet in (vm["folder"] or "").split("/") or vm["name"].startswith(f"{fleet}-")]
    names = {vm["ip"]: vm["name"] for vm in mine if vm["ip"]}
    found = {
        "vms": {vm["name"]: _vm(vm, names) for vm in sorted(mine, key=lambda vm: str(vm["name"]))},
        "folders": sorted(path for path in state["folders"] if fleet in path.split("/")),
        "volumes": sorted(name for name in state["volumes"] if name.startswith(f"{fleet}_")),
        "violations": state["violations"],
        "orphan_files": sorted(path for path in state["orphan_files"] if f"] {fleet}-" in path),
        "one identity each": len({vm["bios_uuid"] for vm in mine}) == len(mine),
    }
    return json.loads(json.dumps(found).replace(fleet, "FLEET"))  # type: ignore[no-any-return]


def check_same(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """See that two of these are the same; all in which they differ is told."""
    told = _differences(found, wanted)
    assert not told, "\n".join(told)


def _differences(found: Any, wanted: Any, where: str = "") -> list[str]:
    """In words, place by place, in what two of these differ."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = sorted(found.keys() | wanted.keys())
        return [text for key in keys for text in _differences(found.get(key), wanted.get(key), f"{where}/{key}")]
    return [] if found == wanted else [f"{where}: it is {found}, not {wanted}"]


def _vm(vm: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """One VM: where it is, what it was made from, what its guest says, and whom it knows."""
    config = vm["extra_config"]
    status = json.loads(config.get(protocol.KEY_STATUS) or "{}")
    peers = json.loads(config.get(KEY_PEERS) or "{}")
    return {
        "folder": vm["folder"],
        "power": vm["power"],
        "disks": len(vm["disks"]),
        "sealed spec": protocol.KEY_SPEC in config,
        "marks": {key: config.get(f"bonneville.{key}", "") for key in ("kind", "fleet", "service", "ordinal", "owner")},
        "made from": json.loads(config["bonneville.spec"])["options"],
        "phase": status.get("phase"),
        "exit code": (status.get("container") or {}).get("exit_code"),
        "knows": {
            name: sorted(names.get(address, "somebody else") for address in addresses)
            for name, addresses in peers.get("names", {}).items()
        },
    }
