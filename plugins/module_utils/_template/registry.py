# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which digests registries have under images' tags now, asked by the controller.

One HEAD of a manifest for each image, as the OCI Distribution Specification has
it, with the token flow that Docker's registries ask for. Reads only.
"""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from urllib.request import parse_http_list, parse_keqv_list

from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.settings import Settings
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.settings import registry_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import Login

_HUB = "docker.io"
_HUB_ORIGIN = "https://registry-1.docker.io"
_SECONDS = (5.0, 15.0)  # to connect, to answer
_AT_A_TIME = 8
# What an engine asks for: of a multi-platform image the index, whose digest it records.
_ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_WHY = {
    401: "it refuses the login",
    403: "it refuses access",
    404: "it has no such image",
    429: "it is asked too often",
}


@dataclass(frozen=True, kw_only=True)
class Told:
    """Digests by image, and in words why others could not be asked for."""

    digests: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class _NoAnswer(Exception):
    """Why a registry did not tell."""


def ask(images: Iterable[str], *, settings: Settings, insecure: Sequence[str], logins: Iterable[Login]) -> Told:
    """The digest of each image that is named by a tag.

    Args:
        settings: has mirrors, and the CA for the registries that it is trusted for.
        insecure: registries without TLS or with a certificate that is not verified.
    """
    wanted = [image for image in images if "@" not in image]
    by_server = {login.server: login for login in logins}

    def one(image: str) -> str | _NoAnswer:
        registry = registry_of(image) or _HUB
        try:
            return _digest(image, registry, settings=settings, insecure=insecure, login=by_server.get(registry))
        except _NoAnswer as why:
            return why

    with ThreadPoolExecutor(max_workers=_AT_A_TIME, thread_name_prefix="registry") as pool:
        answers = dict(zip(wanted, pool.map(one, wanted), strict=True))
    return Told(
        digests={image: answer for image, answer in answers.items() if isinstance(answer, str)},
        warnings=tuple(
            f"Cannot ask {registry_of(image) or _HUB} whether {image} was moved: {answer}. It counts as not moved."
            for image, answer in answers.items()
            if isinstance(answer, _NoAnswer)
        ),
    )


def _digest(image: str, registry: str, *, settings: Settings, insecure: Sequence[str], login: Login | None) -> str:
    path, _unused, tag = image.rpartition(":")
    repository = path.removeprefix(f"{registry}/")
    if registry == _HUB and "/" not in repository:
        repository = f"library/{repository}"
    why = ""
    for origin, verified in _origins(registry, settings, insecure):
        ca = settings.registry_ca if urlsplit(origin).netloc in settings.registries else ""
        try:
            return _ask(f"{origin}/v2/{repository}/manifests/{tag}", repository, ca=ca, verified=verified, login=login)
        except _NoAnswer as error:
            why = str(error)
    raise _NoAnswer(why)


def _origins(registry: str, settings: Settings, insecure: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Where an engine would ask, in its order, and whether certificates are verified there."""
    if registry == _HUB:
        yield from (
            (mirror.rstrip("/"), not _among(urlsplit(mirror).netloc, insecure)) for mirror in settings.registry_mirrors
        )
        yield _HUB_ORIGIN, True
        return
    verified = not _among(registry, insecure)
    yield f"https://{registry}", verified
    if not verified:
        yield f"http://{registry}", False


def _among(registry: str, insecure: Sequence[str]) -> bool:
    """Whether a registry is one of these: by its name, or by a network that its address is in."""
    if registry in insecure:
        return True
    try:
        address = ipaddress.ip_address(urlsplit(f"//{registry}").hostname or "")
    except ValueError:
        return False
    return any(address in network for one in insecure if (network := _network(one)))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text) if "/" in text else None
    except ValueError:
        return None


def _ask(url: str, repository: str, *, ca: str, verified: bool, login: Login | None) -> str:
    import requests

    with _session(ca, verified) as session:
        try:
            headers = {"Accept": _ACCEPT}
            answer = session.head(url, headers=headers, timeout=_SECONDS, allow_redirects=True)
            if answer.status_code == 401:
                headers |= _authorization(session, answer.headers.get("WWW-Authenticate", ""), repository, login)
                answer = session.head(url, headers=headers, timeout=_SECONDS, allow_redirects=True)
            if answer.status_code >= 400:
                raise _NoAnswer(_WHY.get(answer.status_code, f"it answers {answer.status_code} {answer.reason}"))
            if digest := str(answer.headers.get("Docker-Content-Digest", "")):
                return digest
            manifest = session.get(url, headers=headers, timeout=_SECONDS)
            manifest.raise_for_status()
            return f"sha256:{hashlib.sha256(manifest.content).hexdigest()}"
        except requests.RequestException as error:
            raise _NoAnswer(_in_words(error)) from error


def _authorization(session: Any, challenge: str, repository: str, login: Login | None) -> dict[str, str]:
    """The header that a registry's challenge asks for; an anonymous token where there is no login."""
    import requests

    kind, _unused, rest = challenge.partition(" ")
    if kind.lower() == "basic" and login:
        request = requests.Request("HEAD", "https://registry.invalid")
        prepared = requests.auth.HTTPBasicAuth(login.username, login.password)(request.prepare())
        return {"Authorization": prepared.headers["Authorization"]}
    if kind.lower() != "bearer":
        raise _NoAnswer(_WHY[401])
    asked = parse_keqv_list(parse_http_list(rest))
    answer = session.get(
        asked.get("realm", ""),
        params={"service": asked.get("service", ""), "scope": f"repository:{repository}:pull"},
        auth=(login.username, login.password) if login else None,
        timeout=_SECONDS,
    )
    if answer.status_code >= 400:
        raise _NoAnswer(_WHY.get(answer.status_code, f"its token service answers {answer.status_code}"))
    token = answer.json()
    return {"Authorization": f"Bearer {token.get('token') or token.get('access_token', '')}"}


def _session(ca: str, verified: bool) -> Any:
    """A session that trusts a CA beside the system's, and takes no login from the controller's own files."""
    import requests
    import urllib3
    from requests.adapters import HTTPAdapter

    class Trusting(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            context = ssl.create_default_context()
            context.load_verify_locations(cadata=ca)
            super().init_poolmanager(*args, **kwargs, ssl_context=context)

    session = requests.Session()
    session.auth = lambda request: request
    session.verify = verified
    if not verified:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the user has decided
    elif ca:
        session.mount("https://", Trusting())
    return session


def _in_words(error: Exception) -> str:
    """A failure of the transport, by the exception that the libraries have wrapped."""
    inner: Any = error
    while not isinstance(inner, ssl.SSLError):
        wrapped = next(
            (one for one in (getattr(inner, "reason", None), *inner.args) if isinstance(one, Exception)), None
        )
        if wrapped is None:
            return str(inner).rpartition(": ")[2] or type(error).__name__
        inner = wrapped
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({inner.verify_message})"
    return (
        "it speaks no TLS, and is not in insecure_registries" if inner.reason == "WRONG_VERSION_NUMBER" else str(inner)
    )
