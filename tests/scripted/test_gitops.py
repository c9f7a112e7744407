"""The repository of fleets in examples/, run as AWX runs it: by ansible-runner, with AWX's variables alone."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.lab import ROOT, Lab, running_lab
from tests.support.modules import ansible_environment, run_module
from tests.support.vsphere import connected, freeze_template

pytestmark = pytest.mark.timeout(900)  # whole playbooks, each in processes of its own

REPOSITORY = ROOT / "examples" / "gitops-repo"
# What AWX's VMware credential sets; the port and the CA are the lab's own.
AWX = ("VMWARE_HOST", "VMWARE_USER", "VMWARE_PASSWORD", "VMWARE_PORT", "SSL_CERT_FILE")


@dataclass(frozen=True, kw_only=True)
class Job:
    """What became of a job: ansible-runner's status and return code, and what was printed."""

    status: str
    code: int
    output: str


Play = Callable[..., Job]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with running_lab(guests="scripted", hosts=3) as lab:
        with connected(lab) as session:
            freeze_template(session, lab, name="photon", images=("registry.example.com/shop/web:1.4",))
        # Jobs end; all others run.
        ended = {"phase": "exited", "container": {"state": "exited", "exit_code": 0}}
        lab.control("POST", "/scripted", [{"match": "shop-migrate*", "script": [{"phase": "running"}, ended]}])
        yield lab


@pytest.fixture(autouse=True)
def cleared(lab: Lab) -> Iterator[None]:
    """Each test begins with a vCenter without containers."""
    yield
    for vm in lab.state()["vms"]:
        if vm["extra_config"].get("bonneville.kind") == "container":
            lab.control("POST", f"/vms/{vm['moid']}/destroy")


@pytest.fixture
def project(tmp_path: Path, lab: Lab) -> Path:
    """ansible-runner's directory, the repository being its project."""
    shutil.copytree(REPOSITORY, tmp_path / "project")
    (tmp_path / "env").mkdir()
    variables = {**ansible_environment(), "ANSIBLE_CONFIG": str(tmp_path / "project" / "ansible.cfg")}
    variables |= {name: lab.environment[name] for name in AWX} | {"VMWARE_VALIDATE_CERTS": "true"}
    (tmp_path / "env" / "envvars").write_text(json.dumps(variables))
    return tmp_path


def command(project: Path, playbook: str, variables: dict[str, Any] | None = None, *arguments: str) -> list[str]:
    """ansible-runner's call. It keeps a command line that it was given for the calls after it, so each has its own."""
    line = [sys.executable, "-m", "ansible_runner", "run", str(project), "-p", f"playbooks/{playbook}.yml"]
    line += ["--inventory", str(project / "project" / "inventory")]
    words = [*(["-e", json.dumps(variables)] if variables else []), *arguments]
    (project / "env" / "cmdline").write_text(shlex.join(words))
    return line


@pytest.fixture
def play(project: Path) -> Play:
    def run(playbook: str, variables: dict[str, Any] | None = None, *arguments: str) -> Job:
        done = subprocess.run(
            command(project, playbook, variables, *arguments), capture_output=True, text=True, timeout=300, check=False
        )
        newest = max((project / "artifacts").iterdir(), key=lambda path: path.stat().st_mtime)
        return Job(
            status=(newest / "status").read_text(),
            code=done.returncode,
            output=(newest / "stdout").read_text() + done.stderr,
        )

    return run


def containers(lab: Lab) -> set[str]:
    return {vm["name"] for vm in lab.state()["vms"] if vm["extra_config"].get("bonneville.kind") == "container"}


def stand(lab: Lab, directory: Path, folder: str, *, owner: str, service: str = "web") -> None:
    """A fleet of one container, called as its folder is, that a repository made some time ago."""
    name = folder.rpartition("/")[2]
    (directory / "compose.yaml").write_text(f"services: {{{service}: {{image: registry.example.com/shop/web:1.4}}}}\n")
    options = {"project_src": str(directory), "name": name, "folder": folder, "owner": owner, "template": "photon"}
    made = run_module("container_fleet", options, environment=lab.environment)
    assert not made.get("failed"), made["msg"]


