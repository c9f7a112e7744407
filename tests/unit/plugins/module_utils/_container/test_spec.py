from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import engine
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.options import OPTIONS, UNSUPPORTED
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.spec import (
    check_service_name,
    engine_name,
    hostname,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    BonnevilleError,
    InvalidOption,
    Unsupported,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.module_utils._container.tables import spec


def test_only_what_was_set_is_there() -> None:
    assert spec(command=None).options == {"image": "web:1", "template": "photon"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("web", "web:latest"),
        ("reg:5000/web", "reg:5000/web:latest"),
        ("reg:5000/web:2", "reg:5000/web:2"),
        ("web@sha256:00", "web@sha256:00"),
        ("sha256:00", "sha256:00"),
    ],
)
def test_image_names(written: str, read: str) -> None:
    assert spec(image=written).image == read


@pytest.mark.parametrize("option", sorted(UNSUPPORTED))
def test_what_a_vm_cannot_honour_is_named(option: str) -> None:
    with pytest.raises(Unsupported, match=f"'{option}'") as error:
        spec(**{option: "x"})
    assert error.value.next_step


def test_an_unknown_option_has_close_matches() -> None:
    with pytest.raises(InvalidOption, match="published_ports"):
        spec(publish_ports=["80"])
    with pytest.raises(InvalidOption, match="no option 'files'"):
        spec(files={"/a": "b"})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image": ""}, "image"),
        ({"image": ":1"}, "no image name"),
        ({"template": None}, "template"),
        ({"memory": "1m"}, "at least 6M"),
        ({"memory": "64m", "memory_swap": "32m"}, "memory_swap"),
        ({"memory_swap": "32m"}, "memory_swap"),
        ({"memory": "64m", "memory_reservation": "128m"}, "memory_reservation"),
        ({"cpus": 0}, "no number of CPUs"),
        ({"restart_policy": False}, "quote it"),
        ({"restart_policy": "sometimes"}, "no such policy"),
        ({"restart_retries": 3}, "on-failure"),
        ({"ulimits": ["nofile:1", "nofile:2"]}, "twice"),
        ({"etc_hosts": {"db": "nowhere"}}, "no IP address"),
        ({"ip_address": "10.0.0.5"}, "prefix"),
        ({"ip_address": "here/24"}, "no address"),
        ({"ip_address": "2001:db8::5/64"}, "only IPv4"),
        ({"gateway": "2001:db8::1"}, "only IPv4"),
        ({"gateway": "10.0.0.1"}, "DHCP"),
        ({"mac_address": "aa:bb:cc:00:11:22"}, "by hand"),
        ({"mac_address": "00:50:56:40:00:00"}, "by hand"),
        ({"mac_address": "random"}, "no MAC"),
        ({"pull": "sometimes"}, "pull"),
        ({"registry_login": {"server": "r", "username": "u"}}, "registry_login.password"),
        ({"volumes": ["/data", "/data"]}, "this target"),
        ({"volumes": ["/etc/app.conf:/x:ro"], "tmpfs": ["/x"]}, "this target"),
        ({"volumes": ["data"]}, "absolute"),
        ({"volumes": ["/etc/app.conf:/x:weird"]}, "weird"),
        ({"env_file": "app.env", "env": {"A": True}}, "quote it"),
    ],
)
def test_what_cannot_be_meant(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        spec(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"volumes": ["/srv/data:/data"]}, "host's path"),
        ({"volumes": ["/srv/data:/data:rw"]}, "host's path"),
        ({"mounts": [{"type": "bind", "source": "/srv", "target": "/data"}]}, "host's path"),
    ],
)
def test_mounts_that_a_vm_cannot_honour(options: dict[str, Any], words: str) -> None:
    with pytest.raises(Unsupported, match=words) as error:
        spec(**options)
    assert error.value.next_step


def test_a_controllers_file_is_carried_and_never_shown() -> None:
    found = spec(volumes=["/etc/app.conf:/etc/app/app.conf:ro", "/data"])
    assert found.files is not None
    assert [(file.target, file.content) for file in found.files] == [("/etc/app/app.conf", b"key = value\n")]
    assert found.options["volumes"] == ("/data",)
    assert "key = value" not in repr(found)
    protocol.SpecFile(target=found.files[0].target, content=found.files[0].encoded)


