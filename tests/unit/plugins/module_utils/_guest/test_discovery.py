"""A fleet's names and packet filter in the guest: bytes and rules."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Sequence

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent import dns, firewall, resolver
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent.problem import Problem
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.peers import PEERS_LIMIT, Peers
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import ProtocolError
from hypothesis import given
from hypothesis import strategies as st


def query(name: str, kind: int = dns.A, number: int = 7) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, 1)


def read(answer: bytes) -> tuple[int, list[str], bool]:
    """Response code, addresses, and whether it was cut."""
    _, flags, _, count, _, _ = struct.unpack_from("!6H", answer)
    found = [socket.inet_ntoa(answer[-16 * n + 12 : len(answer) - 16 * (n - 1)]) for n in range(count, 0, -1)]
    return flags & 0xF, found, bool(flags & 0x0200)


def test_a_name_of_ours_is_answered_with_all_its_addresses() -> None:
    asked = dns.question(query("Web"))
    assert asked is not None and asked.name == "web"
    assert read(dns.addresses(asked, ["10.0.0.1", "10.0.0.2"], limit=dns.UDP_LIMIT)) == (
        0, ["10.0.0.1", "10.0.0.2"], False,
    )  # fmt: skip


def test_a_name_that_nothing_bears_now_does_not_exist() -> None:
    asked = dns.question(query("web"))
    assert asked is not None
    assert read(dns.addresses(asked, [], limit=dns.UDP_LIMIT)) == (3, [], False)


def test_other_records_of_a_name_are_empty_rather_than_missing() -> None:
    asked = dns.question(query("web", kind=28))
    assert asked is not None
    assert read(dns.addresses(asked, ["10.0.0.1"], limit=dns.UDP_LIMIT)) == (0, [], False)


def test_more_than_a_datagram_holds_is_said_to_be_cut() -> None:
    asked = dns.question(query("web"))
    assert asked is not None
    many = [f"10.0.0.{number}" for number in range(100)]
    code, found, cut = read(dns.addresses(asked, many, limit=dns.UDP_LIMIT))
    assert (code, cut) == (0, True) and found == many[: len(found)] and len(found) > 20
    assert read(dns.addresses(asked, many, limit=dns.TCP_LIMIT)) == (0, many, False)


@given(st.binary(max_size=600))
def test_no_bytes_make_it_stumble(message: bytes) -> None:
    asked = dns.question(message)
    if asked is not None:
        dns.addresses(asked, ["10.0.0.1"], limit=dns.UDP_LIMIT)
        dns.failure(asked)
    else:
        dns.not_implemented(message)


def serve(lookup: resolver.Lookup, upstreams: Sequence[str]) -> int:
    # A port that is free for datagrams may be taken for connections: a real resolver's, 53, is its own.
    for _ in range(20):
        one = resolver.Resolver(lookup=lookup, upstreams=lambda: upstreams)
        with contextlib.suppress(Problem):
            one.begin("127.0.0.1", port=0, device="")
            return one.port
    raise AssertionError("no port is free for both")


def ask_udp(port: int, message: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.sendto(message, ("127.0.0.1", port))
        return client.recv(65535)


def ask_tcp(port: int, message: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(len(message).to_bytes(2, "big") + message)
        head = client.recv(2)
        answer = b""
        while len(answer) < int.from_bytes(head, "big"):
            answer += client.recv(65535)
        return answer


def test_answers_are_rotated_so_that_replicas_share_the_work() -> None:
    port = serve({"web": ("10.0.0.1", "10.0.0.2", "10.0.0.3")}.get, [])
    first = {read(ask_udp(port, query("web")))[1][0] for _ in range(3)}
    assert first == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}


def test_tcp_holds_what_a_datagram_does_not() -> None:
    many = tuple(f"10.0.1.{number}" for number in range(200))
    port = serve({"web": many}.get, [])
    assert read(ask_udp(port, query("web")))[2]
    assert sorted(read(ask_tcp(port, query("web")))[1]) == sorted(many)


def test_all_other_names_are_the_vms_resolvers_business(monkeypatch: pytest.MonkeyPatch) -> None:
    far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    far.bind(("127.0.0.1", 0))
    monkeypatch.setattr(resolver, "_PORT", far.getsockname()[1])

    def answer() -> None:
        message, client = far.recvfrom(512)
        asked = dns.question(message)
        assert asked is not None
        far.sendto(dns.addresses(asked, ["192.0.2.1"], limit=512), client)

    threading.Thread(target=answer, daemon=True).start()
    port = serve({"web": ("10.0.0.1",)}.get, ["127.0.0.1"])
    assert read(ask_udp(port, query("example.org"))) == (0, ["192.0.2.1"], False)
    far.close()


def test_where_nobody_can_be_asked_it_says_so() -> None:
    port = serve({}.get, [])
    assert read(ask_udp(port, query("example.org")))[0] == 2
    assert read(ask_tcp(port, query("example.org")))[0] == 2


def rules(**changes: object) -> list[str]:
    options = {
        "bridge": "docker0",
        "bridge_address": "172.17.0.1",
        "own": "10.0.0.1",
        "container": "172.17.0.2",
        "peers": ["10.0.0.3", "10.0.0.1", "10.0.0.2"],
        **changes,
    }
    return firewall.rules(**options).splitlines()  # type: ignore[arg-type]


def test_peers_reach_every_port_and_nobody_else_more() -> None:
    found = rules()
    assert [line for line in found if "DNAT" in line] == [
        "-A BONNEVILLE-PEERS -s 10.0.0.2/32 -d 10.0.0.1/32 -j DNAT --to-destination 172.17.0.2",
        "-A BONNEVILLE-PEERS -s 10.0.0.3/32 -d 10.0.0.1/32 -j DNAT --to-destination 172.17.0.2",
    ]
    accepted = [line for line in found if line.endswith("ACCEPT")]
    assert all("-s 10.0.0." in line or "--dport 53" in line for line in accepted)
    assert all("-i docker0" in line for line in accepted)


@pytest.mark.parametrize("missing", [{"own": ""}, {"container": ""}, {"peers": []}])
def test_without_peers_or_a_container_nobody_is_let_in(missing: dict[str, object]) -> None:
    assert not any("DNAT" in line or "-s " in line for line in rules(**missing))


def test_the_chains_are_replaced_whole() -> None:
    assert [line for line in rules() if line.startswith((":", "*", "COMMIT"))] == [
        "*nat", ":BONNEVILLE-PEERS - [0:0]", "COMMIT",
        "*filter", ":BONNEVILLE-PEERS - [0:0]", ":BONNEVILLE-NAMES - [0:0]", "COMMIT",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        '{"schema":1,"names":{"web":["10.0.0.1 -j ACCEPT"]},"others":[]}',
        '{"schema":1,"names":{"web":"10.0.0.1"},"others":[]}',
        '{"schema":1,"names":{},"others":["10.0.0.256"]}',
        '{"schema":1,"names":{},"others":[],"more":1}',
        '{"schema":2,"names":{},"others":[]}',
    ],
)
def test_a_list_with_anything_but_addresses_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        Peers.decode(text)


def test_a_list_over_its_limit_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match=str(PEERS_LIMIT)):
        Peers(others=tuple(f"10.0.{n >> 8}.{n & 255}" for n in range(6000))).encode()
