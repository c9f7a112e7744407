"""What is measured: the labs, and what every contestant does in each of them."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.contest import FLOOR_1, FLOOR_8, HOSTS, LOOP, Contest


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A lab: how many VMs of others it holds, and how many milliseconds each call takes longer.

    ``peer`` are the peer's forms with their numbers of clones, and whether it is
    asked again and removes them as well, as far as a short run has the time for
    it; ``long`` is what a full run does instead.
    """

    vms: int
    delay_ms: int = 0
    counts: tuple[int, ...] = (1, 25)
    peer: tuple[tuple[str, int, bool], ...] = ()
    long: tuple[tuple[str, int, bool], ...] = ()

    @property
    def name(self) -> str:
        many = f", {max(self.counts)} clones" if max(self.counts) > 25 else ""
        return f"{self.vms} VMs" + (f", {self.delay_ms} ms" if self.delay_ms else "") + many


SETTINGS = (
    Setting(
        vms=100,
        peer=((LOOP, 1, True), (HOSTS, 25, False), (LOOP, 25, False)),
        long=((LOOP, 1, True), (HOSTS, 25, True), (LOOP, 25, True)),
    ),
    Setting(vms=1000, peer=((LOOP, 1, False),), long=((LOOP, 1, True), (HOSTS, 25, True), (LOOP, 25, False))),
    Setting(vms=5000, long=((LOOP, 1, False),)),
    Setting(vms=100, delay_ms=20, long=((LOOP, 1, True), (HOSTS, 25, False))),
    Setting(vms=1000, delay_ms=20),
    Setting(vms=5000, delay_ms=20),
    Setting(vms=100, counts=(100, 1000)),
)


def play_round(contest: Contest, setting: Setting, *, full: bool) -> None:
    """One round: everyone in turn, so that whatever else the machine does meets them all."""
    contest.ping()
    for count in setting.counts:
        for floor in (FLOOR_1, FLOOR_8):
            contest.floor(floor, count)
        contest.clone(count)
        contest.look(count)
        contest.again(count)
        contest.remove(count)
    for form, count, everything in (full and setting.long) or setting.peer:
        contest.peer(form, count, everything=everything)
