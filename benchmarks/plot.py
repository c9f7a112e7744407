"""The plot, from the JSON: 25 clones by everyone, in seconds and in calls, over the size of the inventory."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

FLOOR = "floor + ping"
WHO = {
    FLOOR: "#9aa0a6",
    "this collection": "#1a73e8",
    "peer, hosts": "#f29900",
    "peer, loop": "#d93025",
}
LABELS = {"peer, hosts": "community.vmware, 25 hosts", "peer, loop": "community.vmware, loop"}


def values(samples: list[dict[str, Any]], what: str) -> dict[str, dict[int, float]]:
    """Medians by contestant and number of VMs, of labs without delay."""
    found: dict[tuple[str, int], list[float]] = {}
    for one in samples:
        words = one["lab"].split()
        if len(words) == 2 and one["cell"] in ("clone 25", "ping"):
            found.setdefault((one["contestant"], int(words[0])), []).append(one[what])
    middle = {key: median(ones) for key, ones in found.items()}
    by_who: dict[str, dict[int, float]] = {who: {} for who in WHO}
    for (who, vms), value in middle.items():
        if who in by_who:
            by_who[who][vms] = value
    for vms in {vms for _, vms in middle}:
        floors = [middle[who, vms] for who in ("floor, 1 thread", "floor, 8 threads") if (who, vms) in middle]
        if floors:
            by_who[FLOOR][vms] = min(floors) + middle.get(("ping", vms), 0)
    return by_who


def main() -> None:
    source = Path(sys.argv[1])
    samples = json.loads(source.read_text())["samples"]
    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10, "svg.hashsalt": "bonneville"})
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for panel, what, title in zip(panels, ("wall", "calls"), ("seconds", "API calls"), strict=True):
        draw(panel, values(samples, what), "{:.1f}" if what == "wall" else "{:,.0f}")
        panel.set_title(f"25 instant clones: {title}", loc="left", fontweight="bold")
    panels[0].legend(frameon=False, fontsize=9, loc="upper left")
    # The same samples make the same file.
    figure.savefig(source.with_suffix(".svg"), metadata={"Date": None})
    figure.savefig(source.with_suffix(".png"), dpi=150, metadata={"Software": None})


def draw(panel: Any, by_who: dict[str, dict[int, float]], form: str) -> None:
    sizes = sorted({vms for values in by_who.values() for vms in values})
    width = 0.8 / len(WHO)
    for number, (who, colour) in enumerate(WHO.items()):
        at = [place + (number - (len(WHO) - 1) / 2) * width for place, vms in enumerate(sizes) if vms in by_who[who]]
        heights = [by_who[who][vms] for vms in sizes if vms in by_who[who]]
        bars = panel.bar(at, heights, width * 0.92, color=colour, label=LABELS.get(who, who))
        panel.bar_label(bars, [form.format(height) for height in heights], fontsize=8, padding=2)
    if not sizes:
        return
    panel.set_yscale("log")
    panel.margins(y=0.25)
    panel.set_xticks(range(len(sizes)), [f"{vms:,} VMs in vCenter" for vms in sizes])
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(axis="x", length=0)


if __name__ == "__main__":
    main()