def test_env_goes_over_env_file_and_is_never_shown() -> None:
    found = spec(env_file="app.env", env={"A": "task"})
    assert found.env == {"A": "task", "B": "two words"}
    assert "two words" not in repr(found)


def test_the_engines_request() -> None:
    found = spec(
        command="serve --all",
        env={"B": "2", "A": "1"},
        labels={"tier": "web"},
        published_ports=["80:8080", "127.0.0.1:81:8080"],
        exposed_ports=["9000"],
        volumes=["/data"],
        mounts=[{"type": "tmpfs", "target": "/run", "tmpfs_size": "1m", "tmpfs_mode": "1777"}],
        tmpfs=["/tmp"],
        memory="64m",
        cpus=1.5,
        capabilities=["NET_ADMIN"],
        ulimits=["nofile:1:2"],
        etc_hosts={"db": "10.0.0.9"},
        restart_policy="on-failure",
        restart_retries=3,
        healthcheck={"test": ["CMD", "true"]},
        read_only=True,
        stop_timeout=30,
    )
    assert engine.body(found, hostname="web-0") == {
        "Hostname": "web-0",
        "Cmd": ["serve", "--all"],
        "Env": ["A=1", "B=2"],
        "Labels": {"tier": "web"},
        "Healthcheck": {"Test": ["CMD", "true"]},
        "StopTimeout": 30,
        "ExposedPorts": {"8080/tcp": {}, "9000/tcp": {}},
        "Volumes": {"/data": {}},
        "HostConfig": {
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}},
            "PortBindings": {"8080/tcp": [{"HostIp": "", "HostPort": "80"}, {"HostIp": "127.0.0.1", "HostPort": "81"}]},
            "Tmpfs": {"/run": "size=1048576,mode=1777", "/tmp": ""},
            "Memory": 64 * 2**20,
            "NanoCpus": 1_500_000_000,
            "CapAdd": ["NET_ADMIN"],
            "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
            "ExtraHosts": ["db:10.0.0.9"],
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "ReadonlyRootfs": True,
        },
    }


def test_every_option_of_the_container_reaches_the_engine() -> None:
    """An option that is read and goes nowhere would be ignored without a word."""
    written: dict[str, Any] = {
        "published_ports": ["80:80"], "exposed_ports": ["90"], "etc_hosts": {"a": "10.0.0.1"}, "ulimits": ["core:0"],
        "tmpfs": ["/t"], "volumes": ["/v"], "env": {"A": "b"}, "restart_policy": "always", "hostname": "h",
        "healthcheck": {"retries": 2}, "memory": "64m", "memory_reservation": "32m", "memory_swap": "-1",
        "shm_size": "1m", "cpus": 1, "labels": {"a": "b"}, "sysctls": {"a": "b"}, "dns_servers": ["10.0.0.1"],
    }  # fmt: skip
    elsewhere = {"image", "template", "network", "ip_address", "gateway", "dns", "dns_search", "mac_address", "files"}
    plain = engine.body(spec(), hostname="web")
    for name, option in OPTIONS.items():
        if name in elsewhere or name == "restart_retries":
            continue
        kind = {"value": "x", "list": ["x"], "set": ["x"], "dict": {"x": "y"}}[option.kind]
        for value in (written.get(name, kind), True, 7):
            try:
                read = spec(**{name: value, **({"memory": "64m"} if name.startswith("memory") else {})})
            except BonnevilleError:
                continue
            break
        assert engine.body(read, hostname="web") != plain, name


@pytest.mark.parametrize("name", ["web", "a", "Web_1.x-y", "a" * 60])
def test_service_names(name: str) -> None:
    assert check_service_name("name", name) == name


@pytest.mark.parametrize("name", ["", "-web", "web-", "a" * 61, "a/b", "a b", "web~2", "ä"])
def test_what_is_no_service_name(name: str) -> None:
    with pytest.raises(InvalidOption):
        check_service_name("name", name)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,58}[A-Za-z0-9](~[12])?", fullmatch=True))
def test_names_are_ones_that_the_agent_accepts(name: str) -> None:
    document = {
        **json.loads(_document(engine_name(name), hostname(name))),
    }
    assert protocol.Spec.decode(json.dumps(document)).hostname


def _document(name: str, host: str) -> bytes:
    return protocol.Spec(
        nonce="0" * 32, vm="vm", template_uuid="u", seed="0" * 64, hostname=host, network=protocol.GuestNetwork(),
        name=name, image="web:1", container={},
    ).encode()  # fmt: skip
