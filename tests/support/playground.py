"""``make lab``: a lab to play with by hand, until Ctrl-C."""

from __future__ import annotations

import argparse
import shlex
import signal

from tests.support.lab import running_lab


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guests", choices=("docker", "vm", "scripted"), default="docker")
    parser.add_argument("--hosts", type=int, default=3)
    options = parser.parse_args()
    with running_lab(guests=options.guests, hosts=options.hosts, verbose=True) as lab:
        print("The lab is ready. In another terminal:\n")
        for name, value in lab.environment.items():
            print(f"  export {name}={shlex.quote(value)}")
        where = [f"{kind} '{lab.ready[kind]}'" for kind in ("cluster", "datastore", "network")]
        print(f"\n  {', '.join(where)}")
        print(f"  OVA for photon_template: {lab.ready['ova']}")
        print(f"  images: {', '.join(lab.ready.get('images', {}).values()) or 'none'}")
        print(f"  control API: {lab.ready['control']}/state\n\nCtrl-C ends it and removes everything.", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
