# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sealing key, and what was sealed to it.

The private half lives on tmpfs only, and in the memory of openssl while that runs.
Nothing decrypted touches a file with a name: openssl writes plaintext before it has
verified it, which is believed only after its exit code.
"""

from __future__ import annotations

import base64
import os
import zlib

from . import places
from .problem import Problem
from .wipe import run_wiped

_BITS = 3072
# The sealed form has 48 KiB; what unpacks to far more is no spec.
_PLAIN_LIMIT = 4 * 1024 * 1024


def make_key() -> str:
    """Make a fresh key pair; returns the public half (base64 DER SubjectPublicKeyInfo). Raises Problem."""
    os.makedirs(places.RUN, mode=0o700, exist_ok=True)
    erase_key()
    # The file is there, and for root only, before openssl writes into it.
    os.close(os.open(places.KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    size = f"rsa_keygen_bits:{_BITS}"
    made = run_wiped(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", size, "-out", places.KEY])
    public = run_wiped(["openssl", "pkey", "-in", places.KEY, "-pubout", "-outform", "DER"])
    if made.code or public.code:
        erase_key()
        raise Problem("internal", f"openssl cannot make a key: {made.said if made.code else public.said}")
    return base64.b64encode(public.out).decode()


def erase_key() -> None:
    """Overwrite and remove the private key; nothing happens where there is none."""
    try:
        with open(places.KEY, "r+b", buffering=0) as file:
            file.write(bytes(os.fstat(file.fileno()).st_size))
    except FileNotFoundError:
        return
    os.unlink(places.KEY)


def unseal(sealed: str) -> bytes:
    """The plaintext of a sealed document; raises Problem ``unseal_failed``."""
    try:
        message = base64.b64decode(sealed, validate=True)
    except ValueError as error:
        raise Problem("unseal_failed", f"the sealed document is no base64: {error}") from error
    if not os.path.exists(places.KEY):
        raise Problem("unseal_failed", "this VM no longer has the key that the document was sealed to")
    opened = run_wiped(["openssl", "cms", "-decrypt", "-inform", "DER", "-inkey", places.KEY, "-binary"], data=message)
    if opened.code:
        raise Problem("unseal_failed", f"openssl refuses the sealed document: {opened.said}")
    unpack = zlib.decompressobj(wbits=31)
    try:
        plain = unpack.decompress(opened.out, _PLAIN_LIMIT)
    except zlib.error as error:
        raise Problem("unseal_failed", f"the sealed document does not unpack: {error}") from error
    if not unpack.eof:
        raise Problem("unseal_failed", "the sealed document is cut off or too large")
    return plain
