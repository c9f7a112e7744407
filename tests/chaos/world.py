"""A part of a lab in which faults strike: the operations, what they are to reach, and what must not be left behind."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.faults import Fault
from tests.scripted.template_support import Template
from tests.support.lab import Lab
from tests.support.modules import run_module

IMAGE = "registry.example/web:1"
LEFT = ("sessions", "views", "collectors", "leases", "tasks_running", "violations", "volumes")
_numbers = itertools.count(1)


@dataclass(kw_only=True)
class World:
    """One operation's own folder or template beside everybody else's VMs."""

    lab: Lab
    source: Template
    operation: str
    name: str = field(default_factory=lambda: f"chaos{next(_numbers)}")

    def __post_init__(self) -> None:
        self.replicas = 10 if self.operation == "deploy" else 3
        self._built = Template(lab=self.lab, name=self.name)
        self._hosts: list[str] = []

    # The operation -----------------------------------------------------------

    def prepare(self) -> None:
        """What the operation finds."""
        if self.operation == "build":
            self.lab.control("POST", "/vms", {"name": f"neighbour-{self.name}", "folder": self._built.folder})
        if self.operation in ("update", "remove"):
            done = self._containers(label="old")
            assert not done.get("failed"), done["msg"]

    def run(self, **options: Any) -> dict[str, Any]:
        if self.operation == "build":
            return self._built.run(**options)
        if self.operation == "remove":
            return self._containers(state="absent", **options)
        return self._containers(label="new", **options)

    def _containers(self, *, label: str = "", state: str = "started", **options: Any) -> dict[str, Any]:
        given = {**self.lab.connection, "name": self.name, "folder": self.name, "state": state, **options}
        if state != "absent":
            given |= {"template": self.source.name, "template_folder": self.source.folder}
            given |= {"image": IMAGE, "replicas": self.replicas}
            given |= {"labels": {"of": label}, "timeout": options.get("timeout", 60)}
        return run_module("instant_clone_container", given, environment=self.lab.environment)

    @property
    def wanted(self) -> set[str]:
        """The VMs that are to be in the folder at the end."""
        if self.operation == "build":
            return {f"{self.name}@{host}" for host in self.lab.ready["hosts"]} | {f"neighbour-{self.name}"}
        if self.operation == "remove":
            return set()
        return {f"{self.name}-{number}" for number in range(self.replicas)}

    @property
    def folder(self) -> str:
        return self._built.folder if self.operation == "build" else self.name

    def end(self) -> None:
        """Everything of this world goes, by the modules themselves."""
        if self.operation == "build":
            gone = self._built.absent()
            self.lab.control("POST", f"/vms/neighbour-{self.name}/destroy")
        else:
            gone = self._containers(state="absent")
        assert not gone.get("failed"), gone["msg"]

    # What strikes ------------------------------------------------------------

    @contextmanager
    def struck(self, fault: Fault) -> Iterator[None]:
        """The fault for the time of the block; hosts are healed afterwards."""
        self.lab.reset_calls()
        over = threading.Event()
        actor = threading.Thread(target=self._act, args=(fault, over))
        with ExitStack() as stack:
            stack.callback(self._heal)
            stack.callback(self.lab.control, "DELETE", "/faults")
            for rule in fault.rules:
                self.lab.control("POST", "/faults", dict(rule))
            if fault.guests:
                stack.enter_context(self.lab.scripted(*fault.guests))
            actor.start()
            stack.callback(actor.join)
            stack.callback(over.set)
            yield

    def _act(self, fault: Fault, over: threading.Event) -> None:
        while fault.act and not over.is_set():
            if fault.moment in self.lab.calls():
                fault.act(self)
                return
            time.sleep(0.005)

    def _heal(self) -> None:
        for host, operation in self._hosts:
            self.lab.control("POST", f"/hosts/{host}/{operation}")
        self._hosts = []

    def control(self, path: str) -> None:
        self.lab.control("POST", path)

    def admin(self, operation: str) -> None:
        """What an admin does to the first of our VMs that there is, as soon as there is one."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            vms = [vm for vm in self.lab.state()["vms"] if vm["folder"] == self.name]
            if vms:
                self.lab.control("POST", f"/vms/{vms[0]['moid']}/{operation}")
                return

    def template(self, operation: str) -> None:
        self.lab.control("POST", f"/vms/{self.source.vm(0)}/{operation}")

    def host(self, operation: str) -> None:
        host = sorted(self.lab.ready["hosts"])[1]
        self._hosts.append((host, {"maintenance": "exit-maintenance", "disconnect": "reconnect"}[operation]))
        self.lab.control("POST", f"/hosts/{host}/{operation}")

    # What stands -------------------------------------------------------------

    def look(self) -> Look:
        state = self.lab.state()
        ours = {vm["moid"]: vm for vm in state["vms"] if self._is_ours(vm)}
        template = {vm["moid"] for vm in state["vms"] if vm["folder"] == self.source.folder}
        others = {
            vm["moid"]: {key: vm[key] for key in ("name", "folder", "power", "bios_uuid", "extra_config", "annotation")}
            for vm in state["vms"]
            if vm["moid"] not in ours and vm["moid"] not in template
        }
        return Look(
            ours={vm["name"]: vm for vm in ours.values()},
            count=len(ours),
            others=others,
            left={key: state[key] for key in LEFT},
            folders=tuple(state["folders"]),
            orphans=tuple(state["orphan_files"]),
            guests=state["guests"],
            all_vms=len(state["vms"]),
        )

    def _is_ours(self, vm: Mapping[str, Any]) -> bool:
        """By the marks, wherever an admin has moved it."""
        config = vm["extra_config"]
        mine = self.name in (config.get("bonneville.service"), config.get("bonneville.template"))
        return mine or (vm["folder"] == self.folder and not vm["name"].startswith("neighbour"))


@dataclass(frozen=True, kw_only=True)
class Look:
    """A lab's state, parted into what is ours, what is others', and what a run must give back."""

    ours: Mapping[str, Mapping[str, Any]]
    count: int
    others: Mapping[str, Mapping[str, Any]]
    left: Mapping[str, Any]
    folders: tuple[str, ...]
    orphans: tuple[str, ...]
    guests: int
    all_vms: int
