"""A container VM's agent when dockerd, a registry or the power fails. A stand-in on a unix socket is its Engine."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent import (
    follow,
    guest,
    images,
    logport,
    places,
    state,
    unixhttp,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent.engine import Engine
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent.guest import Guest, Stopped
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent.problem import Problem
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent.record import Record
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent.report import Reporter

from tests.unit.plugins.module_utils._guest.conftest import Host

EVENT = b'{"Action":"health_status"}\n'


class Dockerd(socketserver.ThreadingUnixStreamServer):
    """One container, ``state``; while not ``answers``, an inspection gets no answer. Events are told by ``event``."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Handler)
        self.answers, self.stops_in = True, "head"
        self.health = "starting"
        self.gone, self.readable = False, True
        self.started_at = "2026-01-01T00:00:00Z"
        self.lines: list[bytes] = []
        self.listeners: list[Handler] = []
        self.asked_since: list[str] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def get_request(self) -> Any:
        return self.socket.accept()[0], ("dockerd", 0)

    def event(self) -> None:
        self.listeners[-1].piece(EVENT)

    def found(self) -> dict[str, Any]:
        now = {"Status": "running", "ExitCode": 0, "StartedAt": self.started_at}
        return {"Id": "c1", "State": {**now, "Health": {"Status": self.health}}}


