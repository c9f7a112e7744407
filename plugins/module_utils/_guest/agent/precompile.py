# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Put the agent's byte code beside its sources, so that no start of a clone has to compile them."""

from __future__ import annotations

import importlib.util
import io
import marshal
import zipfile

from . import places, state

# PEP 552: hash-based, not to be checked against the source.
_UNCHECKED = (1).to_bytes(4, "little")


def precompile(path: str = places.PYZ) -> bool:
    """Rewrite the zipapp, stored rather than deflated; False when it already was, or is not there.

    A Python with another magic number falls back to the sources.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sources = {name: archive.read(name) for name in archive.namelist() if name.endswith(".py")}
            compiled = any(name.endswith(".pyc") for name in archive.namelist())
    except (FileNotFoundError, zipfile.BadZipFile):
        return False
    if compiled:
        return False
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, source in sorted(sources.items()):
            archive.writestr(name, source)
            code = marshal.dumps(compile(source, f"{path}/{name}", "exec", dont_inherit=True))
            head = importlib.util.MAGIC_NUMBER + _UNCHECKED + importlib.util.source_hash(source)
            archive.writestr(name + "c", head + code)
    state.write(path, target.getvalue(), mode=0o755)
    return True
