"""``make bench``: everything side by side on one lab, into a table, a plot and JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.contest import PEER, contest
from benchmarks.plan import SETTINGS, play_round
from benchmarks.tables import page
from tests.support.lab import BUILD, ROOT

HERE = Path(__file__).parent
ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the peer's long cells, too")
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks.*, not .build/bench/benchmarks.*")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="samples of each cell (%(default)s)")
    parser.add_argument(
        "--only", action="append", default=[], help="the lab of this name alone, beside what is known of the others"
    )
    options = parser.parse_args()
    place = ROOT / "docs" if options.docs else BUILD / "bench"
    known = place / "benchmarks.json"
    results: dict[str, Any] = json.loads(known.read_text()) if options.only and known.exists() else {}
    results = {"machine": machine(), "samples": results.get("samples", [])}
    for setting in SETTINGS:
        if options.only and setting.name not in options.only:
            continue
        with (
            tempfile.TemporaryDirectory(prefix="bonneville-bench-") as scratch,
            contest(name=setting.name, vms=setting.vms, delay_ms=setting.delay_ms, scratch=Path(scratch)) as run,
        ):
            for run.round in range(options.rounds):
                play_round(run, setting, full=options.full)
        others = [sample for sample in results["samples"] if sample["lab"] != setting.name]
        results["samples"] = others + [sample.document() for sample in run.samples]
        known.write_text(json.dumps(results, indent=1) + "\n")
    write(results, place)


def write(results: dict[str, Any], place: Path) -> None:
    """What is made from the figures."""
    text = page(results)
    (place / "benchmarks.md").write_text(text)
    subprocess.run(
        [str(BUILD / "bench" / "plot" / "bin" / "python"), str(HERE / "plot.py"), str(place / "benchmarks.json")],
        check=True,
    )
    print(text)
    print(f"written to {os.path.relpath(place)}/benchmarks.md, .svg, .png and .json")


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    known = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next(line.partition(":")[2].strip() for line in known if line.startswith("model name"))
    peer = subprocess.run(
        [str(PEER / "ansible-galaxy"), "collection", "list", "community.vmware", "--format", "json"],
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(BUILD / "bench" / "no-collections")},
        capture_output=True,
        check=True,
    )
    (found,) = json.loads(peer.stdout).values()
    return {
        "cpu": f"{os.cpu_count()} × {cpu}",
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": platform.freedesktop_os_release()["PRETTY_NAME"],
        "python": platform.python_version(),
        "ansible_core": version("ansible-core"),
        "pyvmomi": version("pyvmomi"),
        "community_vmware": found["community.vmware"]["version"],
        "load_before": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    main()
