"""Secrets stand nowhere but in the call that logs in: not after good runs, nor failed ones, nor killed ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.lab import ROOT, Lab, running_lab
from tests.support.modules import ansible_environment
from tests.support.secrets import Planted, Watch, watching
from tests.support.vsphere import connected, freeze_template

IMAGE = "registry.example/web:1"
PLAY = """
- hosts: localhost
  gather_facts: false
  vars_files: [{vault}]
  module_defaults:
    group/bonneville.vsphere.vsphere: &vcenter
      vcenter_hostname: "{{{{ vcenter.host }}}}"
      vcenter_port: "{{{{ vcenter.port }}}}"
      vcenter_username: "{{{{ vcenter.user }}}}"
      vcenter_password: "{{{{ vcenter.password }}}}"
  tasks:
    - bonneville.vsphere.instant_clone_container: &web
        name: hidden
        template: scripted
        image: registry.example/web:1
        replicas: 2
        env: {{PLAIN: here, TOKEN: "{{{{ planted.env }}}}"}}
        env_file: {env_file}
        volumes: ["{secret_file}:/run/key:ro"]
        registry_login: {{server: registry.example, username: me, password: "{{{{ planted.registry }}}}"}}
        digest_key: "{{{{ planted.digestkey }}}}"
        timeout: {timeout}
      register: made
    - debug: {{var: made}}
    - bonneville.vsphere.instant_clone_container:
        <<: *web
        env: {{PLAIN: here, TOKEN: "{{{{ planted.changed }}}}"}}
      register: changed
    - debug: {{var: changed}}
    - bonneville.vsphere.container_vm_info: {{service: hidden}}
      register: info
    - debug: {{var: info}}
    - bonneville.vsphere.container_fleet:
        name: hush
        template: scripted
        project_src: {project}
        digest_key: "{{{{ planted.digestkey }}}}"
        variables: {{FLEET_TOKEN: "{{{{ planted.fleetenv }}}}"}}
      register: fleet
    - debug: {{var: fleet}}
"""
COMPOSE = """
services:
  api:
    image: registry.example/web:1
    environment: {TOKEN: "${FLEET_TOKEN}"}
    secrets: [key]
secrets:
  key: {file: ./key}
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with running_lab(guests="scripted", hosts=2, arguments=("--trace",)) as lab:
        with connected(lab) as session:
            freeze_template(session, lab, name="scripted", images=(IMAGE,))
        yield lab


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A playbook with secrets in it, and the places that it leaves anything at."""

    lab: Lab
    planted: Planted
    playbook: Path
    scratch: Path

    def begin(self) -> subprocess.Popen[bytes]:
        """ansible-playbook as chatty as it can be; everything that it writes goes below ``scratch``."""
        places = {
            "ANSIBLE_LOCAL_TEMP": "local", "ANSIBLE_REMOTE_TEMP": "remote", "TMPDIR": "tmp", "ANSIBLE_HOME": "home",
            "ANSIBLE_LOG_PATH": "ansible.log",
        }  # fmt: skip
        environment = {
            **os.environ,
            **ansible_environment(),
            **{name: str(self.scratch / place) for name, place in places.items()},
            "SSL_CERT_FILE": self.lab.environment["SSL_CERT_FILE"],
        }
        (self.scratch / "tmp").mkdir(exist_ok=True)
        with (self.scratch / "output").open("wb") as output:
            return subprocess.Popen(
                ["ansible-playbook", "-i", "localhost,", "-c", "local", "-vvv", "--diff", str(self.playbook)],
                cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def output(self) -> str:
        return (self.scratch / "output").read_text()

    def found(self, watch: Watch) -> dict[str, Any]:
        """Where secrets stand: nothing where all is well."""
        traffic = [one for one in self.lab.control("GET", "/traffic") if one["method"] != "Login"]
        places = {
            "files and output": self.planted.found_below(self.scratch),
            "files of the lab": self.planted.found_below(self.lab.directory / "state"),
            "vCenter's state": self.planted.found_in(json.dumps(self.lab.state())),
            "calls": {
                (one["method"], name)
                for one in traffic
                for name in self.planted.found_in(one["request"] + one["response"])
            },
            "processes and the system's log": watch.found,
        }
        return {place: found for place, found in places.items() if found}


@pytest.fixture
def stage(lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> Stage:
    planted = Planted.of(
        "env", "changed", "envfile", "file", "fleetenv", "fleetfile", "registry", "digestkey",
        vcenter=lab.connection["vcenter_password"],
    )  # fmt: skip
    hidden, project = tmp_path / "hidden", tmp_path / "hidden" / "project"
    project.mkdir(parents=True)
    (project / "compose.yaml").write_text(COMPOSE)
    (project / "key").write_text(planted["fleetfile"])
    (hidden / "more.env").write_text(f"MORE={planted['envfile']}\n")
    (hidden / "key").write_text(planted["file"])
    vault = {"planted": dict(planted.values), "vcenter": dict(lab.ready["vcenter"])}
    (hidden / "vault.yml").write_text(yaml.safe_dump(vault))
    paths: Mapping[str, Any] = {
        "vault": hidden / "vault.yml", "env_file": hidden / "more.env", "secret_file": hidden / "key",
        "project": project, "timeout": getattr(request, "param", 60),
    }  # fmt: skip
    (hidden / "play.yml").write_text(PLAY.format(**paths))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Stage(lab=lab, planted=planted, playbook=hidden / "play.yml", scratch=scratch)


@pytest.fixture(autouse=True)
def cleared(lab: Lab) -> Iterator[None]:
    """Each test begins with a vCenter without containers."""
    yield
    lab.control("DELETE", "/faults")
    for vm in lab.state()["vms"]:
        if vm["kind"] == "container":
            lab.control("POST", f"/vms/{vm['moid']}/destroy")


def test_after_a_good_run(stage: Stage) -> None:
    with watching(stage.planted) as watch:
        run = stage.begin()
        assert run.wait(timeout=240) == 0, stage.output
    assert len(watch.lines) > 3
    assert stage.found(watch) == {}
    # The search would find them: they went through all this, and the output tells of them by their names.
    assert "TOKEN" in stage.output
    login = [one["request"] for one in stage.lab.control("GET", "/traffic") if one["method"] == "Login"]
    assert stage.planted.found_in("".join(login)) == {"vcenter"}


@pytest.mark.parametrize("stage", [3], indirect=True)
def test_after_a_failed_run(stage: Stage) -> None:
    reason = {"code": "image_pull_failed", "message": "the registry refuses the login"}
    rule = {"match": "hidden-1*", "script": [{"phase": "failed", "reason": reason}]}
    with watching(stage.planted) as watch, stage.lab.scripted(rule):
        run = stage.begin()
        assert run.wait(timeout=240) == 2, stage.output
    assert "the registry refuses the login" in stage.output
    assert stage.found(watch) == {}


def test_after_a_run_that_was_killed(stage: Stage) -> None:
    stage.lab.reset_calls()
    stage.lab.control("POST", "/faults", {"method": "InstantClone_Task", "task": True, "delay_ms": 2000, "times": -1})
    with watching(stage.planted) as watch:
        run = stage.begin()
        deadline = time.monotonic() + 120
        while "InstantClone_Task" not in stage.lab.calls() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert run.poll() is None, stage.output
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    deadline = time.monotonic() + 60
    while stage.lab.state()["tasks_running"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert stage.found(watch) == {}
    assert [vm["name"] for vm in stage.lab.state()["vms"] if vm["kind"] == "container"], "nothing was begun"
