"""Every example of the documents does what it says: run by ansible-playbook as it stands, against the lab.

A block that is neither run nor looked into here fails, so none can be forgotten. What cannot be run here is named in
``NOT_RUN`` with the reason, and is told at the end of the tests as skipped.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.examples.blocks import ROOT, SHOWN, YAML, Block, blocks, is_tasks, parsed
from tests.examples.site import MIRROR, STANDING, VARIABLES, in_the_lab, mirror, names, settle
from tests.support.lab import Lab, running_lab
from tests.support.modules import ansible_environment, run_module, run_playbook

pytestmark = pytest.mark.timeout(600)  # whole playbooks, each in processes of its own

ALL = blocks()
FRAGMENTS = [one for one in ALL if one.language in YAML and one.path == "CONTRIBUTING.md"]
PLAYED = [
    one
    for one in ALL
    if one.language in YAML and not one.path.startswith("plugins/inventory/") and one not in FRAGMENTS
]
SOURCES = [one for one in ALL if one.path.startswith("plugins/inventory/")]
CONSOLE = [one for one in ALL if one.language == "console"]
# Playbooks of the examples that want what a lab has not: the reason, and what is looked into instead.
NOT_RUN = {"examples/awx/awx.yml": "it wants an AWX; its options are compared with those of awx.awx's modules"}
# What runs the playbooks of the repository of fleets, each by name.
GITOPS_TEST = ROOT / "tests" / "scripted" / "test_gitops.py"


def where(block: Block) -> str:
    return block.where


@contextmanager
def site(directory: Path, *, template: bool) -> Iterator[Lab]:
    with running_lab(guests="scripted", hosts=3) as lab:
        settle(lab, directory, template=template)
        yield lab


def makes_its_template(block: Block) -> bool:
    return "accept_eula" in block.text


def plays(block: Block, lab_names: dict[str, Any]) -> list[Any]:
    """The block as a playbook in which the site's names are the lab's."""
    (document,) = parsed(block)
    if is_tasks(document):
        document = [{"name": block.where, "hosts": "localhost", "gather_facts": False, "tasks": document}]
    return [in_the_lab(one, lab_names) for one in document]


def test_no_block_is_left_out() -> None:
    known = {*PLAYED, *FRAGMENTS, *SOURCES, *CONSOLE, *(one for one in ALL if one.language in SHOWN)}
    assert [one.where for one in ALL if one not in known] == [], "say what language these are in, and run them"
    assert len(PLAYED) >= 12, "the documents' blocks are no longer found"
    assert len(SOURCES) >= 1
    assert len(CONSOLE) >= 4


@pytest.mark.parametrize("block", PLAYED, ids=where)
def test_an_example_runs(block: Block, tmp_path: Path) -> None:
    with site(tmp_path, template=not makes_its_template(block)) as lab, mirror(lab, tmp_path) as address:
        prepare(block, lab)
        book = plays(block, {**names(lab), MIRROR: address})
        playbook = tmp_path / "playbook.yml"
        playbook.write_text(yaml.safe_dump(book, sort_keys=False))
        done = run_playbook(
            playbook, environment=lab.environment, variables=VARIABLES, cwd=tmp_path, inventory="inventory/hosts.yml"
        )
        assert done.code == 0, done.output
        told = done.recap
        assert {told[name] for name in ("failed", "unreachable", "rescued", "ignored")} == {0}, done.output
        tasks = [task for play in book for task in play.get("tasks", ())]
        assert told["ok"] >= max(len(tasks), 1), done.output
        if tasks:
            assert told["skipped"] == 0, done.output
        if block.path.endswith("_absent.py"):
            assert told["changed"] == len(tasks), done.output
        assert "[DEPRECATION WARNING]" not in done.output
        assert not lab.state()["sessions"], "a session was left behind"


def prepare(block: Block, lab: Lab) -> None:
    """Run the containers that the block's document speaks of."""
    for options in STANDING.get(block.path, ()):
        made = run_module("instant_clone_container", {**lab.connection, **options}, environment=lab.environment)
        assert not made.get("failed"), made["msg"]


@pytest.mark.parametrize("block", SOURCES, ids=where)
def test_an_inventory_source_is_read(block: Block, tmp_path: Path) -> None:
    with site(tmp_path, template=True) as lab:
        playbook = tmp_path / "playbook.yml"
        tasks = [
            {
                "bonneville.vsphere.instant_clone_container": {
                    "name": "front",
                    "template": "photon",
                    "image": "registry.example.com/web:1.4",
                    "labels": {"tier": "front"},
                }
            },
            {"bonneville.vsphere.container_fleet": {"project_src": "fleets/edge", "template": "photon"}},
        ]
        playbook.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
        done = run_playbook(playbook, environment=lab.environment, cwd=tmp_path)
        assert done.code == 0, done.output
        for number, document in enumerate(parsed(block)):
            source = tmp_path / f"{number}.container_vms.yml"
            source.write_text(yaml.safe_dump(in_the_lab(document, names(lab))))
            told = inventory(source, lab)
            hosts = told["_meta"]["hostvars"]
            assert {"front", "edge-proxy"} <= set(hosts)
            assert isinstance(document, dict)
            wanted = {f"{one['prefix']}_" for one in document.get("keyed_groups", ())}
            assert [prefix for prefix in wanted if not any(group.startswith(prefix) for group in told)] == []
            for name in document.get("compose", ()):
                assert all(one[name] for one in hosts.values())


