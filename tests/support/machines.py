"""What can be seen of guests of kind vm: from inside by their vmtoolsd, and from outside by the lab."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.support.lab import Lab

_MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a pattern stands in a guest's memory, and what follows it."""

    pattern: bytes
    at: int
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A powered-on VM of a lab, by its name."""

    lab: Lab
    name: str

    def run(self, command: str) -> str:
        """Run a shell command in the guest, as root, and give what it printed; raises when it fails."""
        answer = self.lab.control("POST", f"/guests/{self.name}/run", ["sh", "-c", command])
        if answer["code"]:
            raise RuntimeError(f"{self.name}: {shlex.quote(command)} ended with {answer['code']}: {answer['out']}")
        return str(answer["out"]).strip()

    def find(self, *patterns: bytes, length: int = 0) -> list[Place]:
        """Every place in the guest's memory that begins with one of ``patterns``, at least ``length`` bytes of each."""
        order = {"hex": [pattern.hex() for pattern in patterns], "length": length}
        return [
            Place(pattern=patterns[one["pattern"]], at=one["at"], content=bytes.fromhex(one["hex"]))
            for one in self.lab.control("POST", f"/guests/{self.name}/find", order)
        ]

    @property
    def spoken(self) -> set[str]:
        """The MACs that it has sent from since it was powered on or cloned."""
        return set(self.lab.control("GET", f"/guests/{self.name}/spoken") or ())


def memory_table(lab: Lab, *, title: str) -> str:
    """What each VM takes of the host's memory, in MiB; "own" is the guest's memory that it has written to."""
    figures: Mapping[str, Mapping[str, int]] = lab.control("GET", "/guests/memory")
    kinds = ("resident", "private", "shared", "own")
    rows = [f"{title}: MiB by smaps", f"  {'VM':<24}" + "".join(f"{kind:>10}" for kind in kinds)]
    rows += [
        f"  {name:<24}" + "".join(f"{figures[name][kind] // _MIB:>10}" for kind in kinds) for name in sorted(figures)
    ]
    return "\n".join(rows)


def differ(machines: Iterable[Machine], command: str) -> bool:
    """Whether a command prints something else in each of the machines, and something at all."""
    said = [machine.run(command) for machine in machines]
    return all(said) and len(set(said)) == len(said)
