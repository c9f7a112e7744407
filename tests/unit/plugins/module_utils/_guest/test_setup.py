from __future__ import annotations

import base64
from pathlib import Path

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent import identity, setup
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent.problem import Problem
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent.shell import Done
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.settings import GuestFile, Settings


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """What the guest would run; its files are below the test's directory."""
    said: list[list[str]] = []

    def run(argv: list[str], *, timeout: float = 0.0) -> Done:
        said.append(argv)
        return Done(code=0, out=b"", err=b"")

    monkeypatch.setattr(setup, "ROOT", str(tmp_path))
    monkeypatch.setattr(setup, "run", run)
    monkeypatch.setattr(identity, "drop_ssh_keys", lambda: said.append(["drop keys"]))
    return said


def test_the_engine_is_told_of_mirrors_and_proxies() -> None:
    settings = Settings(registry_mirrors=("http://m",), https_proxy="http://p:1", no_proxy=("a", "b"))
    assert setup.engine_config(settings) == {
        "registry-mirrors": ["http://m"],
        "proxies": {"https-proxy": "http://p:1", "no-proxy": "a,b"},
    }
    assert setup.engine_config(Settings()) == {}


def test_each_setting_stands_where_photon_looks_for_it(commands: list[list[str]], tmp_path: Path) -> None:
    zone = tmp_path / "usr/share/zoneinfo/Europe/Berlin"
    zone.parent.mkdir(parents=True)
    zone.write_text("")
    (tmp_path / "etc").mkdir()
    setup.configure(
        Settings(
            registry_ca="PEM\n",
            registries=("reg:5000",),
            dns=("192.0.2.1", "192.0.2.2"),
            dns_search=("example.com",),
            ntp=("ntp.example",),
            time_zone="Europe/Berlin",
            files=(GuestFile(path="/etc/deep/motd", content=base64.b64encode(b"hi").decode(), mode="0600"),),
        )
    )
    assert (tmp_path / "etc/docker/certs.d/reg:5000/ca.crt").read_text() == "PEM\n"
    resolved = (tmp_path / "etc/systemd/resolved.conf.d/50-bonneville.conf").read_text()
    assert resolved == "[Resolve]\nDNS=192.0.2.1 192.0.2.2\nDomains=example.com\n"
    assert "NTP=ntp.example" in (tmp_path / "etc/systemd/timesyncd.conf.d/50-bonneville.conf").read_text()
    assert (tmp_path / "etc/localtime").readlink() == Path("/usr/share/zoneinfo/Europe/Berlin")
    motd = tmp_path / "etc/deep/motd"
    assert (motd.read_text(), motd.stat().st_mode & 0o777) == ("hi", 0o600)
    assert ["systemctl", "restart", "systemd-resolved.service"] in commands


def test_what_is_not_asked_for_is_left_alone(commands: list[list[str]], tmp_path: Path) -> None:
    setup.configure(Settings())
    assert (commands, list(tmp_path.iterdir())) == ([], [])


def test_an_unknown_time_zone_is_named(commands: list[list[str]]) -> None:
    with pytest.raises(Problem, match="Mars/Crater"):
        setup.configure(Settings(time_zone="Mars/Crater"))


def test_packages_come_through_the_proxy(commands: list[list[str]]) -> None:
    setup.install(Settings(packages=("vim", "htop"), http_proxy="http://p:1"))
    assert commands == [["/usr/bin/env", "http_proxy=http://p:1", "tdnf", "install", "--assumeyes", "vim", "htop"]]


def test_no_password_opens_root_and_no_sshd_starts(commands: list[list[str]]) -> None:
    setup.close(Settings())
    assert commands[0] == ["usermod", "--password", "*", "root"]
    assert ["systemctl", "mask", "sshd.service"] in commands
    assert ["drop keys"] in commands


def test_a_debug_key_opens_root_to_it_alone(commands: list[list[str]], tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    setup.close(Settings(debug_ssh_key="ssh-ed25519 AAAA me"))
    keys = tmp_path / "root/.ssh/authorized_keys"
    assert (keys.read_text(), keys.stat().st_mode & 0o777) == ("ssh-ed25519 AAAA me\n", 0o600)
    assert ["usermod", "--password", "*", "root"] in commands
    assert not [one for one in commands if "mask" in one]


def test_a_command_that_fails_is_told(commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "run", lambda argv, *, timeout: Done(code=1, out=b"", err=b"no such package"))
    with pytest.raises(Problem, match=r"tdnf install.*no such package") as raised:
        setup.install(Settings(packages=("vmi",)))
    assert raised.value.code == "settings_failed"
