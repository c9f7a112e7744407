"""The role photon_template by its playbook: what it refuses before it asks vCenter for anything."""

from __future__ import annotations

from pathlib import Path

from tests.support.modules import run_playbook


def test_a_template_whose_source_is_named_twice_is_refused(tmp_path: Path) -> None:
    playbook = tmp_path / "playbook.yml"
    playbook.write_text("- import_playbook: bonneville.vsphere.build_template\n")
    given = {"name": "photon", "source": {"vm": "golden"}, "ova": "photon.ova"}
    variables = {f"photon_template_{name}": value for name, value in given.items()}
    done = run_playbook(playbook, environment={}, variables=variables, cwd=tmp_path)
    assert (done.code, done.recap["failed"]) == (2, 1), done.output
    assert "Set photon_template_source or photon_template_ova, not both" in done.output, done.output