def inventory(source: Path, lab: Lab) -> dict[str, Any]:
    done = subprocess.run(
        ["ansible-inventory", "-i", str(source), "--list"],
        env={**os.environ, **ansible_environment(), **lab.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "[WARNING]" not in done.stderr, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("block", FRAGMENTS, ids=where)
def test_a_fragment_is_of_the_changelogs_sections(block: Block) -> None:
    config = yaml.safe_load((ROOT / "changelogs" / "config.yaml").read_text())
    sections = {name for name, _title in config["sections"]}
    for document in parsed(block):
        assert isinstance(document, dict)
        assert set(document) <= sections


@pytest.mark.parametrize("block", CONSOLE, ids=where)
def test_a_command_names_what_is_there(block: Block) -> None:
    lines = [line.removeprefix("$ ").partition("#")[0].strip() for line in block.text.splitlines() if line[:2] == "$ "]
    assert lines, f"{block.where} shows no command"
    directory = (ROOT / block.path).parent
    for line in lines:
        check_command(line, directory)


def check_command(line: str, directory: Path) -> None:
    program, *words = line.split()
    if program == "make":
        targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert words[0] in targets, f"there is no make {words[0]}"
    elif program == "ansible-playbook":
        (name,) = [word for word in words if not word.startswith("-") and word.endswith(".yml")] or [words[0]]
        there = name.startswith("bonneville.vsphere.") and (
            ROOT / "playbooks" / f"{name.removeprefix('bonneville.vsphere.')}.yml"
        )
        assert (there or directory / name).is_file(), f"there is no playbook {name}"
    elif program == "ansible-galaxy":
        galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
        assert words[:2] == ["collection", "install"]
        assert words[2] in (f"{galaxy['namespace']}.{galaxy['name']}", "awx.awx")
    elif program == "ansible-doc":
        name = words[-1].removeprefix("bonneville.vsphere.")
        assert (ROOT / "plugins" / "modules" / f"{name}.py").is_file() or (ROOT / "roles" / name).is_dir()
    elif program == "pip":
        assert words[:2] == ["install", "-r"]
        assert (ROOT / Path(words[2]).name).is_file()
    elif program == "git":
        assert words[0] in ("add", "clone", "commit", "tag")
        assert [word for word in words[1:] if words[0] == "add" and not (directory / word).exists()] == []
    else:
        assert program == "export", f"it is not known what {program} is to do"
        given = {word.split("=")[0] for word in words}
        assert given <= {"VMWARE_HOST", "VMWARE_USER", "VMWARE_PASSWORD", "CONTROLLER_HOST", "CONTROLLER_OAUTH_TOKEN"}


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "gitops-repo" / "playbooks").glob("*.yml")), ids=str)
def test_the_repository_of_fleets_is_run_elsewhere(path: Path) -> None:
    assert re.search(rf'(play|command)\((project, )?"{path.stem}"', GITOPS_TEST.read_text()), path.name


def test_the_pipeline_calls_what_is_there() -> None:
    directory = ROOT / "examples" / "gitops-repo"
    pipeline = yaml.safe_load((directory / ".gitlab-ci.yml").read_text())
    called = [line for job in pipeline.values() if isinstance(job, dict) for line in job.get("script", ())]
    playbooks = [line for line in called if line.startswith("ansible-playbook")]
    assert playbooks
    for line in playbooks:
        check_command(line, directory)


def awx_tasks() -> list[dict[str, Any]]:
    (play,) = yaml.safe_load((ROOT / "examples" / "awx" / "awx.yml").read_text())
    tasks: list[dict[str, Any]] = play["tasks"]
    return tasks


def test_the_options_for_awx_are_those_of_its_modules() -> None:
    """Against the options of awx.awx's modules, as their documentation in awx_options.json has them."""
    known = json.loads((ROOT / "tests" / "examples" / "awx_options.json").read_text())["modules"]
    for task in awx_tasks():
        (module,) = [key for key in task if key.startswith("awx.awx.")]
        options, given = known[module], task[module]
        assert [name for name in given if name not in options] == [], module
        assert [name for name, one in options.items() if one.get("required") and name not in given] == [], module
        for name, value in given.items():
            choices = options[name].get("choices")
            assert choices is None or "{{" in str(value) or value in choices, f"{module}: {name}: {value}"


def test_awx_runs_playbooks_that_are_there() -> None:
    jobs = next(task for task in awx_tasks() if "awx.awx.job_template" in task)["loop"]
    for job in jobs:
        assert (ROOT / "examples" / "gitops-repo" / "playbooks" / f"{job['playbook']}.yml").is_file(), job["name"]
        assert job["type"] in ("check", "run")


@pytest.mark.parametrize("path", NOT_RUN)
def test_what_is_not_run(path: str) -> None:
    assert (ROOT / path).is_file()
    pytest.skip(f"NOT RUN: {path}: {NOT_RUN[path]}")
