"""The fleet's directory on a real file system: no path leads out of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet import compose
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.files import inside
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.places import (
    DIRECTORY,
    FILE,
    MISSING,
    OUTSIDE,
    UNREADABLE,
)


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    (tmp_path / "outside.txt").write_text("secret")
    directory = tmp_path / "fleet"
    (directory / "sub").mkdir(parents=True)
    (directory / "file.txt").write_text("file")
    (directory / "run.sh").write_text("#!/bin/sh")
    (directory / "run.sh").chmod(0o755)
    (directory / "link").symlink_to("file.txt")
    (directory / "out").symlink_to("../outside.txt")
    (directory / "up").symlink_to("..")
    (directory / "loop").symlink_to("loop")
    os.mkfifo(directory / "fifo")
    with (directory / "large").open("wb") as file:
        file.truncate(5 * 2**20)
    return directory


@pytest.mark.parametrize(
    ("path", "state"),
    [
        ("file.txt", FILE),
        ("./sub/../file.txt", FILE),
        ("link", FILE),
        ("sub", DIRECTORY),
        (".", DIRECTORY),
        ("no", MISSING),
        ("file.txt/no", MISSING),
        ("../outside.txt", OUTSIDE),
        ("../fleet-2/file", OUTSIDE),
        ("out", OUTSIDE),
        ("up/outside.txt", OUTSIDE),
        ("up/fleet/file.txt", FILE),
        ("/etc/passwd", OUTSIDE),
        ("~/file", OUTSIDE),
        ("fifo", UNREADABLE),
        ("large", UNREADABLE),
        ("loop", UNREADABLE),
        ("a\0b", UNREADABLE),
    ],
)
def test_states(fleet: Path, path: str, state: str) -> None:
    found = inside(str(fleet))(path)
    assert found.state == state
    assert bool(found.why) == (state == UNREADABLE)
    assert b"secret" not in found.content


def test_absolute_paths_within_are_within(fleet: Path) -> None:
    assert inside(str(fleet))(str(fleet / "file.txt")).content == b"file"


def test_executables_are_told(fleet: Path) -> None:
    look = inside(str(fleet))
    assert look("run.sh").executable
    assert not look("file.txt").executable


def test_a_directory_that_is_a_link_itself(fleet: Path) -> None:
    alias = fleet.parent / "alias"
    alias.symlink_to(fleet)
    assert inside(str(alias))("file.txt").state == FILE


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("services: {web: {image: a, env_file: out}}", "Cannot use env_file of service 'web' 'out'"),
        (
            "services: {web: {image: a, volumes: ['./up/outside.txt:/x:ro']}}",
            "Cannot use the bind mount of service 'web',",
        ),
        ("services: {web: {image: a, secrets: [s]}}\nsecrets: {s: {file: out}}", "Cannot use the file of secret 's',"),
        (
            "services: {web: {image: a, configs: [c]}}\nconfigs: {c: {file: ../outside.txt}}",
            "Cannot use the file of config",
        ),
        ("include: [out]", "Cannot use the included file 'out'"),
        ("services: {web: {extends: {file: out, service: a}}}", "Cannot use the file that service 'web' extends,"),
        ("services: {web: {image: a, label_file: out}}", "Cannot use label_file of service 'web' 'out'"),
        (
            "services: {web: {image: a, security_opt: ['seccomp=out']}}",
            "Cannot use the seccomp profile of service 'web',",
        ),
    ],
)
def test_no_file_outside_is_read(fleet: Path, text: str, told: str) -> None:
    (fleet / "compose.yaml").write_text(text)
    with pytest.raises(InvalidOption) as error:
        compose.load(str(fleet), name="f")
    assert error.value.message.startswith(told)
    assert "it leaves the fleet's directory" in error.value.message
    assert error.value.details["line"] > 0


def test_the_compose_file_itself_may_not_be_outside(fleet: Path) -> None:
    (fleet / "compose.yaml").symlink_to("../outside.txt")
    for files in ((), ("../outside.txt",), ("out",)):
        with pytest.raises(InvalidOption, match="leaves the fleet's directory"):
            compose.load(str(fleet), files, name="f")


def test_nothing_comes_from_the_environment(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRAY", "from the process")
    (fleet / "compose.yaml").write_text("services: {web: {image: a, environment: [STRAY]}}")
    assert compose.load(str(fleet), name="f").service("web").options["env"] == {}
    (fleet / "compose.yaml").write_text("services: {web: {image: $STRAY}}")
    with pytest.raises(InvalidOption, match="STRAY"):
        compose.load(str(fleet), name="f")
    (fleet / "compose.yaml").write_text("services: {web: {image: a, secrets: [s]}}\nsecrets: {s: {environment: STRAY}}")
    with pytest.raises(InvalidOption, match="the variable 'STRAY' is not set"):
        compose.load(str(fleet), name="f")
