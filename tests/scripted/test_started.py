"""How Ansible starts a module: from where it is installed on this machine, packed for whatever else it is to run as."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.lab import ROOT, Lab
from tests.support.modules import PlaybookRun, run_playbook

PLAY = """
- hosts: localhost
  gather_facts: false
  collections: [bonneville.vsphere, ansible.builtin]
  tasks:
    - {name}:
        {options}
      {keywords}
"""
INSTALLED = ROOT / "plugins" / "plugin_utils" / "library" / "bonneville_vsphere_installed.py"
PACKED = "Including module_utils file ansible_collections/bonneville/vsphere/plugins/module_utils/_run.py"


class Play:
    def __init__(self, lab: Lab, scratch: Path) -> None:
        self._lab = lab
        self._scratch = scratch

    def __call__(
        self,
        name: str = "bonneville.vsphere.container_vm_info",
        *,
        options: str = "fleet: nobodys",
        keywords: str = "register: _",
        **environment: str,
    ) -> PlaybookRun:
        file = self._scratch / "play.yml"
        file.write_text(PLAY.format(name=name, options=options, keywords=keywords))
        places = {"ANSIBLE_REMOTE_TEMP": str(self._scratch / "remote"), "ANSIBLE_HOME": str(self._scratch / "home")}
        return run_playbook(file, environment={**self._lab.environment, **places, **environment}, arguments=("-vvvvv",))


@pytest.fixture
def play(scripted_lab: Lab, tmp_path: Path) -> Play:
    return Play(scripted_lab, tmp_path)


def test_on_this_machine_nothing_of_ours_is_packed(play: Play) -> None:
    done = play()
    assert done.code == 0, done.output
    assert "ok=1" in done.output
    assert "Including module_utils file ansible/module_utils/basic.py" in done.output
    assert "plugins/module_utils" not in done.output.replace(str(ROOT), "")


@pytest.mark.parametrize(
    ("keywords", "environment"),
    [
        ("async: 60\n      poll: 1", {}),
        ("become: true\n      become_method: su", {}),
        ("register: _", {"ANSIBLE_KEEP_REMOTE_FILES": "1"}),
    ],
    ids=["async", "become", "kept files"],
)
def test_what_may_not_find_it_there_has_it_packed(play: Play, keywords: str, environment: dict[str, str]) -> None:
    done = play(keywords=keywords, **environment)
    assert done.code == 0, done.output
    assert "ok=1" in done.output
    assert PACKED in done.output


def test_another_directory_of_collections_is_not_in_the_way(play: Play, tmp_path: Path) -> None:
    other = tmp_path / "other" / "ansible_collections"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise ImportError('not this one')\n")
    done = play(keywords=f"environment: {{PYTHONPATH: {other.parent}}}")
    assert done.code == 0, done.output


@pytest.mark.parametrize("name", ["container_vm_info", "bonneville.vsphere.photon_template_info"])
def test_an_error_names_the_module_as_its_user_does(play: Play, name: str) -> None:
    done = play(name, options="colour: blue")
    assert done.code == 2, done.output
    assert f"Unsupported parameters for ({name}) module: colour" in done.output


@pytest.mark.parametrize("gone", [False, True])
def test_nothing_begins_once_ansible_playbook_is_gone(tmp_path: Path, gone: bool) -> None:
    module = tmp_path / "modules" / "anything.py"
    module.parent.mkdir()
    module.write_text("def main() -> None:\n    print('begun')\n")
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    done = subprocess.run(
        [sys.executable, str(INSTALLED)],
        env={
            **os.environ,
            "BONNEVILLE_MODULE": str(module),
            "BONNEVILLE_CONTROLLER": str(ended.pid if gone else os.getpid()),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == ((1, "") if gone else (0, "begun\n")), done.stderr
    assert ("ansible-playbook has ended" in done.stderr) is gone


def test_every_module_is_started_so() -> None:
    modules, actions = (
        {file.name for file in (ROOT / "plugins" / kind).glob("*.py")} for kind in ("modules", "action")
    )
    assert actions == modules
