"""``make demo``: the collection's whole life on a vCenter lab, in a few minutes.

With ``--guests vm`` a shorter form of it, on virtual machines with kernels of their own.

Each act runs one of the playbooks beside this file with ansible-playbook, as a
user would, and then looks from outside whether it is true.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.table import Table

from tests.support.lab import Lab, running_lab
from tests.support.machines import Machine, differ, memory_table
from tests.support.modules import PlaybookRun, run_playbook
from tests.support.web import ask

HERE = Path(__file__).parent
console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


class DemoFailed(Exception):
    """Something that the demo shows was not true."""


def show(line: str) -> None:
    if line.strip():
        print(line, flush=True)


# What a clone must not have in common with its sibling, and the command that shows it.
WHO = {
    "a machine-id": "cat /etc/machine-id",
    "a boot id": "cat /proc/sys/kernel/random/boot_id",
    "a MAC": "cat /sys/class/net/eth0/address",
    "randomness": "head -c 16 /dev/urandom | base64",
}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The running lab, and where playbooks leave their results."""

    lab: Lab
    results: Path

    def play(self, name: str, *, arguments: tuple[str, ...] = (), quiet: bool = False, **variables: Any) -> PlaybookRun:
        """Run a playbook and show what it prints, or only of a failed one, which ends the demo."""
        console.print(f"[bold cyan]$ ansible-playbook {name}.yml[/] {' '.join(arguments)}")
        done = run_playbook(
            HERE / f"{name}.yml",
            environment=self.lab.environment,
            variables={"lab": dict(self.lab.ready), "results": str(self.results), **variables},
            arguments=arguments,
            seconds=900,  # a template of emulated processors takes minutes
            on_line=(lambda line: None) if quiet else show,
        )
        if done.code:
            for line in done.output.splitlines() if quiet else ():
                show(line)
            raise DemoFailed(f"{name}.yml failed")
        return done

    def result(self, name: str) -> dict[str, Any]:
        """The result that a playbook kept."""
        result: dict[str, Any] = json.loads((self.results / f"{name}.json").read_text())
        return result


@contextmanager
def act(title: str) -> Iterator[None]:
    """A heading before, the time that it took after."""
    console.rule(f"[bold]{title}", align="left")
    start = time.monotonic()
    yield
    console.print(f"[dim]{time.monotonic() - start:.1f} s[/]\n")


def expect(condition: bool, claim: str) -> None:
    """Say what holds; end the demo where it does not."""
    if not condition:
        raise DemoFailed(f"not true: {claim}")
    console.print(f"[green]✓[/] {claim}")


def show_containers(containers: list[dict[str, Any]]) -> None:
    """The table of containers, one row each."""
    table = Table("container", "VM", "host", "image", "address", "phase", "seconds", box=None, header_style="bold")
    for one in containers:
        vm, container = one["vm"], one["container"]
        seconds = one.get("seconds")
        table.add_row(
            one["name"],
            vm["moid"],
            vm["host"],
            container["image"],
            vm["ip"],
            one["phase"],
            "" if seconds is None else f"{seconds:.1f}",
        )
    console.print(table)


