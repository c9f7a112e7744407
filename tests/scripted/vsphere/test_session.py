"""Reaching vCenter, staying logged in, and leaving."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import requests
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    ApiUnsupported,
    BonnevilleError,
    CertificateUntrusted,
    InvalidOption,
    LoginRefused,
    NotFound,
    SessionLost,
    Unreachable,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import read_scope
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import (
    ensure_folder,
    find_by_uuid,
    find_datacenter,
    find_folder,
    find_folder_or_none,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Folder
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import (
    Connection,
    Session,
    open_session,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import Watch

from tests.scripted.vsphere.servers import closed_port, connect_proxy, http_server, self_signed
from tests.support.lab import Lab, running_lab
from tests.support.vsphere import connected, connection

Reading = Callable[[Session], Any]


@pytest.fixture
def no_ca(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that names no CA."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def sessions_stay(scripted_lab: Lab) -> Iterator[None]:
    """After the test there are as many sessions as before."""
    before = scripted_lab.state()["sessions"]
    yield
    assert scripted_lab.state()["sessions"] == before


def reach(there: Connection) -> str:
    with open_session(there) as session:
        return session.user_name


# Reaching it -----------------------------------------------------------------


def test_a_session_knows_its_vcenter(session: Session, scripted_lab: Lab) -> None:
    assert session.user_name == scripted_lab.connection["vcenter_username"]
    assert session.api_version == "8.0.3.0"
    assert len(session.instance_uuid) == 36


def test_coming_and_going_costs_three_calls(scripted_lab: Lab) -> None:
    scripted_lab.reset_calls()
    with connected(scripted_lab):
        pass
    assert scripted_lab.calls() == {"RetrieveServiceContent": 1, "Login": 1, "Logout": 1}


def test_a_port_that_nothing_listens_on(scripted_lab: Lab) -> None:
    port = closed_port()
    with pytest.raises(Unreachable, match=rf"Cannot reach vCenter '127\.0\.0\.1:{port}': Connection refused\. Check"):
        reach(connection(scripted_lab, port=port))


def test_a_name_that_nobody_knows(scripted_lab: Lab) -> None:
    with pytest.raises(Unreachable, match=r"'nowhere\.invalid:\d+': the name cannot be resolved.*vcenter_hostname"):
        reach(connection(scripted_lab, hostname="nowhere.invalid"))


@pytest.mark.usefixtures("sessions_stay")
def test_a_wrong_password(scripted_lab: Lab) -> None:
    wrong = "not-the-password"
    with (
        pytest.raises(LoginRefused, match="user name or password is wrong") as told,
        connected(scripted_lab, password=wrong),
    ):
        pass
    assert wrong not in told.value.message + str(told.value.details) + repr(connection(scripted_lab, password=wrong))


def test_a_certificate_that_is_not_trusted(scripted_lab: Lab, no_ca: pytest.MonkeyPatch) -> None:
    with pytest.raises(CertificateUntrusted, match="SSL_CERT_FILE or REQUESTS_CA_BUNDLE"):
        reach(connection(scripted_lab))


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_certificate_whose_ca_is_in_a_file(scripted_lab: Lab, no_ca: pytest.MonkeyPatch, variable: str) -> None:
    no_ca.setenv(variable, scripted_lab.ready["vcenter"]["ca_file"])
    assert reach(connection(scripted_lab))


def test_a_certificate_whose_ca_is_in_a_directory(scripted_lab: Lab, no_ca: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ca = scripted_lab.ready["vcenter"]["ca_file"]
    name = subprocess.run(["openssl", "x509", "-hash", "-noout", "-in", ca], check=True, capture_output=True, text=True)
    (tmp_path / f"{name.stdout.strip()}.0").symlink_to(ca)
    no_ca.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    assert reach(connection(scripted_lab))


def test_a_certificate_is_not_looked_at_when_told_so(scripted_lab: Lab, no_ca: pytest.MonkeyPatch) -> None:
    there = connection(scripted_lab, validate_certs=False)
    with open_session(there) as session:
        assert session.http("GET", "/folder/nothing?dcPath=DC0&dsName=LocalDS_0").status == 404


def test_an_api_that_is_too_old() -> None:
    with running_lab(guests="scripted", hosts=1, arguments=("--api-version", "6.5")) as old:
        with pytest.raises(ApiUnsupported, match=r"its API is 6\.5, and instant clones came with 6\.7"), connected(old):
            pass
        assert old.calls() == {"RetrieveServiceContent": 1}


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (404, b"no such page"),
        (301, b"moved"),
        (405, b"no POST here"),
        (200, b"<!DOCTYPE html><html><body>Welcome<br></body></html>"),
        (200, b"<html><body>Welcome</body></html>"),
        (200, b'{"welcome": true}'),
        (200, b""),
        (500, b"<html><body>Sorry</body></html>"),
    ],
)
def test_an_https_server_that_is_no_vcenter(tmp_path: Path, scripted_lab: Lab, status: int, content: bytes) -> None:
    with (
        http_server(lambda request, body: (status, content), certificate=self_signed(tmp_path)) as port,
        pytest.raises(ApiUnsupported, match=r"does not answer as a vCenter does.*vCenter Server 6\.7") as told,
    ):
        reach(connection(scripted_lab, port=port, validate_certs=False))
    assert len(told.value.message) < 400


def test_a_server_without_tls(scripted_lab: Lab) -> None:
    with (
        http_server(lambda request, body: (200, b"hello")) as port,
        pytest.raises(Unreachable, match=r"TLS cannot be agreed on.*vcenter_port"),
    ):
        reach(connection(scripted_lab, port=port))


def test_a_host_is_no_vcenter(tmp_path: Path, scripted_lab: Lab) -> None:
    real = scripted_lab.ready["vcenter"]

    def as_host(request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        url = f"https://{real['host']}:{real['port']}{request.path}"
        answer = requests.post(url, data=body, verify=real["ca_file"], timeout=10)
        return answer.status_code, answer.content.replace(b"VirtualCenter", b"HostAgent")

    with (
        http_server(as_host, certificate=self_signed(tmp_path)) as port,
        pytest.raises(ApiUnsupported, match="only vCenter can make instant clones"),
    ):
        reach(connection(scripted_lab, port=port, validate_certs=False))


# Through a proxy -------------------------------------------------------------


def test_a_proxy_carries_all_that_is_said(scripted_lab: Lab) -> None:
    there = scripted_lab.ready["vcenter"]
    with (
        connect_proxy(to=there["port"]) as (port, asked),
        connected(scripted_lab, proxy_host="127.0.0.1", proxy_port=port) as session,
    ):
        find_datacenter(session)
        by_soap = len(asked)
        session.http("GET", "/folder/nothing?dcPath=DC0&dsName=LocalDS_0")
    assert by_soap >= 1
    assert len(asked) == by_soap + 1
    assert {line.rpartition(" ")[0] for line in asked} == {f"CONNECT {there['host']}:{there['port']}"}


def test_a_certificate_of_another_name_is_refused_behind_a_proxy(scripted_lab: Lab) -> None:
    with (
        connect_proxy(to=scripted_lab.ready["vcenter"]["port"]) as (port, _),
        pytest.raises(CertificateUntrusted, match="Hostname mismatch"),
        connected(scripted_lab, hostname="vcenter.example", proxy_host="127.0.0.1", proxy_port=port),
    ):
        pass


def test_a_proxy_that_refuses(scripted_lab: Lab) -> None:
    with connect_proxy(to=None, refuse=407) as (port, _), pytest.raises(Unreachable, match="407"):
        reach(connection(scripted_lab, proxy_host="127.0.0.1", proxy_port=port))


# Transient faults --------------------------------------------------------------

READS: dict[str, Reading] = {
    "RetrieveServiceContent": lambda session: None,  # the session's own first call
    "RetrievePropertiesEx": lambda session: len(read_scope(session, folders=[others(session)]).vms),
    "FindByInventoryPath": lambda session: find_datacenter(session, "DC0"),
    "FindAllByUuid": lambda session: find_by_uuid(session, ["564d0000-0000-0000-0000-000000000000"]),
    "Fetch": lambda session: session.managed("Folder", others(session).moid).name,
}


def others(session: Session) -> Folder:
    return find_folder(session, datacenter=find_datacenter(session, "DC0"), path="others")


@pytest.mark.parametrize("fault", ["http503", "reset"])
@pytest.mark.parametrize("method", READS)
def test_a_read_survives_what_passes(scripted_lab: Lab, method: str, fault: str) -> None:
    with connected(scripted_lab) as undisturbed:
        expected = READS[method](undisturbed)
    with scripted_lab.fault(method=method, fault=fault, times=2), connected(scripted_lab) as session:
        scripted_lab.reset_calls()
        assert READS[method](session) == expected
        if method != "RetrieveServiceContent":
            assert scripted_lab.calls()[method] == 3


def test_a_read_gives_up_in_the_end(scripted_lab: Lab, session: Session) -> None:
    datacenter = find_datacenter(session)
    scripted_lab.reset_calls()
    with (
        scripted_lab.fault(method="FindByInventoryPath", fault="http503", times=-1),
        pytest.raises(Unreachable, match="its service is not available"),
    ):
        find_folder_or_none(session, datacenter=datacenter, path="others")
    assert scripted_lab.calls() == {"FindByInventoryPath": 4}


@pytest.mark.parametrize("fault", ["http503", "reset"])
def test_a_change_is_never_made_twice(scripted_lab: Lab, session: Session, fault: str) -> None:
    datacenter = find_datacenter(session)
    scripted_lab.reset_calls()
    with (
        scripted_lab.fault(method="CreateFolder", fault=fault, times=1),
        pytest.raises(Unreachable, match=f"Cannot create the folder 'once-{fault}'"),
    ):
        ensure_folder(session, datacenter=datacenter, path=f"once-{fault}")
    assert scripted_lab.calls()["CreateFolder"] == 1


def test_connections_that_vcenter_closed_are_not_used_again(scripted_lab: Lab) -> None:
    with running_lab(guests="scripted", hosts=1) as lab, connected(lab) as session:
        assert find_datacenter(session, "DC0")
        lab.control("POST", "/vcenter/restart?away_ms=10")
        with pytest.raises(SessionLost):
            ensure_folder(session, datacenter=find_datacenter(session, "DC0"), path="made")


# Deadlines ---------------------------------------------------------------------


@pytest.mark.timeout(30)  # one answer alone may take 60 seconds
def test_a_hung_call_ends_at_the_deadline(scripted_lab: Lab, session: Session) -> None:
    session.deadline = Deadline(1.0)
    with (
        scripted_lab.fault(method="FindByInventoryPath", fault="hang", times=-1),
        pytest.raises(Unreachable, match="did not answer in time"),
    ):
        find_datacenter(session, "DC0")


@pytest.mark.timeout(30)
def test_a_hung_login_ends_after_the_call_timeout(scripted_lab: Lab) -> None:
    with (
        scripted_lab.fault(method="Login", fault="hang", times=-1),
        pytest.raises(Unreachable, match=r"Cannot log in to vCenter '.* at .*': it did not answer in time"),
        connected(scripted_lab, call_timeout=1.0),
    ):
        pass


# Leaving -------------------------------------------------------------------------


class Stopped(BaseException):
    """As an interrupt, it is no Exception."""


@pytest.mark.usefixtures("sessions_stay")
@pytest.mark.parametrize("error", [NotFound("Cannot find"), ValueError("a mistake"), Stopped(), SystemExit(1)])
def test_logged_out_on_every_way_out(scripted_lab: Lab, error: BaseException) -> None:
    with pytest.raises(type(error)), connected(scripted_lab):
        raise error


@pytest.mark.usefixtures("sessions_stay")
def test_logged_out_after_a_call_was_broken(scripted_lab: Lab) -> None:
    with (
        pytest.raises(Unreachable),
        connected(scripted_lab) as session,
        scripted_lab.fault(method="CreateFolder", fault="reset"),
    ):
        ensure_folder(session, datacenter=find_datacenter(session), path="broken")


@pytest.mark.usefixtures("sessions_stay")
def test_logged_out_past_the_deadline(scripted_lab: Lab) -> None:
    with connected(scripted_lab) as session:
        session.deadline = Deadline(0.0)


def test_a_login_whose_answer_is_lost_leaves_no_session(scripted_lab: Lab) -> None:
    before = scripted_lab.state()["sessions"]
    with scripted_lab.fault(method="Login", fault="reset"), pytest.raises(Unreachable), connected(scripted_lab):
        pass
    assert scripted_lab.state()["sessions"] == before


def test_leaving_a_vcenter_that_is_gone_is_no_error() -> None:
    with running_lab(guests="scripted", hosts=1) as lab, connected(lab):
        lab.process.terminate()
        lab.process.wait()


# A session that ends in the middle -----------------------------------------------


def root_folder(session: Session) -> str:
    return str(session.content.rootFolder._moId)


def wait_a_little(session: Session) -> None:
    with Watch(session) as watch:
        watch.add(vms=["vm-1"])
        watch.wait(Deadline(1.0))


CALLS: dict[str, Reading] = {
    "a lookup": lambda session: find_datacenter(session, "DC0"),
    "a read": lambda session: read_scope(session, folders=[Folder(moid=root_folder(session), path="")]),
    "a wait": lambda session: wait_a_little(session),
    "a change": lambda session: ensure_folder(session, datacenter=find_datacenter(session, "DC0"), path="late"),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_session_that_expired_says_so(scripted_lab: Lab, call: str) -> None:
    with connected(scripted_lab) as session:
        scripted_lab.control("POST", "/sessions/expire")
        with pytest.raises(SessionLost, match=r"the session has ended.*Run again"):
            CALLS[call](session)


# HTTP beside SOAP ------------------------------------------------------------------


def test_vcenter_is_shown_the_cookie_and_others_are_not(
    scripted_lab: Lab, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert session.http("GET", "/folder/nothing?dcPath=DC0&dsName=LocalDS_0").status == 404  # not 401
    seen: list[str | None] = []

    def remember(request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        seen.append(request.headers.get("Cookie"))
        return 200, b"ok"

    certificate = self_signed(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with http_server(remember, certificate=certificate) as port, connected(scripted_lab, validate_certs=False) as other:
        assert other.http("GET", f"https://127.0.0.1:{port}/").data == b"ok"
    assert seen == [None]


def test_http_to_a_port_that_nothing_listens_on(session: Session) -> None:
    with pytest.raises(Unreachable, match="Connection refused"):
        session.http("GET", f"https://127.0.0.1:{closed_port()}/")


def test_http_to_a_host_whose_certificate_is_not_trusted(session: Session, tmp_path: Path) -> None:
    with (
        http_server(lambda request, body: (200, b""), certificate=self_signed(tmp_path)) as port,
        pytest.raises(CertificateUntrusted, match=rf"Cannot reach '127\.0\.0\.1:{port}'"),
    ):
        session.http("GET", f"https://127.0.0.1:{port}/")


def test_http_reads_are_repeated_and_uploads_are_not(scripted_lab: Lab, tmp_path: Path) -> None:
    asked: list[str | None] = []

    def busy(request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        asked.append(request.command)
        return (503, b"") if len(asked) < 3 else (200, b"at last")

    with (
        http_server(busy, certificate=self_signed(tmp_path)) as port,
        connected(scripted_lab, validate_certs=False) as session,
    ):
        assert session.http("GET", f"https://127.0.0.1:{port}/").data == b"at last"
        asked.clear()
        assert session.http("PUT", f"https://127.0.0.1:{port}/", body=b"once").status == 503
    assert asked == ["PUT"]


# Side by side -------------------------------------------------------------------


def test_in_parallel_keeps_the_order_and_the_limit(session: Session) -> None:
    datacenter = find_datacenter(session)
    paths = [f"side/{number}" for number in range(8)]
    found = session.in_parallel(
        lambda path: (path, find_folder_or_none(session, datacenter=datacenter, path=path)), paths
    )
    assert found == [(path, None) for path in paths]
    assert session.in_parallel(lambda number: number + 1, []) == []


def test_in_parallel_raises_the_first_error_after_all_that_began(session: Session) -> None:
    done: list[int] = []

    def work(number: int) -> int:
        if number == 2:
            raise InvalidOption("Cannot use the number", obj=str(number))
        done.append(number)
        return number

    with pytest.raises(BonnevilleError, match="'2'"):
        session.in_parallel(work, range(4), limit=4)
    assert set(done) >= {0, 1}