class Handler(BaseHTTPRequestHandler):
    server: Dockerd
    protocol_version = "HTTP/1.1"

    def piece(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def stream(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def whole(self, data: object, status: int = 200) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        engine, path = self.server, self.path
        if path == "/version":
            self.whole({"ApiVersion": "1.47", "Version": "27", "Arch": "amd64"})
        elif "/events" in path:
            self.stream()
            engine.listeners.append(self)
            time.sleep(60)
        elif "/logs" in path and not engine.readable:
            engine.asked_since.append("")
            self.whole({"message": "configured logging driver does not support reading"}, 501)
        elif "/logs" in path:
            engine.asked_since.append(path.partition("since=")[2])
            self.stream()
            for line in engine.lines:
                self.piece(b"\x01\0\0\0" + len(line).to_bytes(4, "big") + line)
            time.sleep(60)
        elif not engine.answers:
            if engine.stops_in == "body":
                self.send_response(200)
                self.send_header("Content-Length", "9")
                self.end_headers()
            time.sleep(60)
        elif engine.gone:
            self.whole({"message": "No such container"}, 404)
        else:
            self.whole(engine.found())

    def do_POST(self) -> None:
        if "/images/create" in self.path:
            self.stream()
            self.piece(b'{"status":"Pulling"}\n')
            time.sleep(60)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = unixhttp.request
    monkeypatch.setattr(
        "ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent.engine.request",
        lambda *args, timeout=None, **more: real(*args, timeout=timeout and 0.3, **more),
    )
    monkeypatch.setattr(follow, "_AGAIN", 0.05)
    monkeypatch.setattr(places, "CONTAINER", str(tmp_path / "container.json"))
    monkeypatch.setattr(places, "LOGGED", str(tmp_path / "log.json"))


@pytest.fixture
def dockerd(tmp_path: Path) -> Iterator[Dockerd]:
    with Dockerd(tmp_path / "docker.sock") as one:
        yield one
        one.shutdown()


@pytest.fixture
def engine(dockerd: Dockerd, tmp_path: Path) -> Engine:
    return Engine(str(tmp_path / "docker.sock"))


@pytest.fixture
def serial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "serial"
    path.touch()
    real = logport.LogPort
    monkeypatch.setattr(guest, "LogPort", lambda limit, **more: real(limit, device=str(path), **more))
    return path


@pytest.fixture
def agent(engine: Engine, host: Host) -> Callable[[], Guest]:
    """The agent as each start of it is: it knows what is on the disk."""
    image = {"name": "web:1", "id": "sha256:1", "digest": "", "size": 1}
    record = Record(
        nonce="n", hostname="web", stop_timeout=1, restart_no=False, log_max_bytes=1000, tty=False,
        image=image, container="c1",
    )  # fmt: skip

    def begin() -> Guest:
        reporter = Reporter(host, role="container", nonce="n", phase="network")  # type: ignore[arg-type]
        return Guest(host, engine, reporter, record)  # type: ignore[arg-type]

    return begin


def until(true: Callable[[], object], within: float = 5.0) -> bool:
    end = time.monotonic() + within
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(true())


def stay(one: Guest, monkeypatch: pytest.MonkeyPatch, *, ticks: int, tick: Callable[[], None] = lambda: None) -> None:
    """The agent's main wait, of which each tick is none, until it is killed."""
    left = [ticks]

    def sleep(_seconds: float) -> None:
        left[0] -= 1
        if not left[0]:
            raise Stopped
        tick()

    with monkeypatch.context() as patch:
        patch.setattr(guest.time, "sleep", sleep)
        with pytest.raises(Stopped):
            one.stay()


def last(host: Host) -> tuple[str, str]:
    status = host.told[-1]
    return status.phase, status.container.health if status.container else ""


@pytest.mark.parametrize("stops_in", ["head", "body"])
def test_what_dockerd_does_not_answer_is_asked_again(
    dockerd: Dockerd, host: Host, agent: Callable[[], Guest], stops_in: str
) -> None:
    dockerd.stops_in = stops_in
    one = agent()
    one.follow()
    one.look()
    assert until(lambda: last(host) == ("running", "starting"))
    dockerd.answers = False
    dockerd.event()
    assert until(lambda: last(host)[0] == "failed")
    reason = host.told[-1].reason
    assert reason and reason.code == "docker_unavailable", reason
    dockerd.answers, dockerd.health = True, "healthy"
    assert until(lambda: last(host) == ("running", "healthy")), host.told[-1]
    dockerd.health = "unhealthy"
    dockerd.event()
    assert until(lambda: last(host) == ("running", "unhealthy")), "nobody listens any more"


def test_a_start_whose_outcome_dockerd_does_not_tell_is_looked_up_later(
    dockerd: Dockerd, host: Host, agent: Callable[[], Guest]
) -> None:
    one = agent()
    one.follow()
    dockerd.answers = False
    one.start()
    assert until(lambda: last(host)[0] == "failed")
    dockerd.answers = True
    assert until(lambda: last(host) == ("running", "starting")), host.told[-1]


def test_a_container_that_was_removed_is_followed_no_more(
    dockerd: Dockerd, host: Host, agent: Callable[[], Guest]
) -> None:
    one = agent()
    one.follow()
    one.look()
    dockerd.gone = True
    dockerd.event()
    assert until(lambda: last(host)[0] == "failed")
    reason = host.told[-1].reason
    assert reason and "removed" in reason.message
    assert until(lambda: one._follower is not None and not one._follower._thread.is_alive())


def test_a_registry_that_stalls_in_a_pull_is_told_with_the_image(engine: Engine, dockerd: Dockerd) -> None:
    with pytest.raises(Problem, match=r"web:1.*registry stopped sending") as caught:
        images.pull(engine, "web:1", ())
    assert caught.value.code == "image_pull_failed"


@pytest.mark.parametrize("body", [b"zz\r\n", b"5\r\nab"])
def test_a_broken_body_is_an_http_error(body: bytes, tmp_path: Path) -> None:
    class Broken(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)

    with socketserver.UnixStreamServer(str(tmp_path / "broken"), Broken) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(unixhttp.HttpError), unixhttp.request(str(tmp_path / "broken"), "GET", "/") as answer:
            answer.read()


def test_the_log_goes_on_where_it_was_when_the_power_went(
    dockerd: Dockerd, agent: Callable[[], Guest], serial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "_KEEP_EVERY", 0.0)
    dockerd.lines = [b"2026-01-01T00:00:0%d.000000000Z line %d\n" % (number, number) for number in range(3)]
    one = agent()
    one.follow()
    one.look()
    assert until(lambda: serial.read_bytes().count(b"\n") == 3)
    one.record.save()
    saved: list[tuple[str, bool]] = []
    real = state.save

    def save(path: str, data: dict[str, Any], *, durable: bool = True) -> None:
        saved.append((path, durable))
        real(path, data, durable=durable)

    monkeypatch.setattr(state, "save", save)
    stay(one, monkeypatch, ticks=5)
    assert saved == [(places.LOGGED, False)], "once, for nothing was logged in between"
    written = one._port.status()
    dockerd.lines.append(b"2026-01-01T00:00:09.000000000Z line 9\n")
    again = agent()
    assert again._port.status() == written
    again.follow()
    again.look()
    assert until(lambda: b"line 9" in serial.read_bytes())
    assert serial.read_bytes() == b"line 0\nline 1\nline 2\nline 9\n"
    assert dockerd.asked_since[-1].startswith("1767225602.")


def test_output_that_cannot_be_read_ends_neither_the_log_nor_the_agent(
    dockerd: Dockerd, agent: Callable[[], Guest], serial: Path
) -> None:
    dockerd.readable = False
    one = agent()
    one.follow()
    one.look()
    assert until(lambda: b"cannot be read" in serial.read_bytes())
    dockerd.readable, dockerd.started_at = True, "2026-01-01T00:01:00Z"
    dockerd.lines = [b"2026-01-01T00:01:01.000000000Z hello\n"]
    time.sleep(0.1)
    one.look()
    assert until(lambda: serial.read_bytes().endswith(b"hello\n"))


def test_who_resumed_the_vm_hears_of_it(
    dockerd: Dockerd, host: Host, agent: Callable[[], Guest], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = agent()
    one.look()
    assert until(lambda: last(host)[0] == "running")
    before = host.told[-1].seq
    clock = [1000.0]
    monkeypatch.setattr(guest.time, "time", lambda: clock[0])
    steps = iter([1.0, 1.0, 3600.0, 1.0])

    def tick() -> None:
        clock[0] += next(steps, 1.0)

    stay(one, monkeypatch, ticks=6, tick=tick)
    assert until(lambda: host.told[-1].seq > before)
    assert host.told[-1].seq == before + 1
