# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load, before the freeze, what the first container of a boot would load in every clone."""

from __future__ import annotations

import io
import tarfile

from .engine import Engine, EngineError
from .unixhttp import HttpError

_NAME = "bonneville-warm-up"
_MISSING = "/bonneville-warm-up"


def warm(engine: Engine) -> str:
    """Take one container up to the point where its process would begin; returns "" or what went wrong.

    Its image is one empty folder, its command does not exist: no program of the
    user's runs and none is needed, yet the overlay is mounted, the bridge has an
    endpoint, firewall rules are written, and containerd, its shim and runc are in
    the page cache, with every kernel module that these need.
    """
    try:
        engine.remove(_NAME)
        engine.import_image(_empty_tar(), _NAME)
        try:
            container = engine.create(_NAME, {"Image": _NAME, "Cmd": [_MISSING]})
            try:
                engine.start(container)
            except EngineError as error:
                # Only the last step may fail.
                if _MISSING not in str(error):
                    return f"the template was not warmed: {error}"
            finally:
                engine.remove(container)
        finally:
            engine.remove_image(_NAME)
    except (EngineError, HttpError) as error:
        return f"the template was not warmed: {error}"
    return ""


def _empty_tar() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(folder)
    return target.getvalue()
