"""In a module's process: write down at its end what it took. Other Pythons that find this do nothing.

A module is a file of Ansible's, or comes through a pipe to a Python that has no arguments.
"""

import sys

if len(sys.orig_argv) == 1 or any("AnsiballZ_" in word for word in sys.orig_argv):
    import atexit
    import os
    import resource
    import time

    def _tell(began: float = time.monotonic()) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        line = f"{time.monotonic() - began} {used.ru_utime + used.ru_stime} {used.ru_maxrss}\n"
        with open(os.environ["BENCHMARK_PROBE"], "a", encoding="ascii") as file:
            file.write(line)

    if os.environ.get("BENCHMARK_PROBE"):
        atexit.register(_tell)
