"""What the agent makes a machine's own, as far as it shows without a machine; tests/vm has the rest."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent import identity, places
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.agent.shell import Done


def test_a_disk_that_is_to_be_copied_has_no_machine_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, bus = tmp_path / "machine-id", tmp_path / "dbus"
    monkeypatch.setattr(identity, "_MACHINE_ID", str(own))
    monkeypatch.setattr(identity, "_DBUS_ID", str(bus))
    own.write_text("0123\n")
    bus.write_text("0123\n")
    identity.forget_machine_id()
    # Empty, not gone: without the file systemd would take the next boot for the very first.
    assert own.read_text() == ""
    # With one of its own systemd would give every copy that.
    assert not bus.exists()
    bus.symlink_to(own)
    identity.forget_machine_id()
    assert bus.is_symlink()


@pytest.mark.parametrize("code", [0, 32])
def test_the_boot_id_is_a_random_uuid(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[list[str]] = []

    def run(argv: list[str]) -> Done:
        ran.append(argv)
        return Done(code=code, out=b"", err=b"mount: permission denied")

    monkeypatch.setattr(places, "RUN", str(tmp_path))
    monkeypatch.setattr(identity, "run", run)
    identity._set_boot_id()
    identity._set_boot_id()
    own = tmp_path / "boot_id"
    assert uuid.UUID(own.read_text().strip()).version == 4
    assert ran[0] == ["mount", "--bind", str(own), "/proc/sys/kernel/random/boot_id"]
    assert ("permission denied" in capsys.readouterr().err) == bool(code)
