"""A lab whose guests are virtual machines, with one template on its one host.

Their processors may be emulated, so a template takes minutes and a clone many
seconds: the tests share what they can.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.support.lab import Lab, running_lab
from tests.support.machines import Machine
from tests.support.modules import run_module

TEMPLATE = "photon"
# How long the template seems to have been frozen when it is cloned.
FROZEN_FOR = 600
# For everything that is waited for: an emulated processor on a busy machine is slow.
SECONDS = 900
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def vm_lab() -> Iterator[Lab]:
    with running_lab(guests="vm", hosts=1, arguments=("--frozen-for", f"{FROZEN_FOR}s"), verbose=True) as lab:
        yield lab


@pytest.fixture(scope="session")
def module(vm_lab: Lab) -> Run:
    """Run a module against the lab: ``module("container_vm_info", service="web")``."""

    def run(module: str, /, **options: Any) -> dict[str, Any]:
        result = run_module(module, {**vm_lab.connection, **options}, environment=vm_lab.environment)
        assert not result.get("failed"), result["msg"]
        return result

    return run


@pytest.fixture(scope="session")
def template(vm_lab: Lab, module: Run) -> str:
    """The template's name, once it is frozen."""
    start = time.monotonic()
    module(
        "photon_template",
        name=TEMPLATE,
        source={"ova": vm_lab.ready["ova"]},
        accept_eula=True,
        cluster=vm_lab.ready["cluster"],
        datastore=vm_lab.ready["datastore"],
        network=vm_lab.ready["network"],
        images=[vm_lab.ready["images"][name] for name in ("web", "job")],
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


def wait_for(what: Callable[[], bool], claim: str) -> None:
    """Look until it is so."""
    until = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < until, f"not within {SECONDS} s: {claim}"
        time.sleep(0.5)
