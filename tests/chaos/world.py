"""A part of a lab in which faults strike: the operations, what they are to reach, and what must not be left behind."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.faults import Fault
from tests.scripted.template_support import Template
from tests.support.lab import Lab
from tests.support.modules import run_module

IMAGE = "registry.example/web:1"
ELSEWHERE = "chaos-elsewhere"
SESSION = ("sessions", "views", "collectors")
LEFT = (*SESSION, "leases", "tasks_running", "violations", "volumes")
_numbers = itertools.count(1)
_ALONE = """
import json, sys
from tests.support.modules import run_module
print(json.dumps(run_module(sys.argv[1], json.loads(sys.argv[2]))))
"""


@dataclass(kw_only=True)
class World:
    """One operation's own folder or template beside everybody else's VMs."""

    lab: Lab
    source: Template
    operation: str
    name: str = field(default_factory=lambda: f"chaos{next(_numbers)}")

    def __post_init__(self) -> None:
        self.replicas = 10 if self.operation == "deploy" else 3
        self.folder = f"folder-{self.name}"
        self._built = Template(lab=self.lab, name=self.name)
        self._healing: list[str] = []
        self._rivals: set[str] = set()
        self.ended = False
        self._acted = threading.Event()
        self._leaves: tuple[str, ...] = ()

    # The operation -----------------------------------------------------------

    def prepare(self, fault: Fault | None = None) -> None:
        """What the operation finds: in its folder somebody else's VM, too."""
        guests = fault.guests if fault and self.operation == "remove" else ()
        self.lab.control("POST", "/vms", {"name": f"neighbour-{self.name}", "folder": self.folder})
        if self.operation in ("update", "remove"):
            with self.lab.scripted(*guests):
                done = self._containers(label="old", stop_timeout=1)
            assert not done.get("failed"), done["msg"]

    def run(self, **options: Any) -> dict[str, Any]:
        """The operation, in this process."""
        module, given = self._task(options)
        return run_module(module, given, environment=self.lab.environment)

    def begin(self, **options: Any) -> subprocess.Popen[str]:
        """The operation in a process of its own, which prints its result."""
        module, given = self._task(options)
        environment = {**os.environ, **self.lab.environment, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.Popen(
            [sys.executable, "-c", _ALONE, module, json.dumps(given)], env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def _task(self, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        if self.operation == "build":
            return "photon_template", self._built.given(options)
        if self.operation == "remove":
            return "instant_clone_container", self._given(state="absent", **options)
        return "instant_clone_container", self._given(label="new", **options)

    def _given(self, *, label: str = "", state: str = "started", **options: Any) -> dict[str, Any]:
        given = {**self.lab.connection, "name": self.name, "folder": self.folder, "state": state, "timeout": 60}
        if state != "absent":
            given |= {"template": self.source.name, "template_folder": self.source.folder}
            given |= {"image": IMAGE, "replicas": self.replicas, "labels": {"of": label}}
        return {**given, **options}

    def _containers(self, **options: Any) -> dict[str, Any]:
        return run_module("instant_clone_container", self._given(**options), environment=self.lab.environment)

    @property
    def wanted(self) -> set[str]:
        """The VMs that are to be there at the end."""
        if self.operation == "build":
            return {f"{self.name}@{host}" for host in self.lab.ready["hosts"]}
        return set() if self.operation == "remove" else {f"{self.name}-{number}" for number in range(self.replicas)}

    def end(self) -> None:
        """Everything of this world goes, by the modules themselves."""
        self.ended = True
        gone = self._built.absent() if self.operation == "build" else self._containers(state="absent")
        assert not gone.get("failed"), gone["msg"]
        self.lab.control("POST", f"/vms/neighbour-{self.name}/destroy")

    # What strikes ------------------------------------------------------------

    @contextmanager
    def struck(self, fault: Fault) -> Iterator[None]:
        """The fault for the time of the block; it fails where the fault did not strike."""
        self._leaves = fault.leaves
        self.lab.reset_calls()
        over = threading.Event()
        actor = threading.Thread(target=self._act, args=(fault, over))
        with ExitStack() as stack:
            stack.callback(self.lab.control, "DELETE", "/faults")
            for rule in fault.rules:
                self.lab.control("POST", "/faults", dict(rule))
            if fault.guests:
                stack.enter_context(self.lab.scripted(*fault.guests))
            actor.start()
            stack.callback(actor.join)
            stack.callback(over.set)
            yield
            called = self.lab.calls()
        assert all(rule["method"] in called for rule in fault.rules), "what was to fail was never called"
        assert self._acted.is_set() == bool(fault.act), "the moment for it never came"

    def mend(self) -> None:
        """Fate relents: hosts come back, rivals go, what vCenter still works on ends, and so does what is left over."""
        for path in self._healing:
            self.lab.control("POST", path)
        self._healing = []
        deadline = time.monotonic() + 60
        while self.lab.state()["tasks_running"] and time.monotonic() < deadline:
            time.sleep(0.05)
        if self._leaves:
            self.lab.control("POST", "/sessions/expire")
        if self._acted.is_set():
            self._acted.clear()
            self.source.built()  # the playbook that is run again begins with the template

    def _act(self, fault: Fault, over: threading.Event) -> None:
        while fault.act and not over.is_set():
            if self.has_come(fault.moment):
                if self.operation == "build":
                    time.sleep(0.5)  # so that the run, too, has seen that the VM is on
                self._acts[fault.act]()
                self._acted.set()
                return
            time.sleep(0.005)

    def has_come(self, moment: str) -> bool:
        if moment != "awaited":
            return moment in self.lab.calls()
        vms = self.lab.vms()
        awaited = {
            "build": {self.victim},
            "deploy": {f"{self.name}-{number}" for number in range(self.replicas)},
            "update": {f"{self.name}-{number}~2" for number in range(self.replicas)},
        }[self.operation]
        phase = '"preparing"' if self.operation == "build" else '"thawed"'
        return all(
            name in vms and phase in vms[name]["extra_config"].get("guestinfo.bonneville.status", "")
            for name in awaited
        )

    @property
    def victim(self) -> str:
        """The VM that an admin's hand falls upon: the first that the run works on."""
        if self.operation == "build":
            return f"{self.name}@{min(self.lab.ready['hosts'])}"
        return f"{self.name}-0~2" if self.operation == "update" else f"{self.name}-0"

    @property
    def _acts(self) -> Mapping[str, Callable[[], None]]:
        source = self.source.vm(1)
        host = self.source.hosts[1]
        return {
            "session-expired": lambda: self._post("/sessions/expire"),
            "vcenter-restarted": lambda: self._post("/vcenter/restart?away_ms=500"),
            "admin-deletes": lambda: self._post(f"/vms/{self.victim}/destroy"),
            "admin-powers-off": lambda: self._post(f"/vms/{self.victim}/power-off"),
            "admin-renames": lambda: self._post(f"/vms/{self.victim}/rename?to=renamed-{self.name}"),
            "admin-moves": lambda: self._post(f"/vms/{self.victim}/move?folder={ELSEWHERE}"),
            "guest-dies": lambda: self._post(f"/vms/{self.victim}/kill-guest"),
            "template-unfrozen": lambda: self._post(f"/vms/{source}/unfreeze"),
            "template-off": lambda: self._post(f"/vms/{source}/power-off"),
            "template-deleted": lambda: self._post(f"/vms/{source}/destroy"),
            "host-maintenance": lambda: self._host(host, "maintenance", "exit-maintenance"),
            "host-lost": lambda: self._host(host, "disconnect", "reconnect"),
            "competitor-takes-the-name": self._compete,
        }

    def _post(self, path: str) -> None:
        self.lab.control("POST", path)

    def _host(self, host: str, operation: str, healing: str) -> None:
        self._healing.append(f"/hosts/{host}/{healing}")
        self._post(f"/hosts/{host}/{operation}")

    def _compete(self) -> None:
        rival = self.lab.control("POST", "/vms", {"name": self.victim, "folder": self.folder})["moid"]
        self._rivals.add(rival)
        self._healing.append(f"/vms/{rival}/destroy")

    # What stands -------------------------------------------------------------

    def look(self) -> Look:
        state = self.lab.state()
        ours = {vm["moid"]: vm for vm in state["vms"] if self._is_ours(vm)}
        template = {vm["moid"] for vm in state["vms"] if vm["folder"] == self.source.folder}
        others = {
            vm["moid"]: {key: vm[key] for key in ("name", "folder", "power", "bios_uuid", "extra_config", "annotation")}
            for vm in state["vms"]
            if vm["moid"] not in {*ours, *template, *self._rivals}
        }
        return Look(
            ours={vm["name"]: vm for vm in ours.values()},
            count=len(ours),
            others=others,
            left={key: state[key] for key in LEFT},
            folders=frozenset(state["folders"]) - {ELSEWHERE},
            orphans=tuple(state["orphan_files"]),
            guests=state["guests"] - len(template),
        )

    def _is_ours(self, vm: Mapping[str, Any]) -> bool:
        """By the marks, wherever an admin has moved it."""
        config = vm["extra_config"]
        mine = self.name in (config.get("bonneville.service"), config.get("bonneville.template"))
        return mine or (
            vm["folder"] == self.folder and not vm["name"].startswith("neighbour") and vm["moid"] not in self._rivals
        )


@dataclass(frozen=True, kw_only=True)
class Look:
    """A lab's state, parted into what is ours, what is others', and what a run must give back."""

    ours: Mapping[str, Mapping[str, Any]]
    count: int
    others: Mapping[str, Mapping[str, Any]]
    left: Mapping[str, Any]
    folders: frozenset[str]
    orphans: tuple[str, ...]
    guests: int
