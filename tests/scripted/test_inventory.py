"""Container VMs as inventory hosts: one scoped read, variables, and groups by any of them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scripted.vsphere.servers import self_signed
from tests.support.lab import Lab
from tests.support.modules import ansible_environment, run_module
from tests.support.vsphere import FrozenTemplate


@pytest.fixture(scope="module")
def containers(scripted_lab: Lab, frozen_template: FrozenTemplate) -> Iterator[None]:
    options: dict[str, Any] = {
        "name": "shown",
        "replicas": 2,
        "template": frozen_template.name,
        "image": "registry.example/web:1",
        "labels": {"tier": "front"},
        **scripted_lab.connection,
    }
    made = run_module("instant_clone_container", options, environment=scripted_lab.environment)
    assert not made.get("failed"), made["msg"]
    yield
    run_module("instant_clone_container", {**options, "state": "absent"}, environment=scripted_lab.environment)


def inventory(lab: Lab, file: Path, text: str, *arguments: str, **environment: str) -> dict[str, Any]:
    file.write_text(text)
    done = subprocess.run(
        ["ansible-inventory", "-i", str(file), "--list", *arguments],
        env={**os.environ, **ansible_environment(), **lab.environment, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # What came from vCenter is no template: ansible-inventory marks such text.
    unmarked = json.loads(done.stdout, object_hook=lambda one: one.get("__ansible_unsafe", one))
    return {**unmarked, "stderr": done.stderr}


SOURCE = """
plugin: bonneville.vsphere.container_vms
keyed_groups:
  - {key: container_service, prefix: service}
  - {key: container_labels.tier, prefix: tier}
  - {key: container_host, prefix: host}
groups:
  running: container_phase == "running"
compose:
  url: "'http://' ~ container_addresses[0]"
"""


def test_hosts_variables_and_groups(scripted_lab: Lab, containers: None, tmp_path: Path) -> None:
    scripted_lab.reset_calls()
    found = inventory(scripted_lab, tmp_path / "container_vms.yml", SOURCE)
    assert sum(scripted_lab.calls().values()) <= 6
    for group in ("container_vms", "service_shown", "tier_front", "running"):
        assert {"shown-0", "shown-1"} <= set(found[group]["hosts"]), group
    first = found["_meta"]["hostvars"]["shown-0"]
    assert first["container_ordinal"] == 0
    assert first["container_image"] == "registry.example/web:1"
    assert first["ansible_host"] == first["container_addresses"][0] == first["container_vm"]["vm"]["ip"]
    assert first["url"] == f"http://{first['ansible_host']}"


def test_a_cache_spares_the_reading(scripted_lab: Lab, containers: None, tmp_path: Path) -> None:
    text = SOURCE + f"cache: true\ncache_plugin: ansible.builtin.jsonfile\ncache_connection: {tmp_path}\n"
    first = inventory(scripted_lab, tmp_path / "container_vms.yml", text)
    scripted_lab.reset_calls()
    again = inventory(scripted_lab, tmp_path / "container_vms.yml", text)
    assert scripted_lab.calls() == {}
    assert again["_meta"] == first["_meta"]


def test_a_blank_variable_leaves_certificates_verified(scripted_lab: Lab, tmp_path: Path) -> None:
    scripted_lab.reset_calls()
    found = inventory(
        scripted_lab,
        tmp_path / "container_vms.yml",
        SOURCE,
        VMWARE_VALIDATE_CERTS="",
        SSL_CERT_FILE=str(self_signed(tmp_path)),
        REQUESTS_CA_BUNDLE="",
        ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="0",
    )
    assert "certificate" in found["stderr"]
    assert scripted_lab.calls() == {}


def test_a_blank_port_is_the_usual_one(scripted_lab: Lab, tmp_path: Path) -> None:
    found = inventory(scripted_lab, tmp_path / "container_vms.yml", SOURCE, VMWARE_PORT="")
    assert "443" in found["stderr"]


def test_what_is_wrong_is_told(scripted_lab: Lab, tmp_path: Path) -> None:
    found = inventory(
        scripted_lab,
        tmp_path / "container_vms.yml",
        SOURCE,
        VMWARE_PASSWORD="wrong",
        ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="0",
    )
    assert "the user name or password is wrong" in found["stderr"]
    assert scripted_lab.ready["vcenter"]["password"] not in found["stderr"]
