from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.desired import DEFAULT_FOLDER, request_from

SETTINGS = (
    "registry_mirrors", "registry_ca", "http_proxy", "https_proxy", "no_proxy", "dns", "dns_search", "ntp",
    "bridge_cidr", "time_zone", "debug_ssh_key", "packages", "files",
)  # fmt: skip
LOGIN = {"server": "r", "username": "u", "password": "p"}


def params(**changes: Any) -> dict[str, Any]:
    """The module's options as AnsibleModule hands them over, with the given differences."""
    return {
        "name": "photon",
        "state": "present",
        "source": {"ova": "/photon.ova", "vm": None},
        "accept_eula": False,
        "cluster": "c1",
        "hosts": None,
        "datacenter": None,
        "folder": DEFAULT_FOLDER,
        "datastore": "ds1",
        "network": "n1",
        "cpus": None,
        "memory_mb": None,
        "memory_reservation_mb": None,
        "disk_gb": None,
        "images": None,
        "pull": "always",
        "force": False,
        "owner": "",
        "image_archives": None,
        "registry_logins": None,
        "insecure_registries": None,
        **dict.fromkeys(SETTINGS),
        "timeout": 3600,
        **changes,
    }


def test_what_is_asked_for_arrives() -> None:
    request = request_from(
        params(images=["web", "web:latest"], image_archives=["/a.tar"], registry_logins=[LOGIN], memory_mb=512)
    )
    assert request.images == ("web:latest",)
    assert request.archives == ("/a.tar",)
    assert request.logins[0].username == "u"
    assert (request.ova, request.vm, request.memory_mb) == ("/photon.ova", "", 512)


def test_an_absent_template_needs_nothing_but_its_name() -> None:
    request = request_from(params(state="absent", source=None, cluster=None, datastore=None, network=None))
    assert request.state == "absent"


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"name": "a/b"}, "a/b"),
        ({"cpus": 0}, "cpus"),
        ({"memory_mb": 128}, "memory_mb"),
        ({"memory_mb": 1023}, "memory_mb"),
        ({"memory_mb": 1024, "memory_reservation_mb": 2048}, "2048 MiB"),
        ({"memory_reservation_mb": -1}, "memory_reservation_mb"),
        ({"disk_gb": 0}, "disk_gb"),
        ({"timeout": 0}, "timeout"),
        ({"hosts": [], "cluster": None}, "hosts"),
        ({"hosts": ["esx1", " "], "cluster": None}, "hosts"),
        ({"cluster": ""}, "cluster"),
        ({"datastore": ""}, "datastore"),
        ({"network": ""}, "network"),
        ({"source": {"ova": "", "vm": None}}, "source"),
        ({"images": [""]}, "image"),
        ({"registry_mirrors": ["https://mirror/path"]}, "registry_mirrors"),
        ({"http_proxy": "http://me:secret@proxy:3128"}, "http_proxy"),
        ({"https_proxy": "proxy:3128"}, "https_proxy"),
        ({"no_proxy": ["a,b"]}, "no_proxy"),
        ({"dns": ["ns1.example.com"]}, "dns"),
        ({"dns_search": ["two words"]}, "dns_search"),
        ({"ntp": [""]}, "ntp"),
        ({"bridge_cidr": "10.0.0.0"}, "bridge_cidr"),
        ({"bridge_cidr": "fd00::/64"}, "bridge_cidr"),
        ({"time_zone": "../../etc/shadow"}, "time_zone"),
        ({"debug_ssh_key": "-----BEGIN OPENSSH PRIVATE KEY-----"}, "debug_ssh_key"),
        ({"packages": ["--nogpgcheck"]}, "packages"),
        ({"files": [{"path": "etc/x", "content": "", "src": None, "mode": "0644"}]}, "files"),
        ({"files": [{"path": "/etc/../x", "content": "", "src": None, "mode": "0644"}]}, "files"),
        ({"files": [{"path": "/etc/x", "content": "", "src": None, "mode": "420x"}]}, "files"),
        ({"files": [{"path": "/x", "content": "", "src": None, "mode": "0644"}] * 2}, "files"),
        ({"image_archives": [""]}, "image_archives"),
        ({"registry_logins": [{**LOGIN, "password": ""}]}, "registry_logins"),
        ({"registry_logins": [LOGIN, LOGIN]}, "registry_logins"),
    ],
)
def test_what_cannot_be_meant_is_named(changes: dict[str, Any], option: str) -> None:
    with pytest.raises(InvalidOption, match=option):
        request_from(params(**changes))


@pytest.mark.parametrize("address", ["http://me:s3cret@host:3128", "me:s3cret@host:3128", "http://me:s3/cret@host"])
@pytest.mark.parametrize("option", ["http_proxy", "https_proxy", "registry_mirrors"])
def test_a_login_in_an_address_is_refused_and_not_shown(option: str, address: str) -> None:
    with pytest.raises(InvalidOption, match=f"'{option}': a login in an address is not supported") as caught:
        request_from(params(**{option: [address] if option == "registry_mirrors" else address}))
    assert "cret" not in str(caught.value)
    assert "me:" not in str(caught.value)


def test_no_password_is_in_an_error() -> None:
    logins = [{**LOGIN, "password": "s3cret"}] * 2
    with pytest.raises(InvalidOption) as caught:
        request_from(params(registry_logins=logins))
    assert "s3cret" not in str(caught.value)