def vms(lab: Lab) -> set[str]:
    """The containers' VMs by their paths."""
    found = lab.state()["vms"]
    ours = [vm for vm in found if vm["extra_config"].get("bonneville.kind") == "container"]
    return {f"{vm['folder']}/{vm['name']}" for vm in ours}


@contextmanager
def another_datacenter(lab: Lab) -> Iterator[None]:
    """Where there are two, each call has to name its own."""
    with connected(lab) as session:
        other = session.content.rootFolder.CreateDatacenter("DC1")
        try:
            yield
        finally:
            other.Destroy_Task()


def review(repository: Path) -> None:
    """Commit the plans, as who asks for a merge does."""
    identity = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
    for words in (["init", "--quiet"], ["add", "plans"], [*identity, "commit", "--quiet", "--message", "Plans"]):
        subprocess.run(["git", *words], cwd=repository, check=True)


def is_as_reviewed(repository: Path) -> bool:
    """What the pipeline's own commands say of the plans that it has made."""
    pipeline = yaml.safe_load((repository / ".gitlab-ci.yml").read_text())
    lines = [line for line in pipeline["plan"]["script"] if line.startswith("git ")]
    return subprocess.run(["bash", "-e", "-c", "\n".join(lines)], cwd=repository, check=False).returncode == 0


SHOP = {"shop-web-0", "shop-web-1", "shop-worker", "shop-migrate", "shop-db", "shop-cache"}
EDGE = {"edge-proxy", "edge-app-0", "edge-app-1", "edge-app-2"}


def test_a_change_goes_from_plan_to_review_to_apply(project: Path, play: Play, lab: Lab) -> None:
    repository = project / "project"
    review(repository)
    compose = repository / "fleets" / "edge" / "compose.yaml"
    compose.write_text("x-bonneville: {folder: bonneville-containers/teams/edge}\n" + compose.read_text())
    planned = play("plan", None, "--check")
    assert planned.status == "successful", planned.output
    assert containers(lab) == set(), "a plan changed something"
    plan = json.loads((repository / "plans" / "shop.json").read_text())
    assert plan["counts"]["create"] == len(SHOP)
    assert not is_as_reviewed(repository), "a new fleet's plan that nobody committed passes for reviewed"
    review(repository)
    assert is_as_reviewed(repository)

    applied = play("apply")
    assert applied.status == "successful", applied.output
    assert containers(lab) == SHOP | EDGE, applied.output
    assert containers(lab) == SHOP | EDGE
    assert play("drift").status == "successful"

    compose.write_text(compose.read_text().replace("replicas: 3", "replicas: 1"))
    refused = play("apply")
    assert refused.status == "failed", "a plan that nobody reviewed was carried out"
    assert containers(lab) == SHOP | EDGE
    assert play("plan").status == "successful"
    assert not is_as_reviewed(repository), "another plan than the committed one passes for reviewed"
    assert play("apply").status == "successful"
    assert containers(lab) == SHOP | {"edge-proxy", "edge-app-0"}

    shutil.rmtree(repository / "fleets" / "edge")
    assert play("prune").status == "successful"
    assert containers(lab) == SHOP
    assert not [path for path in lab.state()["folders"] if path.endswith("/edge")]
    assert play("destroy", {"container_fleet_teardown_name": "shop"}).status == "successful"
    assert containers(lab) == set()


