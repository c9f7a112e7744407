"""A lab whose guests are virtual machines, with one template on its one host.

Their processors may be emulated, so a template takes minutes and a clone many
seconds: the tests share what they can.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import moid_of
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.support import web as web_server
from tests.support.lab import Lab, running_lab
from tests.support.machines import Machine, memory_table
from tests.support.modules import run_module
from tests.support.vsphere import connected

TEMPLATE = "photon"
# How long the template seems to have been frozen when it is cloned.
FROZEN_FOR = 600
# For everything that is waited for: an emulated processor on a busy machine is slow.
SECONDS = 900
NAMES = ("pair-0", "pair-1")
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def vm_lab() -> Iterator[Lab]:
    with running_lab(guests="vm", hosts=1, arguments=("--frozen-for", f"{FROZEN_FOR}s"), verbose=True) as lab:
        yield lab


@pytest.fixture(scope="session")
def module(vm_lab: Lab) -> Run:
    """Run a module against the lab: ``module("container_vm_info", service="web")``; ``fails`` is its error code."""

    def run(module: str, /, *, fails: str = "", **options: Any) -> dict[str, Any]:
        result = run_module(module, {**vm_lab.connection, **options}, environment=vm_lab.environment)
        assert result.get("error_code", "") == fails, result.get("msg")
        return result

    return run


@pytest.fixture(scope="session")
def template(vm_lab: Lab, module: Run) -> str:
    """The template's name, once it is frozen."""
    start = time.monotonic()
    private = vm_lab.ready["private"]
    module(
        "photon_template",
        name=TEMPLATE,
        source={"ova": vm_lab.ready["ova"]},
        accept_eula=True,
        cluster=vm_lab.ready["cluster"],
        datastore=vm_lab.ready["datastore"],
        network=vm_lab.ready["network"],
        images=[*(vm_lab.ready["images"][name] for name in ("web", "job")), private["images"]["web"]],
        insecure_registries=[vm_lab.ready["registry"]],
        registry_logins=[{name: private[name] for name in ("server", "username", "password")}],
        # Without it there is no sshd, and so are no host keys that could be shared.
        debug_ssh_key=_public_key(),
        timeout=SECONDS,
    )
    print(f"\n[vm] {vm_lab.ready['accelerator']}: the template was frozen after {time.monotonic() - start:.0f} s")
    return TEMPLATE


def _public_key() -> str:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    return public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


@pytest.fixture(scope="session")
def frozen(vm_lab: Lab, template: str) -> Machine:
    """The template VM itself."""
    [name] = [vm["name"] for vm in vm_lab.state()["vms"] if vm["frozen"]]
    return Machine(lab=vm_lab, name=name)


@pytest.fixture(scope="session")
def deploy(vm_lab: Lab, module: Run, template: str) -> Iterator[Run]:
    """Run ``instant_clone_container``; what it made is removed at the end."""
    services: set[str] = set()

    def run(**options: Any) -> dict[str, Any]:
        services.add(options["name"])
        return module("instant_clone_container", template=template, timeout=SECONDS, **options)

    yield run
    for service in sorted(services):
        module("container_vm_absent", service=service)


@pytest.fixture(scope="session")
def images(vm_lab: Lab) -> dict[str, str]:
    return dict(vm_lab.ready["images"])


def status(lab: Lab, name: str) -> dict[str, Any]:
    """What the VM's agent said last."""
    said: dict[str, Any] = json.loads(lab.vms()[name]["extra_config"].get("guestinfo.bonneville.status") or "{}")
    return said


def clone_task(lab: Lab, name: str) -> tuple[float, float]:
    """When the task that cloned the VM began and ended, as time.time()."""
    vm = lab.vms()[name]
    with connected(lab) as session:
        tasks = [task.info for task in session.managed("VirtualMachine", vm["parent"]).recentTask]
    cloned = [task for task in tasks if task.descriptionId == "VirtualMachine.instantClone"]
    [own] = [task for task in cloned if moid_of(task.result) == vm["moid"]]
    return own.startTime.timestamp(), own.completeTime.timestamp()


def wait_for(what: Callable[[], bool], claim: str) -> None:
    """Look until it is so."""
    until = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < until, f"not within {SECONDS} s: {claim}"
        time.sleep(0.5)


def web(images: dict[str, str]) -> dict[str, Any]:
    return {"image": images["web"], "published_ports": ["8080:8080"]}


def ask(lab: Lab, name: str) -> dict[str, Any]:
    return web_server.ask(f"http://{lab.vms()[name]['ip']}:8080/")


@pytest.fixture(scope="session")
def siblings(deploy: Run, images: dict[str, str], vm_lab: Lab) -> tuple[Machine, ...]:
    """Two clones of one frozen VM, made one after the other, each running a web server."""
    for replicas in (1, 2):
        made = deploy(name="pair", replicas=replicas, **web(images))["containers"][-1]["name"]
        assert ask(vm_lab, made)["hostname"]
        answered = time.time()
        begun, resumed = clone_task(vm_lab, made)
        phases = {phase: resumed - begun + after for phase, after in status(vm_lab, made)["timings"].items()}
        print(f"\n[vm] {made}, seconds since its clone task began: resumed {resumed - begun:.2f},", end=" ")
        print(", ".join(f"{phase} {after:.1f}" for phase, after in sorted(phases.items(), key=itemgetter(1))), end=", ")
        print(f"HTTP 200 {answered - begun:.1f}")
        print(memory_table(vm_lab, title=f"[vm] clones: {replicas}"))
    return tuple(Machine(lab=vm_lab, name=name) for name in NAMES)


@pytest.fixture(scope="session")
def job(siblings: tuple[Machine, ...], deploy: Run, images: dict[str, str]) -> dict[str, Any]:
    """A third clone, whose container ends with exit code 5: what the module told of it."""
    return deploy(name="job", image=images["job"], env={"JOB_EXIT": "5"}, detach=False, fails="container_failed")