def ask_over_http(containers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every web container's answer, asked at its VM's own address."""
    answers = []
    for one in containers:
        answer = ask(f"http://{one['vm']['ip']}:8080/")
        console.print(f"  http://{one['vm']['ip']}:8080/ → {answer['hostname']}, GREETING={answer['env']['GREETING']}")
        answers.append(answer)
    return answers


def run(stage: Stage) -> None:
    lab = stage.lab
    with act("1. A template on every host"):
        stage.play("build_template")
        frozen = [vm for vm in lab.state()["vms"] if vm["frozen"]]
        expect(len(frozen) == len(lab.ready["hosts"]), f"{len(frozen)} template VMs are frozen, one on each host")

    with act("2. Six web containers and one more, each in a VM of its own"):
        stage.play("deploy")
        containers = stage.result("deployed")["containers"]
        show_containers(containers)
        expect(
            len({one["vm"]["host"] for one in containers}) == len(lab.ready["hosts"]), "they are spread over all hosts"
        )

    with act("3. Each answers over HTTP"):
        answers = ask_over_http(containers)
        expect(len({answer["hostname"] for answer in answers}) == 7, "seven different containers answered")

    with act("4. A job: its output and its exit code"):
        stage.play("job", quiet=True)
        job = stage.result("job")
        for line in job["container"]["output"].splitlines():
            console.print(f"  | {line}")
        expect(job["container"]["exit_code"] == 7, "the job ended with the exit code that it was told, 7")

    with act("5. The second run changes nothing"):
        recap = stage.play("deploy").recap
        expect(recap["changed"] == 0, "changed=0")

    with act("6. A changed value replaces one container, and the diff names it"):
        stage.play("deploy", arguments=("--diff",), greeting="hello again")
        replaced = stage.result("deployed")["containers"]
        kept = {one["vm"]["moid"] for one in containers} & {one["vm"]["moid"] for one in replaced}
        expect(len(kept) == 6, "front is a new VM; the six others are the same VMs as before")
        answers = ask_over_http([one for one in replaced if one["name"] == "front"])
        expect(answers[0]["env"]["GREETING"] == "hello again", "front has the new value")

    with act("7. A container killed from inside is reported"):
        victim = containers[0]
        requests.get(f"http://{victim['vm']['ip']}:8080/exit?code=3", timeout=10)
        info = wait_for_exit(stage, victim["name"])
        show_containers(stage.result("info")["containers"])
        expect(info["container"]["exit_code"] == 3, f"{victim['name']} is {info['phase']} with exit code 3")

    with act("8. Removal"):
        stage.play("remove")
        state = lab.state()
        ours = [vm["name"] for vm in state["vms"] if vm["extra_config"].get("bonneville.kind")]
        expect(not ours and state["guests"] == 0, "no VM and no guest is left")
        expect(not state["violations"], "nothing was destroyed that others depended on")


def run_short(stage: Stage) -> None:
    """The demo on guests of kind vm: few, for without KVM each costs an emulated processor's time."""
    lab = stage.lab
    with act("1. A template: a virtual machine, frozen while it runs"):
        stage.play("build_template")
        expect([vm["frozen"] for vm in lab.state()["vms"]] == [True], "the template VM is frozen")

    with act("2. Two clones of it, each with a container"):
        stage.play("deploy", replicas=1)
        containers = stage.result("deployed")["containers"]
        show_containers(containers)
        answers = ask_over_http(containers)
        expect(len({answer["hostname"] for answer in answers}) == 2, "two different containers answered")

    with act("3. What they are to each other"):
        clones = [Machine(lab=lab, name=one["name"]) for one in containers]
        for what, command in WHO.items():
            expect(differ(clones, command), f"each has {what} of its own")
        console.print(memory_table(lab, title="memory"), markup=False)

    with act("4. A job: its output and its exit code"):
        stage.play("job", quiet=True)
        expect(
            stage.result("job")["container"]["exit_code"] == 7, "the job ended with the exit code that it was told, 7"
        )

    with act("5. Removal"):
        stage.play("remove")
        state = lab.state()
        expect(not state["vms"] and state["guests"] == 0, "no VM and no guest is left")


def wait_for_exit(stage: Stage, name: str) -> dict[str, Any]:
    """Ask until the container's end is told; each question is a whole playbook run."""
    for _ in range(5):
        stage.play("inspect", quiet=True)
        found: dict[str, Any] = next(one for one in stage.result("info")["containers"] if one["name"] == name)
        if found["phase"] == "exited":
            return found
    raise DemoFailed(f"{name} ended, and its end was not told")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guests", choices=("docker", "vm"), default="docker")
    guests = parser.parse_args().guests
    hosts, show = (1, run_short) if guests == "vm" else (3, run)
    start = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as results:
            console.rule(f"[bold]0. A vCenter lab, ESXi hosts: {hosts}", align="left")
            with running_lab(guests=guests, hosts=hosts, verbose=True) as lab:
                console.print(f"[dim]{time.monotonic() - start:.1f} s[/]\n")
                show(Stage(lab=lab, results=Path(results)))
    except (DemoFailed, subprocess.TimeoutExpired) as failure:
        console.print(f"[red]✗ {failure}")
        return 1
    console.print(f"[bold green]That was all of it, in {time.monotonic() - start:.0f} s.[/] Nothing is left running.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
