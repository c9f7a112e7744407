# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Seal a document to a template's key, so that vCenter only ever holds ciphertext.

The form is CMS AuthEnvelopedData (RFC 5083): a fresh AES-256-GCM key (RFC 5084)
for the content, wrapped by RSA-OAEP with SHA-256 (RFC 8017) for one recipient
that is named by its key's id. ``openssl cms -decrypt`` in the guest opens it and
refuses a changed message. ``cryptography`` builds only CBC envelopes, which
nothing authenticates, hence the few lines of DER here.

Sealing says nothing of the sender: that is vCenter's right to clone.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
from typing import TYPE_CHECKING

from .._errors import BonnevilleError, SealBroken, SpecTooLarge
from .protocol import SEALED_LIMIT

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_LEAST_BITS = 2048

_SEQUENCE, _SET, _INTEGER, _OCTETS, _OID = 0x30, 0x31, 0x02, 0x04, 0x06
_DATA = "1.2.840.113549.1.7.1"
_AUTH_ENVELOPED = "1.2.840.113549.1.9.16.1.23"
_RSAES_OAEP = "1.2.840.113549.1.1.7"
_MGF1 = "1.2.840.113549.1.1.8"
_SHA256 = "2.16.840.1.101.3.4.2.1"
_AES256_GCM = "2.16.840.1.101.3.4.1.46"


def fingerprint(key: str) -> str:
    """``SHA256:`` and the hex digest of a public key (base64 DER SubjectPublicKeyInfo), for messages and marks.

    Raises SealBroken when ``key`` is no base64.
    """
    return "SHA256:" + hashlib.sha256(_der(key)).hexdigest()


def verify_key(*, recorded: str, published: str, obj: str) -> None:
    """Refuse a template whose published sealing key is not the one in its marks; raises SealBroken.

    An empty ``published`` is accepted: what a guest sets is gone with a vCenter
    restart or migration, while the mark stays.
    """
    if published and fingerprint(recorded) != fingerprint(published):
        raise SealBroken(
            "Refusing to seal for template VM",
            obj=obj,
            why=f"its marks record the key {fingerprint(recorded)}, its guest publishes {fingerprint(published)}",
            next_step="Find out who changed either, then rebuild the template VM",
        )


def seal(plaintext: bytes, *, key: str, obj: str) -> str:
    """Compress and encrypt ``plaintext`` to ``key`` (base64 DER SubjectPublicKeyInfo, RSA); the result is base64.

    ``obj`` names, in errors, what is being sealed. Raises SpecTooLarge when the
    result is over 48 KiB, SealBroken when the key is none.
    """
    packed = gzip.compress(plaintext, mtime=0)
    sealed = base64.b64encode(_envelope(packed, _public_key(key))).decode()
    if len(sealed) > SEALED_LIMIT:
        raise SpecTooLarge(
            "The sealed spec is too large for",
            obj=obj,
            why=f"{len(sealed)} bytes after compression, {SEALED_LIMIT} fit into guestinfo",
            next_step="Put large files or values into the image, or have the container fetch them",
            details={"bytes": len(sealed), "limit": SEALED_LIMIT},
        )
    return sealed


def _envelope(content: bytes, key: RSAPublicKey) -> bytes:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    content_key, nonce = os.urandom(32), os.urandom(12)
    ciphertext = AESGCM(content_key).encrypt(nonce, content, None)
    body, tag = ciphertext[:-16], ciphertext[-16:]
    wrapped = key.encrypt(
        content_key, padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    )
    # RFC 5280, 4.2.1.2: the key id is the SHA-1 of the bare public key; it names a key and protects nothing.
    bare = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    key_id = hashlib.sha1(bare, usedforsecurity=False).digest()
    sha256 = _tlv(_SEQUENCE, _oid(_SHA256))
    oaep = _tlv(_SEQUENCE, _tlv(0xA0, sha256), _tlv(0xA1, _tlv(_SEQUENCE, _oid(_MGF1), sha256)))
    recipient = _tlv(
        _SEQUENCE,
        _int(2),
        _tlv(0x80, key_id),
        _tlv(_SEQUENCE, _oid(_RSAES_OAEP), oaep),
        _tlv(_OCTETS, wrapped),
    )
    algorithm = _tlv(_SEQUENCE, _oid(_AES256_GCM), _tlv(_SEQUENCE, _tlv(_OCTETS, nonce), _int(len(tag))))
    enveloped = _tlv(
        _SEQUENCE,
        _int(0),
        _tlv(_SET, recipient),
        _tlv(_SEQUENCE, _oid(_DATA), algorithm, _tlv(0x80, body)),
        _tlv(_OCTETS, tag),
    )
    return _tlv(_SEQUENCE, _oid(_AUTH_ENVELOPED), _tlv(0xA0, enveloped))


def _public_key(key: str) -> RSAPublicKey:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    except ImportError as error:
        raise BonnevilleError(
            "Cannot seal the spec",
            why=f"the Python library 'cryptography' cannot be imported ({error})",
            next_step="Install it for the Python that runs the module: pip install cryptography",
        ) from error
    try:
        loaded = serialization.load_der_public_key(_der(key))
    except (ValueError, TypeError) as error:
        raise _no_key(str(error)) from error
    if not isinstance(loaded, RSAPublicKey) or loaded.key_size < _LEAST_BITS:
        raise _no_key(f"it is no RSA key of at least {_LEAST_BITS} bits")
    return loaded


def _der(key: str) -> bytes:
    try:
        return base64.b64decode(key, validate=True)
    except ValueError as error:
        raise _no_key(str(error)) from error


def _no_key(why: str) -> SealBroken:
    return SealBroken(
        "The template VM's sealing key cannot be used",
        why=why,
        next_step="Rebuild the template VM with photon_template",
    )


def _tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def _int(value: int) -> bytes:
    """A small non-negative INTEGER."""
    return _tlv(_INTEGER, bytes((value,)))


def _oid(dotted: str) -> bytes:
    first, second, *rest = (int(part) for part in dotted.split("."))
    encoded = bytearray((40 * first + second,))
    for value in rest:
        groups = [value & 0x7F]
        while value := value >> 7:
            groups.append(0x80 | value & 0x7F)
        encoded += bytes(reversed(groups))
    return _tlv(_OID, bytes(encoded))
