"""Stands in for the get-pip.py that ansible-test wants to download, whose host may be out of reach.

The pip that Python itself carries comes first, then what was asked of it.
"""

from __future__ import annotations

import subprocess
import sys

options = [one for one in sys.argv[1:] if one not in ("--no-setuptools", "--no-wheel")]
subprocess.run([sys.executable, "-m", "ensurepip", "--default-pip"], check=True)
subprocess.run([sys.executable, "-m", "pip", "install", *options], check=True)
