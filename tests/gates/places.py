"""Where the gates work: trees as ansible-test wants them, virtual environments, and their processes' environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build"
WORK = BUILD / "gates"
MAIN = BUILD / "venv" / "bin"
HERE = Path(__file__).resolve().parent
# What a tree keeps from run to run: ansible-test's own virtual environments.
KEPT = ("tests/output",)


class GateFailed(Exception):
    """A gate's command failed; its output is the message."""


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None, seconds: int = 1500) -> str:
    """Run a command to its end and return what it printed. Raises: GateFailed."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        raise GateFailed(f"{' '.join(words)} did not end within {seconds} s:\n{late.output}") from None
    if done.returncode:
        raise GateFailed(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


_making: dict[str, threading.Lock] = defaultdict(threading.Lock)


def virtual_environment(name: str, *, python: str = sys.executable) -> Path:
    """The ``bin`` of a virtual environment with the pinned ``requirements-NAME.txt``, made where it is missing."""
    requirements = HERE / f"requirements-{name}.txt"
    venv = WORK / f"venv-{name}"
    made = venv / ".made-of"
    wanted = f"{python}\n{requirements.read_text()}"
    with _making[name]:
        if not made.exists() or made.read_text() != wanted:
            run(ROOT / "tests" / "setup" / "python.sh", python, venv, requirements)
            made.write_text(wanted)
    return venv / "bin"


def source_tree(name: str) -> Path:
    """All files of this checkout, but for ignored ones, as a tree that ansible-test takes.

    Runs of ansible-test side by side would write into each other's ``tests/output``: each has a tree of its name.
    """
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
    files = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    tree = _emptied(WORK / name)
    for name in files:
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    return _versioned(tree)


def artifact_tree(artifact: Path) -> Path:
    """The built artifact, unpacked as a tree that ansible-test takes."""
    tree = _emptied(WORK / "artifact")
    with tarfile.open(artifact) as packed:
        packed.extractall(tree, filter="data")
    # ansible-test asks it which Pythons the modules are for; without it all the old ones are meant.
    shutil.copy2(ROOT / "tests" / "config.yml", _made(tree / "tests") / "config.yml")
    return _versioned(tree)


def _emptied(root: Path) -> Path:
    tree = root / "ansible_collections" / "bonneville" / "vsphere"
    for path in sorted(tree.rglob("*"), reverse=True) if tree.exists() else ():
        inside = path.relative_to(tree).as_posix()
        if any(inside == kept or inside.startswith(f"{kept}/") or kept.startswith(f"{inside}/") for kept in KEPT):
            continue
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
    return _made(tree)


def _versioned(tree: Path) -> Path:
    """Without a repository of its own ansible-test would ask ours, which ignores the place."""
    (tree / ".gitignore").write_text("/tests/output/\n__pycache__/\n")
    run("git", "init", "--quiet", cwd=tree)
    run("git", "add", "--all", cwd=tree)
    return tree


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def ansible_test(tree: Path, *arguments: str, bin_: Path, python: str, path: Iterable[Path] = ()) -> str:
    """Run ansible-test with a home below .build/, where it keeps what it downloads."""
    home = _made(WORK / "home")
    cache = _made(home / ".ansible" / "test" / "cache")
    with _making["home"]:
        for version in ("24_2", "25_0", "25_2", "26_0"):
            shutil.copy2(HERE / "get_pip.py", cache / f"get_pip_{version}.py")
        _write_pip_conf(home, bin_=bin_)
    places = ":".join(str(one) for one in (bin_, *path))
    environment = {"HOME": str(home), "PATH": f"{places}:{os.environ['PATH']}", "PYTHONPATH": ""}
    return run(bin_ / "ansible-test", *arguments, "--python", python, cwd=tree, env=environment)


def _write_pip_conf(home: Path, *, bin_: Path) -> None:
    """ansible-test drops pip's environment variables, and a home of its own has no pip.conf: write them into one."""
    listed = run(bin_ / "python", "-m", "pip", "config", "list")
    settings: dict[str, str] = {}
    for line in listed.splitlines():
        name, _unused, value = line.partition("=")
        section, _unused, key = name.rpartition(".")
        # The environment's come last and count most, as with pip itself.
        if section in ("global", ":env:"):
            settings[key] = str(json.loads(f'"{value[1:-1]}"')) if value[:1] in "'\"" else value
    body = "\n".join(f"{key} = {value}" for key, value in settings.items())
    (_made(home / ".config" / "pip") / "pip.conf").write_text(f"[global]\n{body}\n")
