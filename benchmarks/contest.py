"""The contestants: how each is asked to clone, to look again and to remove, and whether it really did."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import ensure_folder, find_datacenter

from benchmarks.measure import ContestantFailed, Sample, Took, run
from tests.support.lab import BUILD, Lab, running_lab
from tests.support.vsphere import connected, freeze_template

HERE = Path(__file__).parent
IMAGE = "registry.example/web:1"
PEER = BUILD / "bench" / "peer" / "bin"
OURS = BUILD / "venv" / "bin"
LOOP, HOSTS = "peer, loop", "peer, hosts"
PING, LOOK, FLOOR_1, FLOOR_8, MODULE = (
    "ping",
    "login and read",
    "floor, 1 thread",
    "floor, 8 threads",
    "this collection",
)
FLOORS = {FLOOR_1: 1, FLOOR_8: 8}
FORKS = 25


@dataclass(kw_only=True)
class Contest:
    """A lab with all that the contestants need in it; each of its methods is one measured process."""

    name: str
    lab: Lab
    scratch: Path
    templates: tuple[str, ...]
    floor_folder: str
    service_folder: str
    sources: Mapping[str, str]  # of the peer: running VMs by their hosts
    samples: list[Sample] = field(default_factory=list)
    round: int = 0

    def ping(self) -> None:
        self._keep(PING, "ping", self._play("ping"))

    def look(self, count: int) -> None:
        """A login and one read of our containers' folder."""
        order = {"do": "look", "threads": 1, "folder": self.service_folder, "count": count}
        self._keep(LOOK, f"again {count}", self._script(order))

    def floor(self, contestant: str, count: int) -> None:
        """Clone and remove by the bare script."""
        order = {
            "threads": FLOORS[contestant],
            "sources": self.templates,
            "folder": self.floor_folder,
            "datastore": self.lab.ready["datastore"],
            "count": count,
            "made": str(self.scratch / "made.json"),
        }
        self._keep(contestant, f"clone {count}", self._script({**order, "do": "clone"}))
        self._check("floor", count)
        self._keep(contestant, f"remove {count}", self._script({**order, "do": "remove"}))
        self._check("floor", 0)

    def clone(self, count: int) -> None:
        self._keep(MODULE, f"clone {count}", self._play("ours_clone", changed=True, count=count, image=IMAGE))
        self._check("bonneville-containers", count)

    def again(self, count: int) -> None:
        self._keep(MODULE, f"again {count}", self._play("ours_clone", changed=False, count=count, image=IMAGE))

    def remove(self, count: int) -> None:
        self._keep(MODULE, f"remove {count}", self._play("ours_remove", changed=True))
        self._check("bonneville-containers", 0)

    def peer(self, contestant: str, count: int, *, everything: bool) -> None:
        """Clone by the peer; with ``everything`` also clone again in vain, and remove."""
        playbook = {LOOP: "peer_loop", HOSTS: "peer_hosts"}[contestant]
        self._keep(contestant, f"clone {count}", self._peer(playbook, count, changed=True))
        self._check("peer", count)
        if everything:
            self._keep(contestant, f"again {count}", self._peer(playbook, count, changed=False))
            self._keep(contestant, f"remove {count}", self._peer(f"{playbook}_remove", count, changed=True))
        else:
            for name in self.lab.vms("peer"):
                self.lab.control("POST", f"/vms/{name}/destroy")
        self._check("peer", 0)

    def _script(self, order: Mapping[str, Any]) -> Took:
        command = [str(OURS / "python"), str(HERE / "floor.py"), json.dumps(order)]
        return run(command, environment=self._environment(OURS), lab=self.lab, scratch=self.scratch)

    def _play(
        self,
        playbook: str,
        *,
        bin: Path = OURS,
        arguments: tuple[str, ...] = (),
        inventory: str = "localhost,",
        changed: bool = False,
        **variables: Any,
    ) -> Took:
        command = [
            str(bin / "ansible-playbook"),
            "-i",
            inventory,
            "-c",
            "local",
            str(HERE / f"playbooks/{playbook}.yml"),
        ]
        command += ["-e", json.dumps(variables), *arguments]
        took = run(command, environment=self._environment(bin), lab=self.lab, scratch=self.scratch)
        if not took.modules:
            raise ContestantFailed(f"{playbook}: no module's process told what it took")
        if any(int(number) > 0 for number in re.findall(r"changed=(\d+)", took.output)) != changed:
            raise ContestantFailed(
                f"{playbook} was {'not ' if changed else ''}to change something:\n{took.output[-4000:]}"
            )
        return took

    def _peer(self, playbook: str, count: int, *, changed: bool) -> Took:
        # A running source's chain of disks grows with every clone, so they take turns.
        host, source = list(self.sources.items())[self.round % len(self.sources)]
        inventory = self.scratch / "clones"
        inventory.write_text("[clones]\n" + "".join(f"peer-{number}\n" for number in range(count)))
        return self._play(
            playbook,
            bin=PEER,
            inventory="localhost," if "loop" in playbook else str(inventory),
            arguments=("--forks", str(FORKS)),
            changed=changed,
            count=count,
            source=source,
            host=host,
            datacenter=self.lab.ready["datacenter"],
            datastore=self.lab.ready["datastore"],
        )

    def _environment(self, bin: Path) -> dict[str, str]:
        collections = BUILD / "collections" if bin == OURS else BUILD / "bench" / "no-collections"
        return {
            "PATH": f"{bin}:{os.environ['PATH']}",
            "HOME": str(self.scratch),
            "LANG": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_CONFIG": str(HERE / "playbooks" / "ansible.cfg"),
            "ANSIBLE_HOME": str(BUILD / "bench" / "ansible"),
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_PYTHON_INTERPRETER": str(bin / "python"),
            **self.lab.environment,
        }

    def _keep(self, contestant: str, cell: str, took: Took) -> None:
        sample = Sample(
            lab=self.name,
            round=self.round,
            contestant=contestant,
            cell=cell,
            wall=round(took.wall, 4),
            cpu=round(took.cpu, 4),
            calls=sum(took.calls.values()),
            calls_by_method=took.calls,
            module_wall=round(sum(wall for wall, _, _ in took.modules), 4),
            module_cpu=round(sum(cpu for _, cpu, _ in took.modules), 4),
            module_rss_mb=round(max((rss for _, _, rss in took.modules), default=0.0), 1),
        )
        self.samples.append(sample)
        print(
            f"  {self.name}, round {self.round + 1}: {contestant}, {cell}: {sample.wall:.2f} s, "
            f"CPU {sample.cpu:.2f} s, {sample.calls} calls",
            flush=True,
        )

    def _check(self, folder: str, count: int) -> None:
        found = len(self.lab.vms(folder))
        if found != count:
            raise ContestantFailed(f"folder '{folder}' holds {found} VMs where {count} should be")


