"""The site that the documents' examples speak of, in the lab: what its names stand for there."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.scripted.template_support import import_vm, make_folder
from tests.support.lab import ROOT, Lab
from tests.support.vsphere import connected, freeze_template

IMAGES = ("registry.example.com/web:1.4", "registry.example.com/report:2", "registry.example.com/dns:3")
OVA = "/var/lib/ova/photon-hw15-5.0-dde71ec57.x86_64.ova"
MIRROR = "https://mirror.example.com"
# Variables that an example takes from elsewhere: a vault, or what an inventory gives to all fleets.
VARIABLES: dict[str, Any] = {
    "vault_registry_token": "open sesame",
    "container_fleet_template": "photon",
}
ENDED = {"phase": "exited", "container": {"state": "exited", "exit_code": 0}}
RUNNING = {"phase": "running", "container": {"health": "healthy"}}
# What stands before the examples that look at containers or remove them, by the documents that they are in.
_REPORT = {"template": "photon", "image": "registry.example.com/report:2"}
_STANDING: tuple[dict[str, Any], ...] = (
    {"name": "web", "replicas": 2, "template": "photon", "image": "registry.example.com/web:1.4"},
    {"name": "report", **_REPORT},
    {"name": "import-3", **_REPORT},
    {"name": "trial", "folder": "teams/blue", "owner": "blue", "labels": {"stage": "review"}, **_REPORT},
)
STANDING = {f"plugins/modules/container_vm_{name}.py": _STANDING for name in ("absent", "info")}
# The jobs end, everything else runs and is healthy.
GUESTS = [
    {"match": "report", "script": [{"phase": "running"}, ENDED]},
    {"match": "shop-migrate*", "script": [{"phase": "running"}, ENDED]},
    {"match": "web-*", "script": [RUNNING]},
]


def names(lab: Lab) -> dict[str, Any]:
    """What stands in the lab for a value of the examples: values that are equal are replaced."""
    hosts = sorted(lab.ready["hosts"])
    datastores = dict.fromkeys(("vsanDatastore", "san1"), lab.ready["datastore"])
    return {
        OVA: lab.ready["ova"],
        "Cluster1": lab.ready["cluster"],
        **datastores,
        "VM Network": lab.ready["network"],
        "build": lab.ready["network"],
        "vcenter.example.com": lab.ready["vcenter"]["host"],
        **{f"esx{number}.example.com": host for number, host in enumerate(hosts, start=1)},
    }


@contextmanager
def mirror(lab: Lab, directory: Path) -> Iterator[str]:
    """The address of a web server that has the lab's OVA, and its checksum, where the site's mirror has Photon's."""
    place = directory / "mirror" / "photon"
    place.mkdir(parents=True)
    ova = Path(shutil.copy(lab.ready["ova"], place / Path(OVA).name))
    (place / "SHA256SUMS").write_text(f"{hashlib.sha256(ova.read_bytes()).hexdigest()}  {ova.name}\n")
    served = partial(SimpleHTTPRequestHandler, directory=str(place.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), served) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def in_the_lab(value: Any, names: Mapping[str, Any]) -> Any:
    """An example's data with the lab's names, and its mirror's address."""
    if isinstance(value, str) and f"{MIRROR}/" in value:
        return value.replace(MIRROR, names[MIRROR])
    if isinstance(value, dict):
        return {key: in_the_lab(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [in_the_lab(one, names) for one in value]
    return names.get(value, value) if isinstance(value, str) else value


def settle(lab: Lab, directory: Path, *, template: bool) -> None:
    """Bring what the examples find there: files beside the playbook, VMs and guests in the lab."""
    (directory / "files").mkdir()
    shutil.copy(lab.ready["vcenter"]["ca_file"], directory / "files" / "site-ca.pem")
    (directory / "inventory").mkdir()
    (directory / "inventory" / "hosts.yml").write_text("all: {hosts: {localhost: {}}}\n")
    (directory / "named.conf").write_text("options { recursion no; };\n")
    shutil.copytree(ROOT / "examples" / "gitops-repo" / "fleets", directory / "fleets")
    lab.control("POST", "/scripted", GUESTS)
    make_folder(lab, "teams/blue")
    with connected(lab) as session:
        if template:
            freeze_template(session, lab, name="photon", images=IMAGES)
        else:
            import_vm(session, lab, name="photon-5", folder="golden", extra_config={})
