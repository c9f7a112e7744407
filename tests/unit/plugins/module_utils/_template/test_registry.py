from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.settings import Settings
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.registry import _origins, ask
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import Login

LOGIN = {"username": "robot", "password": "s3cret"}
MANIFEST = b'{"schemaVersion": 2}'
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"


class Registry(BaseHTTPRequestHandler):
    """``told`` says its digest, ``silent`` only has its content, ``basic`` and ``token`` ask for a login."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        given = self.headers.get("Authorization", "")
        repository = self.path.split("/")[2] if self.path.startswith("/v2/") else ""
        host = self.headers["Host"]
        if self.path.startswith("/token"):
            granted = "repository%3Atoken%3Apull" in self.path and given == "Basic cm9ib3Q6czNjcmV0"
            self.answer(200 if granted else 401, json.dumps({"token": "a-token"}).encode())
        elif repository == "basic" and given != "Basic cm9ib3Q6czNjcmV0":
            self.answer(401, b"", {"WWW-Authenticate": 'Basic realm="here"'})
        elif repository == "token" and given != "Bearer a-token":
            self.answer(401, b"", {"WWW-Authenticate": f'Bearer realm="http://{host}/token",service="s",scope="x"'})
        elif repository in ("told", "basic", "token"):
            self.answer(200, MANIFEST, {"Docker-Content-Digest": DIGEST})
        elif repository == "silent":
            self.answer(200, MANIFEST)
        else:
            self.answer(404, b"")

    def answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_unused: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("repository", ["told", "silent", "basic", "token"])
def test_a_digest_is_had_whatever_way_the_registry_has(registry: str, repository: str) -> None:
    image = f"{registry}/{repository}:1"
    told = ask([image], settings=Settings(), insecure=[registry], logins=[Login(server=registry, **LOGIN)])
    assert (dict(told.digests), told.warnings) == ({image: DIGEST}, ())


@pytest.mark.parametrize(
    ("repository", "insecure", "words"),
    [
        ("none", True, "no such image"),
        ("basic", True, "refuses the login"),
        ("token", True, "refuses the login"),
        ("told", False, "insecure_registries"),
    ],
)
def test_what_is_not_told_is_a_warning_that_says_why(
    registry: str, repository: str, insecure: bool, words: str
) -> None:
    wrong = Login(server=registry, username="robot", password="another")
    image = f"{registry}/{repository}:1"
    told = ask([image], settings=Settings(), insecure=[registry] if insecure else [], logins=[wrong])
    (warning,) = told.warnings
    assert not told.digests
    assert words in warning
    assert image in warning
    assert "another" not in warning


def test_what_is_pinned_is_not_asked_for() -> None:
    told = ask(["registry.invalid/web@sha256:" + "0" * 64], settings=Settings(), insecure=[], logins=[])
    assert (dict(told.digests), told.warnings) == ({}, ())


def test_the_hub_is_asked_by_its_mirrors_first() -> None:
    settings = Settings(registry_mirrors=("https://mirror.example.com/", "http://10.0.0.5:5000"))
    assert list(_origins("docker.io", settings, ["10.0.0.0/8"])) == [
        ("https://mirror.example.com", True),
        ("http://10.0.0.5:5000", False),
        ("https://registry-1.docker.io", True),
    ]


@pytest.mark.parametrize("insecure", ["10.0.0.5:5000", "10.0.0.0/8"])
def test_an_insecure_registry_is_asked_without_tls_as_well(insecure: str) -> None:
    assert list(_origins("10.0.0.5:5000", Settings(), [insecure])) == [
        ("https://10.0.0.5:5000", False),
        ("http://10.0.0.5:5000", False),
    ]
    assert list(_origins("10.0.0.5:5000", Settings(), ["192.0.2.0/24", "other"])) == [("https://10.0.0.5:5000", True)]
