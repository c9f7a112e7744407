"""Run the collection's modules and playbooks as Ansible does, and hand back what they said."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.lab import BUILD, ROOT

COLLECTION = "ansible_collections.bonneville.vsphere.plugins.modules"


def run_module(
    name: str,
    options: Mapping[str, Any],
    *,
    check: bool = False,
    diff: bool = True,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a module in this process and return its result, failed or not.

    Only the transport is left out: argument spec, redaction and exit are the
    real ones. In-process saves the second that a process of its own costs.
    """
    from ansible.module_utils.common import warnings
    from ansible.module_utils.testing import patch_module_args

    warnings._global_warnings.clear()  # which a process of its own would not have
    module = importlib.import_module(f"{COLLECTION}.{name}")
    ours = signal.getsignal(signal.SIGTERM)
    arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": diff}
    printed = io.StringIO()
    try:
        with patched_environment(environment or {}), patch_module_args(arguments), contextlib.redirect_stdout(printed):
            module.main()
    except SystemExit as end:
        # Whoever ends the tests ends the module in them, too; that is no result.
        if not isinstance(end.code, int):
            raise
    finally:
        signal.signal(signal.SIGTERM, ours)
    lines = printed.getvalue().strip().splitlines()
    if not lines:
        raise AssertionError(f"{name} printed no result")
    result: dict[str, Any] = json.loads(lines[-1])
    return result


@contextlib.contextmanager
def patched_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the time of the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@dataclass(frozen=True, kw_only=True)
class PlaybookRun:
    """What an ansible-playbook process said."""

    code: int
    output: str

    @property
    def recap(self) -> dict[str, int]:
        """The counters of the one host in PLAY RECAP."""
        line = next(line for line in reversed(self.output.splitlines()) if "ok=" in line and "changed=" in line)
        pairs = (word.split("=") for word in line.split() if "=" in word)
        return {name: int(value) for name, value in pairs}


def run_playbook(
    playbook: Path,
    *,
    environment: Mapping[str, str],
    variables: Mapping[str, Any] | None = None,
    arguments: tuple[str, ...] = (),
    seconds: int = 300,
    cwd: Path = ROOT,
    inventory: str = "localhost,",
    on_line: Callable[[str], None] = lambda line: None,
) -> PlaybookRun:
    """Run ansible-playbook as a user does, with the collection found by its name.

    ``on_line`` hears each line as it is printed. Raises: TimeoutExpired.
    """
    command = ["ansible-playbook", "-i", inventory, "-c", "local", str(playbook), *arguments]
    if variables:
        command += ["-e", json.dumps(variables)]
    lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, **ansible_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        alarm = threading.Timer(seconds, end)
        alarm.start()
        try:
            for line in process.stdout or ():
                lines.append(line)
                on_line(line.rstrip("\n"))
        finally:
            alarm.cancel()
    output = "".join(lines)
    if late.is_set():
        raise subprocess.TimeoutExpired(command, seconds, output)
    return PlaybookRun(code=process.returncode, output=output)


def ansible_environment() -> dict[str, str]:
    """What makes Ansible use this checkout and keep its files below .build/."""
    return {
        "PATH": f"{BUILD / 'venv' / 'bin'}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "collections"),
        "ANSIBLE_HOME": str(BUILD / "ansible"),
        "ANSIBLE_PYTHON_INTERPRETER": str(BUILD / "venv" / "bin" / "python"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
    }
