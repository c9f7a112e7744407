"""One template of a scripted lab, as a test of photon_template sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import ensure_folder
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.ova import read_ova
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.ova_import import ImportPlace, import_ova
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session

from tests.support.lab import Lab, running_lab
from tests.support.modules import run_module
from tests.support.vsphere import SECONDS, FrozenTemplate, Site, connected

IMAGE = "registry.example/web:1"
# As many hosts as a wide template has.
WIDE = 8
# What a run may call that changes nothing.
READS = {
    "RetrieveServiceContent",
    "RetrievePropertiesEx",
    "ContinueRetrievePropertiesEx",
    "FindAllByUuid",
    "FindByInventoryPath",
    "HasPrivilegeOnEntities",
    "Login",
    "Logout",
}


_ALONE = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.bonneville.vsphere.plugins.modules import photon_template
with patch_module_args(json.loads(sys.argv[1])):
    photon_template.main()
"""


@dataclass(frozen=True, kw_only=True)
class Template:
    """A template of a test's own, in a folder of its own."""

    lab: Lab
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        return f"folder-{self.name}"

    @property
    def hosts(self) -> list[str]:
        return sorted(self.lab.ready["hosts"])

    def vm(self, number: int) -> str:
        """The name of a host's template VM, hosts counted from 0."""
        return f"{self.name}@{self.hosts[number]}"

    def run(self, *, check: bool = False, **changes: Any) -> dict[str, Any]:
        """Run photon_template; a change to None leaves an option out."""
        return run_module("photon_template", self.given(changes), check=check, environment=self.lab.environment)

    def begin(self, **changes: Any) -> subprocess.Popen[bytes]:
        """Run it in a process of its own, which can be ended."""
        command = [sys.executable, "-c", _ALONE, json.dumps(self.given(changes))]
        environment = {**os.environ, **self.lab.environment, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def given(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The module's options."""
        options = {
            **self.lab.connection,
            "name": self.name,
            "folder": self.folder,
            "source": {"ova": self.lab.ready["ova"]},
            "accept_eula": True,
            "cluster": self.lab.ready["cluster"],
            "datastore": self.lab.ready["datastore"],
            "network": self.lab.ready["network"],
            "images": [IMAGE],
            "timeout": 60,
            **self.options,
            **changes,
        }
        return {name: value for name, value in options.items() if value is not None}

    def built(self, **changes: Any) -> dict[str, Any]:
        return good(self.run(**changes))

    def absent(self, **changes: Any) -> dict[str, Any]:
        """Run it with nothing but what an absent template needs."""
        return run_module(
            "photon_template",
            {**self.lab.connection, "name": self.name, "folder": self.folder, "state": "absent", **changes},
            environment=self.lab.environment,
        )

    def vms(self) -> dict[str, dict[str, Any]]:
        """All VMs of the folder, by name."""
        return {vm["name"]: vm for vm in self.lab.state()["vms"] if vm["folder"] == self.folder}

    def orphans(self) -> list[str]:
        """Files left at the top of the datastore by VMs that are no more."""
        return [path for path in self.lab.state()["orphan_files"] if self.name in path]

    def stands(self) -> dict[str, tuple[str, bool]]:
        """What must not change where nothing is to be done: each VM's moid, and whether it is frozen."""
        return {name: (vm["moid"], vm["frozen"]) for name, vm in self.vms().items()}

    def as_frozen(self, built: Mapping[str, Any]) -> FrozenTemplate:
        """As the containers' tests know a template."""
        return FrozenTemplate(
            name=self.name,
            folder=self.folder,
            vms={one["host"]: one["moid"] for one in built["template"]["hosts"]},
            images={image["name"]: image["id"] for image in built["template"]["images"]},
        )

    @contextmanager
    def denied(self, *privileges: str) -> Iterator[None]:
        """The user lacks these for the time of the block."""
        self.lab.control("POST", "/switch", {"deny": list(privileges)})
        try:
            yield
        finally:
            self.lab.control("POST", "/switch", {"deny": []})

    def control(self, vm: str, operation: str, body: Any = None) -> None:
        """What an admin does to a VM, or what befalls it."""
        self.lab.control("POST", f"/vms/{vm}/{operation}", body)


@contextmanager
def wide_template() -> Iterator[Template]:
    """A template that is not there yet, and a lab of its own with eight hosts for it."""
    with running_lab(guests="scripted", hosts=WIDE) as lab:
        one = Template(lab=lab, name="photon", options={"timeout": 120})
        make_folder(lab, one.folder)
        yield one


def good(result: dict[str, Any]) -> dict[str, Any]:
    """A result that is no failure."""
    assert not result.get("failed"), result["msg"]
    return result


def failed(result: dict[str, Any], code: str) -> dict[str, Any]:
    """A failure of this kind, which says what was about to be done to what."""
    assert result.get("failed"), "it did not fail"
    assert result["error_code"] == code, result["msg"]
    return result


def actions(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was done, and to which VM."""
    return [(one["action"], one["name"]) for one in result["actions"]]


def make_folder(lab: Lab, path: str) -> None:
    with connected(lab) as session:
        site = Site.of(session, lab)
        ensure_folder(session, datacenter=site.datacenter, path=path)


def import_vm(
    session: Session, lab: Lab, *, name: str, folder: str, extra_config: Mapping[str, str], host: str = ""
) -> str:
    """A powered-off VM from the lab's OVA, made without the module; its moid. ``host`` is a managed object id."""
    site = Site.of(session, lab)
    return import_ova(
        session,
        ova=read_ova(lab.ready["ova"]),
        name=name,
        place=ImportPlace(
            host=host or site.compute.hosts[0],
            pool=site.compute.pool,
            folder=ensure_folder(session, datacenter=site.datacenter, path=folder).moid,
            datastore=site.datastore.moid,
            network=site.network,
        ),
        bios_uuid=extra_config.get("bonneville.bios_uuid", ""),
        extra_config=extra_config,
        seconds=SECONDS,
        progress=lambda text: None,
    )
