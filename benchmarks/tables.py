"""From samples to what a reader wants to know: medians, ratios of the same round, and whether aims are met."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.contest import FLOOR_1, FLOOR_8, HOSTS, LOOK, LOOP, MODULE, PING

HEAD = """# Benchmarks

Made by `make bench-full`, which writes this page, its plot and [its figures](benchmarks.json); single labs are measured
anew by `python -m benchmarks --docs --only LAB`. `make bench` does the same without the peer's long cells, into
`.build/bench/`. What was not measured is left empty.

![25 clones](benchmarks.svg)
"""

HOW = """
## What is measured, and how

- All run against the same [lab](../tests/lab/README.md), a vCenter simulator that carries out Instant Clone as vSphere
  documents it; guests are scripted and answer at once. So the figures show what the *controller's side* costs: a real
  vCenter adds its own time to each clone, and the same for everyone.
- **This collection**: `ansible-playbook` with one task, `instant_clone_container` with `replicas`. Beside cloning it
  reads what stands, seals a spec for each guest, waits for each guest's word, writes its note in vCenter and reads
  back what came out. None of the others does that.
- **Peer**: `community.vmware.vmware_guest_instant_clone` of the `ansible` package, with the same ansible-core, pyVmomi
  and Python, as a `loop:`, and as 25 inventory hosts with `forks=25`. It is removed by `vmware_guest`.
- **Floor**: a bare pyVmomi script that knows all ids beforehand ([floor.py](../benchmarks/floor.py)): one login, all
  clone tasks at once by 1 or 8 threads, one wait. **Ping** is an `ansible-playbook` with one `ping` task: what Ansible
  itself costs. *Login and read* is a bare script, too.
- Wall time and processor time are of the whole process tree, from its start to its end. Memory is the peak resident
  set of the largest module process. Calls are counted by the lab.
- Every round lets all of them take turns; a ratio is taken within its round, and the median of the rounds is shown.
  After each process the lab is asked whether it did what it was to do.
- The lab itself runs on the same processors, and takes a share of them from everyone.
"""

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Samples:
    """Samples by lab, contestant and cell, in the order of their rounds."""

    by_key: Mapping[Key, tuple[Mapping[str, Any], ...]]

    @classmethod
    def of(cls, samples: Iterable[Mapping[str, Any]]) -> Samples:
        found: dict[Key, list[Mapping[str, Any]]] = {}
        for one in sorted(samples, key=lambda sample: sample["round"]):
            found.setdefault((one["lab"], one["contestant"], one["cell"]), []).append(one)
        return cls({key: tuple(ones) for key, ones in found.items()})

    def labs(self) -> list[str]:
        return list(dict.fromkeys(lab for lab, _, _ in self.by_key))

    def cells(self, lab: str) -> list[str]:
        return list(dict.fromkeys(cell for where, who, cell in self.by_key if where == lab and who == MODULE))

    def each(self, lab: str, who: str, cell: str, what: str = "wall") -> list[float]:
        return [one[what] for one in self.by_key.get((lab, who, cell), ()) if what in one]

    def middle(self, lab: str, who: str, cell: str, what: str = "wall") -> float | None:
        values = self.each(lab, who, cell, what)
        return median(values) if values else None

    def yardstick(self, lab: str, cell: str, what: str = "wall") -> list[float]:
        """By round: the least that Ansible and the work itself cost together."""
        ping = self.each(lab, PING, "ping", what)
        if cell.startswith("again"):
            work = self.each(lab, LOOK, cell, what)
        else:
            floors = (self.each(lab, who, cell, what) for who in (FLOOR_1, FLOOR_8))
            work = [min(pair) for pair in zip(*floors, strict=True)]
        return [one + other for one, other in zip(ping, work, strict=False)]

    def over(self, lab: str, cell: str, what: str = "wall") -> float | None:
        """Our time over the yardstick's."""
        return _ratio(self.each(lab, MODULE, cell, what), self.yardstick(lab, cell, what))

    def faster(self, lab: str, cell: str, who: str) -> float | None:
        """A peer's time over ours."""
        return _ratio(self.each(lab, who, cell), self.each(lab, MODULE, cell))


def page(results: Mapping[str, Any]) -> str:
    """The whole of docs/benchmarks.md."""
    samples = Samples.of(results["samples"])
    return "\n".join([HEAD, _aims(samples), _times(samples), _costs(samples), _parts(samples), HOW, _machine(results)])


def _ratio(ours: list[float], theirs: list[float]) -> float | None:
    ratios = [one / other for one, other in zip(ours, theirs, strict=False)]
    return median(ratios) if ratios else None


