from __future__ import annotations

import ast
import base64
import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import agent, bundle, protocol

AGENT = Path(agent.__file__).parent


def unpacked(value: str) -> str:
    return gzip.decompress(base64.b64decode(value)).decode()


def test_every_file_of_the_agent_is_in_it() -> None:
    assert set(bundle.AGENT) == {file.stem for file in AGENT.glob("*.py")}


def test_it_runs_alone_and_says_its_version(tmp_path: Path) -> None:
    file = tmp_path / "agent.pyz"
    file.write_bytes(bundle.zipapp())
    said = subprocess.run([sys.executable, "-I", "-S", file, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == protocol.AGENT_VERSION


def test_the_same_sources_make_the_same_bytes() -> None:
    assert bundle.zipapp() == bundle.zipapp()


def test_cloud_init_is_told_to_install_and_start_it() -> None:
    values = bundle.user_data("one")
    assert json.loads(unpacked(values["guestinfo.metadata"])) == {"instance-id": "one"}
    head, _, body = unpacked(values["guestinfo.userdata"]).partition("\n")
    assert head == "#cloud-config"
    config = json.loads(body)
    files = {file["path"]: file for file in config["write_files"]}
    assert gzip.decompress(base64.b64decode(files["/opt/bonneville/agent.pyz"]["content"])) == bundle.zipapp()
    assert "ExecStart=/usr/bin/python3 -I -S /opt/bonneville/agent.pyz" in bundle.UNIT
    assert ["systemctl", "enable", "bonneville-agent.service"] in config["runcmd"]


def test_what_was_set_is_removed_again() -> None:
    assert set(bundle.no_user_data()) == set(bundle.user_data("one"))
    assert not any(bundle.no_user_data().values())


def test_a_guest_can_read_it_in_one_message() -> None:
    # VMware's guest RPC carries 64 KiB, its own words included.
    assert len(bundle.user_data("one")["guestinfo.userdata"]) < 60 * 1024


@pytest.mark.parametrize("file", sorted(AGENT.glob("*.py")), ids=lambda file: file.stem)
def test_what_only_readers_need_stays_behind_and_nothing_else(file: Path) -> None:
    source = file.read_text()
    left = bundle.bare(source)

    def statements(text: str) -> str:
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
                node.body[0] = ast.Expr(value=ast.Constant(value=""), lineno=node.body[0].lineno)
        return ast.dump(tree, include_attributes=False)

    def lines(text: str) -> list[int]:
        return [node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)]

    assert statements(left) == statements(source)
    assert lines(left) == lines(source)
    assert not [line for line in left.splitlines() if line.lstrip().startswith("#")]
    assert len(left) < len(source)
