"""What a private key looks like in a machine's memory: every form that the programs which handle it give it."""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

# So many bytes of a secret number are no coincidence, and no number is rebuilt from fewer.
_SAMPLE = 32


def traces(pem: bytes) -> Mapping[bytes, str]:
    """Secret pieces of an RSA key, each with what it is: lines of its text, numbers as in DER and as in a processor."""
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    found: dict[bytes, str] = {}
    numbers = key.private_numbers()
    for name, number in {
        "p": numbers.p, "q": numbers.q, "d": numbers.d, "dp": numbers.dmp1, "dq": numbers.dmq1, "qinv": numbers.iqmp,
    }.items():  # fmt: skip
        big = number.to_bytes((number.bit_length() + 7) // 8, "big")
        for order, raw in (("big", big), ("little", big[::-1])):
            for at in range(0, len(raw) - _SAMPLE + 1, _SAMPLE):
                found[raw[at : at + _SAMPLE]] = f"{name}, {order} endian, byte {at}"
    lines = pem.split(b"\n")[1:-2]
    # 48 bytes a line: what stands before the modulus, which is no secret, and the modulus.
    public = (64 + key.key_size // 8) // 48 + 1
    for number, line in enumerate(lines[public:-1], public):
        found[line] = f"line {number} of the text"
    return found