def _times(samples: Samples) -> str:
    head = (
        "| lab | what | floor, 1 thread | floor, 8 threads | ping | **this collection** | over the least | "
        "peer, loop | slower by | peer, 25 hosts | slower by |"
    )
    rows = ["## Seconds", "", head, "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for lab in samples.labs():
        for cell in samples.cells(lab):
            floor = [samples.middle(lab, who, cell) for who in (FLOOR_1, FLOOR_8)]
            if cell.startswith("again"):
                floor = [samples.middle(lab, LOOK, cell), None]
            values = [
                *map(_seconds, floor),
                _seconds(samples.middle(lab, PING, "ping")),
                f"**{_seconds(samples.middle(lab, MODULE, cell))}**",
                _times_of(samples.over(lab, cell)),
            ]
            for peer in (LOOP, HOSTS):
                values += [
                    _seconds(samples.middle(lab, peer, cell)),
                    _times_of(samples.faster(lab, cell, peer)),
                ]
            rows.append(f"| {lab} | {cell} | " + " | ".join(values) + " |")
    rows += [
        "",
        "*over the least*: our time over that of the faster floor and of `ping` together; for *again*, which finds "
        "nothing to do, over a login, one read and `ping`. *slower by*: the peer's time over ours.",
    ]
    return "\n".join(rows) + "\n"


def _costs(samples: Samples) -> str:
    rows = [
        "## Calls, processor time, memory",
        "",
        "| lab | what | calls: floor | **this collection** | peer, loop | peer, hosts | CPU s: floor + ping | "
        "**this collection** | peer, loop | peer, hosts | module's memory, MiB: **this collection** | peer |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for lab in samples.labs():
        for cell in samples.cells(lab):
            bare = LOOK if cell.startswith("again") else FLOOR_8
            cpu, ping = samples.middle(lab, bare, cell, "cpu"), samples.middle(lab, PING, "ping", "cpu")
            memory = [samples.middle(lab, who, cell, "module_rss_mb") for who in (LOOP, HOSTS)]
            values = [
                _count(samples.middle(lab, bare, cell, "calls")),
                f"**{_count(samples.middle(lab, MODULE, cell, 'calls'))}**",
                *(_count(samples.middle(lab, peer, cell, "calls")) for peer in (LOOP, HOSTS)),
                _seconds(cpu + ping if cpu is not None and ping is not None else None),
                f"**{_seconds(samples.middle(lab, MODULE, cell, 'cpu'))}**",
                *(_seconds(samples.middle(lab, peer, cell, "cpu")) for peer in (LOOP, HOSTS)),
                _bold(_count(samples.middle(lab, MODULE, cell, "module_rss_mb"))),
                _count(max((one for one in memory if one is not None), default=None)),
            ]
            rows.append(f"| {lab} | {cell} | " + " | ".join(values) + " |")
    return "\n".join(rows) + "\n"


def _parts(samples: Samples) -> str:
    """Where our processor time goes, as far as it can be seen from outside."""
    lab = next((lab for lab in samples.labs() if samples.middle(lab, MODULE, "again 1", "module_cpu")), "")
    if not lab:
        return ""
    rows = [
        "## Where this collection's time goes",
        "",
        f"Processor seconds, with {lab}.",
        "",
        "| what | Ansible, as for `ping` | the payload: finding and packing the module's sources | the module's start, "
        "as for `ping` | its own imports and work | of which a bare script needs |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for cell in samples.cells(lab):
        bare = LOOK if cell.startswith("again") else FLOOR_1
        known = [
            samples.middle(lab, PING, "ping", "cpu"),
            samples.middle(lab, PING, "ping", "module_cpu"),
            samples.middle(lab, MODULE, cell, "cpu"),
            samples.middle(lab, MODULE, cell, "module_cpu"),
        ]
        if None in known:
            continue
        ping, ping_module, ours, module = (value or 0.0 for value in known)
        values = [ping - ping_module, (ours - module) - (ping - ping_module), ping_module, module - ping_module]
        shown = [*map(_seconds, values), _seconds(samples.middle(lab, bare, cell, "cpu"))]
        rows.append(f"| {cell} | " + " | ".join(shown) + " |")
    rows += [
        "",
        "Ansible parses every source file that a module may import, and packs them into the payload, at each run; "
        "the module's process then compiles what it imports. So both grow with the size of the code, and a run that "
        "finds nothing to do imports only what it needs for that.",
    ]
    return "\n".join(rows) + "\n"


def _aims(samples: Samples) -> str:
    """Each aim with what was measured."""
    rows = ["## Aims", "", "| aim | measured | |", "|---|---|---|"]

    def add(
        text: str, found: Mapping[str, float | None], met: Callable[[float], bool], show: Callable[[float], str]
    ) -> None:
        known = {lab: value for lab, value in found.items() if value is not None}
        if known:
            said = "; ".join(f"{show(value)} ({lab})" for lab, value in known.items())
            rows.append(f"| {text} | {said} | {'met' if all(map(met, known.values())) else '**not met**'} |")

    quick = [lab for lab in samples.labs() if " ms" not in lab and "clones" not in lab]
    slow = [lab for lab in samples.labs() if " ms" in lab]
    many = [lab for lab in samples.labs() if "clones" in lab]
    add(
        "25 clones: at most 1.3 × (floor + ping)",
        {lab: samples.over(lab, "clone 25") for lab in quick}, lambda value: value <= 1.3, _times_of,
    )  # fmt: skip
    for lab, loop, hosts in (("100 VMs", 25, 7), ("1000 VMs", 50, 25)):
        for who, least in ((LOOP, loop), (HOSTS, hosts)):
            add(
                f"25 clones: at least {least} × faster than the {who.replace(', ', ' as ')}",
                {lab: samples.faster(lab, "clone 25", who)}, lambda value, least=least: value >= least, _times_of,
            )  # fmt: skip
    add(
        "nothing to do: at most 1.2 × (login, one read, ping)",
        {lab: samples.over(lab, "again 25") for lab in quick}, lambda value: value <= 1.2, _times_of,
    )  # fmt: skip
    calls = {lab: samples.middle(lab, MODULE, "clone 25", "calls") for lab in quick + slow}
    add("25 clones: at most 2 × 25 + 20 = 70 calls", calls, lambda value: value <= 70, _count)
    ends = [value for lab in ("100 VMs", "5000 VMs") if (value := calls.get(lab)) is not None]
    if len(ends) == 2:
        apart = abs(ends[0] - ends[1])
        add(
            "the same number of calls (± 3) at 100 and at 5,000 VMs",
            {"difference": apart},
            lambda value: value <= 3,
            _count,
        )
    for lab in many:
        few, more = (samples.each(lab, MODULE, f"clone {count}") for count in (100, 1000))
        growth = _ratio([one / 1000 for one in more], [one / 100 for one in few])
        add("1,000 clones: time for each no higher than at 100", {lab: growth}, lambda value: value <= 1, _times_of)
        memory = samples.middle(lab, MODULE, "clone 1000", "module_rss_mb")
        add(
            "1,000 clones: the module under 150 MiB",
            {lab: memory},
            lambda value: value < 150,
            lambda value: f"{value:.0f} MiB",
        )
    add(
        "25 clones with 20 ms delay: within 1.5 × of the floor with 8 threads and ping",
        {lab: _ratio(samples.each(lab, MODULE, "clone 25"), _sums(samples, lab)) for lab in slow},
        lambda value: value <= 1.5, _times_of,
    )  # fmt: skip
    rows.append("")
    for title, cell in (("25 clones", "clone 25"), ("nothing to do", "again 25")):
        told = [f"{value:.2f} × ({lab})" for lab in quick if (value := samples.over(lab, cell, "cpu")) is not None]
        if told:
            rows.append(
                f"In processor time, which other work on the machine disturbs less, {title}: {'; '.join(told)}."
            )
    return "\n".join(rows) + "\n"


def _sums(samples: Samples, lab: str) -> list[float]:
    pairs = zip(samples.each(lab, PING, "ping"), samples.each(lab, FLOOR_8, "clone 25"), strict=True)
    return [ping + floor for ping, floor in pairs]


def _machine(results: Mapping[str, Any]) -> str:
    one = results["machine"]
    rounds: dict[str, int] = {}
    for sample in results["samples"]:
        rounds[sample["lab"]] = max(rounds.get(sample["lab"], 0), sample["round"] + 1)
    counts = "; ".join(f"{lab}: {count}" for lab, count in rounds.items())
    return (
        f"Measured on {one['cpu']}, {one['memory_gb']} GiB, {one['system']}, with Python "
        f"{one['python']}, ansible-core {one['ansible_core']}, pyVmomi {one['pyvmomi']} and community.vmware "
        f"{one['community_vmware']}; load before the run {one['load_before']}. Rounds: {counts}.\n"
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _times_of(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} ×" if value < 10 else f"{value:.0f} ×"


def _bold(text: str) -> str:
    return f"**{text}**" if text else ""


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