def test_prune_takes_this_repositorys_fleets_alone_when_asked_and_no_more_than_expected(
    project: Path, play: Play, lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    repository = project / "project"
    ours = yaml.safe_load((repository / "inventory" / "group_vars" / "all.yml").read_text())["container_fleet_owner"]
    others = "git.example.com/others/fleets"
    for folder, owner, service in (
        ("bonneville-containers/edge", ours, "web"),
        ("bonneville-containers/gone", ours, "web"),
        ("bonneville-containers/teams/past", ours, "web"),
        ("bonneville-containers/b/gone", others, "app"),  # it is called as one of ours is
        ("bonneville-containers/theirs", others, "web"),
        ("bonneville-containers/nobodys", "", "web"),
    ):
        stand(lab, tmp_path_factory.mktemp("stood"), folder, owner=owner, service=service)
    everything = vms(lab)
    assert len(everything) == 6
    look = repository / "playbooks" / "look.yml"
    look.write_text("- import_playbook: bonneville.vsphere.prune_fleets\n")
    # A description that is a link describes a fleet as well.
    compose = repository / "fleets" / "edge" / "compose.yaml"
    compose.symlink_to(compose.rename(compose.with_name("linked.yaml")).name)

    told = play("look")
    assert told.status == "successful" and "No longer described: gone, past" in told.output, told.output
    assert vms(lab) == everything, "fleets went although nobody asked for that"

    refused = play("prune")
    assert (refused.status, refused.code) == ("failed", 2), refused.output
    assert "2 fleets would be removed, fleets_max_prune is 1: gone, past. Nothing was removed." in refused.output
    mistyped = str(repository / "mistyped")
    nowhere = play("prune", {"fleets_max_prune": 9, "fleets_directory": mistyped})
    assert nowhere.status == "failed", nowhere.output
    assert f"Cannot tell which fleets are described: '{mistyped}' is not a directory" in nowhere.output
    empty = tmp_path_factory.mktemp("checkout")
    nothing = play("prune", {"fleets_max_prune": 9, "fleets_directory": str(empty)})
    assert nothing.status == "failed", nothing.output
    assert f"No fleet is described below {empty}, so that all of them would be removed." in nothing.output
    assert vms(lab) == everything, "fleets went since nobody could tell that they are described"

    pruned = play("prune", {"fleets_max_prune": 2})
    assert pruned.status == "successful", pruned.output
    left = everything - {"bonneville-containers/gone/gone-web", "bonneville-containers/teams/past/past-web"}
    assert vms(lab) == left


def test_fleets_go_from_the_datacenter_that_is_named(
    project: Path, play: Play, lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shared = yaml.safe_load((project / "project" / "inventory" / "group_vars" / "all.yml").read_text())
    for name in ("gone", "edge"):
        folder = f"bonneville-containers/{name}"
        stand(lab, tmp_path_factory.mktemp("stood"), folder, owner=shared["container_fleet_owner"])
    with another_datacenter(lab):
        pruned = play("prune", {"container_fleet_datacenter": "DC0"})
        assert pruned.status == "successful", pruned.output
        assert containers(lab) == {"edge-web"}
        one = {"container_fleet_datacenter": "DC0", "container_fleet_teardown_name": "edge"}
        destroyed = play("destroy", one)
        assert destroyed.status == "successful", destroyed.output
        assert containers(lab) == set()


def test_a_fleet_is_called_as_its_directory_is_whichever_playbook_brings_it(
    project: Path, play: Play, lab: Lab
) -> None:
    fleets = project / "project" / "fleets"
    shutil.rmtree(fleets / "shop")
    (fleets / "edge").rename(fleets / "Edge.v2")
    compose = fleets / "Edge.v2" / "compose.yaml"
    compose.write_text("name: store\n" + compose.read_text())
    answers = {"fleet": "Edge.v2", "container_fleet_prune": "false", "container_fleet_max_prune": "5"}
    one = play("deploy_one", answers)
    assert one.status == "successful", one.output
    assert containers(lab) == {name.replace("edge", "Edge.v2") for name in EDGE}
    drift = play("drift")
    assert drift.status == "successful", drift.output
    pruned = play("prune")
    assert pruned.status == "successful" and "Every fleet of this owner is described." in pruned.output, pruned.output


def test_drift_fails_a_plan_only_where_that_is_asked_for(project: Path, play: Play, lab: Lab) -> None:
    repository = project / "project"
    shutil.rmtree(repository / "fleets" / "shop")
    (repository / "playbooks" / "look.yml").write_text("- import_playbook: bonneville.vsphere.plan_fleet\n")
    answers = {"fleet": "edge", "container_fleet_prune": "false", "container_fleet_max_prune": "5"}
    assert play("deploy_one", answers).status == "successful"
    look = {"container_fleet_project_src": str(repository / "fleets" / "edge")}
    strict = {**look, "container_fleet_fail_on_drift": True}
    same = play("look", strict)
    assert same.status == "successful" and "edge: = 4 unchanged" in same.output, same.output

    lab.control("POST", "/vms/edge-app-1/power-off")
    told = play("look", look)
    assert told.status == "successful" and "edge: ^ 1 update (start), = 3 unchanged" in told.output, told.output
    for failed in (play("look", strict), play("drift")):
        assert (failed.status, failed.code) == ("failed", 2), failed.output
        assert "edge has drifted: ^ 1 update (start), = 3 unchanged" in failed.output, failed.output
    assert lab.vms()["edge-app-1"]["power"] == "poweredOff", "a plan changed something"

    assert play("deploy_one", answers).status == "successful"
    assert play("look", strict).status == "successful"


def test_a_bad_fleet_does_not_stop_the_others(project: Path, play: Play, lab: Lab) -> None:
    (project / "project" / "fleets" / "edge" / "compose.yaml").write_text("services: {app: {image: a, build: .}}\n")
    done = play("deploy")
    assert done.status == "failed"
    assert "1 of 2 fleets failed: edge" in done.output
    assert containers(lab) == SHOP
    answers = {"fleet": "shop", "container_fleet_prune": "false", "container_fleet_max_prune": "5"}
    again = play("deploy_one", answers)
    assert "changed=0" in again.output.replace("\x1b[0m", ""), again.output


def test_a_directory_of_fleets_that_is_not_there_is_no_success(project: Path, play: Play) -> None:
    mistyped = str(project / "project" / "mistyped")
    done = play("deploy", {"fleets_directory": mistyped})
    assert (done.status, done.code) == ("failed", 2), done.output
    assert f"Cannot tell which fleets are described: '{mistyped}' is not a directory" in done.output, done.output


def test_a_cancelled_job_leaves_no_session_and_the_next_one_ends_it(project: Path, play: Play, lab: Lab) -> None:
    sessions = lab.state()["sessions"]
    slow = {"match": "edge-*", "script": [{"after_ms": 60_000, "phase": "running"}]}
    with lab.scripted(slow):
        job = subprocess.Popen(command(project, "deploy"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: containers(lab) == EDGE - {"edge-proxy"}, job)  # which waits for the others
        job.send_signal(signal.SIGTERM)
        job.wait(timeout=60)
    until(lambda: lab.state()["sessions"] == sessions, seconds=15)  # and not when the containers run
    for name in EDGE - {"edge-proxy"}:  # what the guests were told to take their time for
        lab.control("POST", f"/vms/{name}/destroy")
    ended = {"phase": "exited", "container": {"state": "exited", "exit_code": 0}}
    with lab.scripted({"match": "shop-migrate*", "script": [{"phase": "running"}, ended]}):
        done = play("deploy")
    assert done.status == "successful", done.output
    assert containers(lab) == SHOP | EDGE
    assert not [path for path in lab.state()["folders"] if "_lock" in path]


def until(condition: Callable[[], bool], job: subprocess.Popen[bytes] | None = None, *, seconds: float = 60) -> None:
    """Ask the lab until it is so; what it waits for has no event to tell it."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        assert job is None or job.poll() is None, "the job ended by itself"
        time.sleep(0.1)