@contextmanager
def contest(*, name: str, vms: int, delay_ms: int, scratch: Path) -> Iterator[Contest]:
    """A lab with ``vms`` VMs of others, our template frozen on three hosts, and three running VMs for the peer."""
    # Memory and space are not what is measured, so there is enough for a thousand clones.
    arguments = ("--vms", str(vms), "--delay", str(delay_ms), "--host-memory-gb", "4096")
    with running_lab(guests="scripted", hosts=3, arguments=arguments) as lab:
        lab.control("POST", "/switch", {"datastore_free_gb": 8192})
        with connected(lab) as session:
            template = freeze_template(session, lab, name="bench", images=(IMAGE,))
            datacenter = find_datacenter(session)
            folders = {
                path: ensure_folder(session, datacenter=datacenter, path=path).moid
                for path in ("bonneville-containers", "floor", "peer")
            }
        for number in range(9):
            lab.control("POST", "/vms", {"name": f"source-{number}", "folder": "others", "on": True})
        running = lab.vms("others")
        sources = {running[name]["host"]: name for name in sorted(running) if name.startswith("source-")}
        yield Contest(
            name=name,
            lab=lab,
            scratch=scratch,
            templates=template.moids,
            floor_folder=folders["floor"],
            service_folder=folders["bonneville-containers"],
            sources=sources,
        )
