"""How far a bulk task is stands in ansible-playbook's output while it runs, unless nobody wants to see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.lab import Lab
from tests.support.modules import PlaybookRun, run_playbook
from tests.support.vsphere import FrozenTemplate

PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - bonneville.vsphere.instant_clone_container:
        name: slow
        replicas: 3
        template: scripted
        image: registry.example/web:1
      {keywords}
    - bonneville.vsphere.container_vm_absent:
        service: slow
"""


@pytest.fixture
def play(scripted_lab: Lab, frozen_template: FrozenTemplate, tmp_path: Path):  # type: ignore[no-untyped-def]
    def run(keywords: str = "register: _", *arguments: str) -> PlaybookRun:
        file = tmp_path / "play.yml"
        file.write_text(PLAY.format(keywords=keywords))
        with scripted_lab.scripted({"match": "slow*", "script": [{"after_ms": 3500, "phase": "running"}]}):
            done = run_playbook(file, environment=scripted_lab.environment, arguments=arguments)
        assert done.code == 0, done.output
        return done

    return run


def test_progress_and_a_table_are_shown(play) -> None:  # type: ignore[no-untyped-def]
    output = play().output
    assert "3 containers: 3 cloned" in output
    assert "seconds" in output
    assert "slow-2" in output


@pytest.mark.parametrize(
    ("keywords", "arguments"),
    [
        ("no_log: true", ()),
        ("vars: {bonneville_vsphere_progress: false}", ()),
        ("register: _", ("-e", "bonneville_vsphere_progress=False")),
        ("async: 60\n      poll: 1", ()),
        ("register: _", ("--check",)),
    ],
    ids=["no_log", "switched off", "switched off on the command line", "async", "check mode"],
)
def test_it_is_silent(play, keywords: str, arguments: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    output = play(keywords, *arguments).output
    assert "cloned" not in output
    assert "changed=2" in output or "--check" in arguments
