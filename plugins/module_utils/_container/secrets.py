# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets compared by digest: what is recorded says whether they changed, and not what they are. Pure.

With a ``digest_key`` (a vaulted word of the user's) each value has an HMAC of
its own, so a difference can be named. Without one, a digest per value could be
guessed at by anyone who reads the VM's configuration, as most values are short;
so there is one salted, slow digest over all values of an option.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption

HMAC = "hmac"
SCRYPT = "scrypt"
SALT_BYTES = 16
# 16 MiB and some 50 ms a guess (RFC 7914); within the memory that OpenSSL allows by default.
_SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}

Secrets = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class Digests:
    """What is recorded of the secrets that a container was made with.

    ``names`` holds, by option, each value's name with its HMAC, or with an empty
    text under SCRYPT, where ``whole`` has one digest per option instead.
    ``check`` recognises the digest key, ``salt`` is hex.
    """

    scheme: str = ""
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    whole: Mapping[str, str] = field(default_factory=dict)
    check: str = ""
    salt: str = ""

    def document(self) -> dict[str, Any]:
        """As it stands in the marks; empty without secrets."""
        if not self.scheme:
            return {}
        return {
            "scheme": self.scheme,
            "names": {option: dict(sorted(names.items())) for option, names in sorted(self.names.items())},
            **({"check": self.check} if self.scheme == HMAC else {"salt": self.salt, "whole": dict(self.whole)}),
        }


def from_document(document: Any) -> Digests:
    """Read what ``document`` wrote; anything else reads as no secrets recorded."""
    if not isinstance(document, Mapping) or document.get("scheme") not in (HMAC, SCRYPT):
        return Digests()
    names = document.get("names")
    whole = document.get("whole")
    return Digests(
        scheme=document["scheme"],
        names={str(option): _texts(values) for option, values in names.items()} if isinstance(names, Mapping) else {},
        whole=_texts(whole),
        check=str(document.get("check", "")),
        salt=str(document.get("salt", "")),
    )


def digest(secrets: Secrets, *, scope: str, key: str, salt: str) -> Digests:
    """What to record for ``secrets``.

    Args:
        scope: names the service, so that one value in two services has two digests.
        key: the user's digest key; empty for none.
        salt: hex, used without a key; replicas share their service's, to pay for it once.
    """
    if not any(secrets.values()):
        return Digests()
    if key:
        return Digests(
            scheme=HMAC,
            check=_mac(key, scope, "", "", ""),
            names={
                option: {name: _mac(key, scope, option, name, value) for name, value in values.items()}
                for option, values in secrets.items()
            },
        )
    return Digests(
        scheme=SCRYPT,
        salt=salt,
        names={option: dict.fromkeys(values, "") for option, values in secrets.items()},
        whole={option: _slow(option, _canonical(values), scope, salt) for option, values in secrets.items()},
    )


def changed(
    option: str, wanted: Mapping[str, str], recorded: Digests, *, scope: str, key: str, allow_more: bool
) -> dict[str, str]:
    """Which of an option's secrets differ from the recorded ones: their names, each with what became of it.

    Where the recorded form cannot name the value, the name is ``*``. With
    ``allow_more``, values that are recorded and no longer wanted do not differ;
    under SCRYPT they have to, as the rest could not be told without them.

    Raises InvalidOption when the recorded digests need another digest key than the given one.
    """
    there = recorded.names.get(option, {})
    found = dict.fromkeys(wanted.keys() - there.keys(), "added")
    gone = there.keys() - wanted.keys()
    if recorded.scheme == HMAC:
        _check_key(recorded, scope=scope, key=key)
        found |= {
            name: "changed"
            for name in wanted.keys() & there.keys()
            if not hmac.compare_digest(there[name], _mac(key, scope, option, name, wanted[name]))
        }
    elif not found and not gone and wanted:
        known = recorded.whole.get(option, "")
        if not hmac.compare_digest(known, _slow(option, _canonical(wanted), scope, recorded.salt)):
            found["*"] = "changed"
    if not allow_more or recorded.scheme == SCRYPT:
        found |= dict.fromkeys(gone, "removed")
    return dict(sorted(found.items()))


def _check_key(recorded: Digests, *, scope: str, key: str) -> None:
    if key and hmac.compare_digest(recorded.check, _mac(key, scope, "", "", "")):
        return
    raise InvalidOption(
        "Cannot compare the secrets of",
        obj=scope,
        why="they were recorded with another digest_key" if key else "they were recorded with a digest_key",
        next_step="Give that digest_key, or run once with recreate: true to record them anew",
        details={"option": "digest_key"},
    )


def _mac(key: str, *parts: str) -> str:
    message = "\0".join(f"{len(part)}:{part}" for part in parts)
    return hmac.new(key.encode(), message.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]


def _canonical(values: Mapping[str, str]) -> str:
    return json.dumps(dict(sorted(values.items())), separators=(",", ":"))


@lru_cache(maxsize=64)
def _slow(option: str, text: str, scope: str, salt: str) -> str:
    """Replicas of a service have the same secrets and salt, hence the cache."""
    salted = f"{scope}\0{option}\0{salt}".encode()
    return hashlib.scrypt(text.encode(), salt=salted, **_SCRYPT).hex()


def _texts(values: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in values.items()} if isinstance(values, Mapping) else {}
