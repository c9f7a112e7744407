"""Where a template's first VM comes from: an OVA at a web address, over connections that break, or got by the host."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scripted.template_support import READS, Template, actions, good, make_folder
from tests.scripted.vsphere.servers import self_signed
from tests.support.downloads import Downloads, serving
from tests.support.lab import Lab
from tests.support.modules import run_module

_numbers = itertools.count()


@pytest.fixture
def template(scripted_lab: Lab) -> Iterator[Template]:
    one = Template(
        lab=scripted_lab, name=f"src{next(_numbers)}", options={"cluster": None, "hosts": hosts(scripted_lab)}
    )
    make_folder(scripted_lab, one.folder)
    yield one
    good(one.absent())
    assert not scripted_lab.state()["violations"]


def hosts(lab: Lab) -> list[str]:
    return sorted(lab.ready["hosts"])[:1]


@pytest.fixture
def web(scripted_lab: Lab) -> Iterator[Downloads]:
    ova = Path(scripted_lab.ready["ova"]).read_bytes()
    digits = hashlib.sha256(ova).hexdigest()
    sums = f"{'0' * 64}  other.ova\n{digits} *photon.ova\n".encode()
    with serving(Downloads(files={"/photon.ova": ova, "/SHA256SUMS": sums})) as downloads:
        yield downloads


def checksum(web: Downloads) -> str:
    return f"sha256:{hashlib.sha256(web.files['/photon.ova']).hexdigest()}"


def test_it_is_streamed_once_and_taken_up_again_where_it_broke(template: Template, web: Downloads) -> None:
    size = len(web.files["/photon.ova"])
    web.hang_up_after = size // 4 + 1
    source = {"url": f"{web.origin}/photon.ova", "checksum": checksum(web)}
    built = template.built(source=source)
    assert actions(built) == [("import", template.vm(0))]
    assert web.sent == size
    assert len(web.asked) == 4
    assert web.asked[1:] == [f"bytes={n * web.hang_up_after}-" for n in (1, 2, 3)]
    web.asked.clear()
    assert not template.built(source=source)["changed"]
    assert web.asked == []


def test_the_checksum_may_stand_at_a_web_address(template: Template, web: Downloads) -> None:
    source = {"url": f"{web.origin}/photon.ova", "checksum": f"sha256:{web.origin}/SHA256SUMS"}
    template.built(source=source)
    assert not template.built(source={**source, "checksum": checksum(web)})["changed"]
    missing = template.run(source={"url": f"{web.origin}/another.ova", "checksum": source["checksum"]})
    assert missing["error_code"] == "ova_invalid"
    assert "another.ova" in missing["msg"]


def test_another_checksum_leaves_no_vm(template: Template, web: Downloads) -> None:
    wrong = f"sha256:{'a' * 64}"
    refused = template.run(source={"url": f"{web.origin}/photon.ova", "checksum": wrong})
    assert refused["error_code"] == "ova_invalid"
    assert "a" * 64 in refused["msg"]
    assert template.vms() == {}
    assert template.orphans() == []


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"url": "{origin}/none.ova"}, "not_found", "none.ova"),
        ({"url": "ftp://host/photon.ova"}, "invalid_option", "source.url"),
        ({"url": "http://user:secret@host/photon.ova"}, "invalid_option", "login"),
        ({"checksum": "md5:abc"}, "invalid_option", "sha256"),
        ({"checksum": "sha256:abc"}, "invalid_option", "64"),
        ({"checksum": "sha256:{origin}/none"}, "not_found", "none"),
    ],
)
def test_what_cannot_be_had_is_told_before_anything_is_made(
    template: Template, web: Downloads, changes: dict[str, str], code: str, words: str
) -> None:
    source = {"url": f"{web.origin}/photon.ova", "checksum": checksum(web)}
    source |= {option: text.format(origin=web.origin) for option, text in changes.items()}
    template.lab.reset_calls()
    for check in (True, False):
        refused = template.run(check=check, source=source)
        assert refused["error_code"] == code, refused["msg"]
        assert words in refused["msg"]
    assert set(template.lab.calls()) <= READS
    assert template.vms() == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"http_proxy": "http://me:s3cret@proxy.example:3128"},
        {"registry_mirrors": ["https://me:s3cret@mirror.example"]},
        {"source": {"url": "http://me:s3cret@host/photon.ova", "checksum": f"sha256:{'a' * 64}"}},
        {"source": {"url": "http://host/photon.ova", "checksum": "sha256:http://me:s3cret@host/SHA256SUMS"}},
    ],
)
def test_a_login_in_an_address_is_refused_and_shown_nowhere(template: Template, changes: dict[str, Any]) -> None:
    refused = template.run(**changes)
    assert refused["error_code"] == "invalid_option"
    assert "login" in refused["msg"]
    assert "s3cret" not in json.dumps(refused)


def test_a_server_that_cannot_go_on_is_told_and_leaves_nothing(template: Template, web: Downloads) -> None:
    web.hang_up_after, web.ranges = len(web.files["/photon.ova"]) // 2, False
    refused = template.run(source={"url": f"{web.origin}/photon.ova", "checksum": checksum(web)})
    assert refused["error_code"] == "ova_invalid"
    assert "go on" in refused["msg"]
    assert template.vms() == {}
    assert template.orphans() == []


def test_a_url_without_a_checksum_and_a_license_that_is_not_accepted_are_refused(
    template: Template, web: Downloads
) -> None:
    assert "checksum" in template.run(source={"url": f"{web.origin}/photon.ova"})["msg"]
    source = {"url": f"{web.origin}/photon.ova", "checksum": checksum(web)}
    refused = template.run(source=source, accept_eula=False)
    assert refused["error_code"] == "invalid_option"
    assert "accept_eula" in refused["msg"]
    assert template.vms() == {}


# Got by the host ------------------------------------------------------------------


def pulled(web: Downloads) -> dict[str, str]:
    return {"url": f"{web.origin}/photon.ova", "checksum": checksum(web), "transfer": "pull"}


def test_the_host_may_get_it_by_itself(template: Template, web: Downloads) -> None:
    template.lab.reset_calls()
    built = template.built(source=pulled(web))
    assert actions(built) == [("import", template.vm(0))]
    assert web.by_hosts == 1
    assert web.sent == 2 * len(web.files["/photon.ova"])  # once to the host, once to the controller
    assert template.lab.calls()["HttpNfcLeasePullFromUrls_Task"] == 1
    assert not template.built(source={**pulled(web), "transfer": "push"})["changed"]


def test_a_host_believes_the_certificate_that_was_verified_here(
    template: Template, web: Downloads, tmp_path: Path
) -> None:
    certificate = self_signed(tmp_path)
    with serving(Downloads(files=web.files), certificate=certificate) as safe:
        options = template.given({"source": pulled(safe)})
        environment = {**template.lab.environment, "REQUESTS_CA_BUNDLE": str(certificate)}
        good(run_module("photon_template", options, environment=environment))
    assert safe.by_hosts == 1


@pytest.mark.parametrize("other", ["another disk", "nothing"])
def test_a_host_that_gets_something_else_leaves_no_vm(template: Template, web: Downloads, other: str) -> None:
    ova = bytearray(web.files["/photon.ova"])
    ova[-20_000] ^= 1
    web.to_hosts = {"/photon.ova": bytes(ova) if other == "another disk" else b""}
    refused = template.run(source=pulled(web))
    assert refused["error_code"] == ("ova_invalid" if other == "another disk" else "vsphere_fault"), refused["msg"]
    assert ("sha256" if other == "another disk" else "404") in refused["msg"]
    assert "push" in refused["msg"]
    assert template.vms() == {}
    assert template.orphans() == []


def test_a_wrong_checksum_leaves_no_vm_of_the_hosts_either(template: Template, web: Downloads) -> None:
    refused = template.run(source={**pulled(web), "checksum": f"sha256:{'a' * 64}"})
    assert refused["error_code"] == "ova_invalid"
    assert template.vms() == {}
    assert template.orphans() == []


def test_what_no_host_can_do_is_said(template: Template, web: Downloads) -> None:
    with template.denied("VApp.PullFromUrls"):
        assert "VApp.PullFromUrls" in template.run(source=pulled(web))["msg"]
    refused = template.run(source={"ova": template.lab.ready["ova"], "transfer": "pull"})
    assert (refused["error_code"], "source.transfer" in refused["msg"]) == ("invalid_option", True)
    template.lab.control("POST", "/switch", {"pull_mode": False})
    try:
        refused = template.run(source=pulled(web))
    finally:
        template.lab.control("POST", "/switch", {"pull_mode": True})
    assert refused["error_code"] == "api_unsupported"
    assert "push" in refused["msg"]
    assert template.vms() == {}
