from __future__ import annotations

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import ports
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["8080"], ("8080:8080/tcp",)),
        ([8080], ("8080:8080/tcp",)),
        (["80:8080"], ("80:8080/tcp",)),
        (["53:53/udp", "53:53/tcp"], ("53:53/tcp", "53:53/udp")),
        (["127.0.0.1:80:8080"], ("127.0.0.1:80:8080/tcp",)),
        (["127.0.0.1::8080"], ("127.0.0.1:8080:8080/tcp",)),
        (["[::1]:80:8080/sctp"], ("[::1]:80:8080/sctp",)),
        (["9000-9001:7000-7001"], ("9000:7000/tcp", "9001:7001/tcp")),
        (["9000-9001"], ("9000:9000/tcp", "9001:9001/tcp")),
        (["80:8080", "81:8080"], ("80:8080/tcp", "81:8080/tcp")),
        (["10.0.0.1:80:80", "10.0.0.2:80:80"], ("10.0.0.1:80:80/tcp", "10.0.0.2:80:80/tcp")),
    ],
)
def test_published(written: list[str], read: tuple[str, ...]) -> None:
    assert ports.published("published_ports", written) == read


@pytest.mark.parametrize(
    "written",
    [
        "",
        "x",
        "80:",
        "0",
        "65536",
        "80:70000",
        "2-1",
        "1:2:3:4",
        "host:80:80",
        "80/icmp",
        "80-81:80",
        "[::1]:80",
        "a:80",
    ],
)
def test_what_is_no_port(written: str) -> None:
    with pytest.raises(InvalidOption) as error:
        ports.published("published_ports", [written])
    assert error.value.details == {"option": "published_ports"}


@pytest.mark.parametrize(
    "written",
    [
        ["80:80", "80:80"],
        ["80:8080", "80:8081"],
        ["80:80", "127.0.0.1:80:80"],
        ["127.0.0.1:80:80", "0.0.0.0:80:81"],
        ["8000-8010:8000-8010", "8005:1"],
        ["[::]:80:80", "80:81"],
    ],
)
def test_a_port_published_twice(written: list[str]) -> None:
    with pytest.raises(InvalidOption, match="published"):
        ports.published("published_ports", written)


def test_exposed() -> None:
    assert ports.exposed("exposed_ports", ["80", "53/udp", "90-91"]) == ("53/udp", "80/tcp", "90/tcp", "91/tcp")


@given(
    st.builds(
        ports.Port,
        container=st.integers(1, 65535),
        host=st.integers(1, 65535),
        protocol=st.sampled_from(["tcp", "udp", "sctp"]),
        ip=st.one_of(st.just(""), st.ip_addresses().map(str)),
    )
)
def test_the_normal_form_reads_back(port: ports.Port) -> None:
    assert ports.parse(str(port)) == port
    assert ports.published("published_ports", [str(port)]) == (str(port),)
