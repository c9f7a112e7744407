"""What tests of the agent share: the host that it speaks to."""

from __future__ import annotations

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import Status


class Host:
    """The host's side of the VM's RPC: what it was told, in order."""

    def __init__(self) -> None:
        self.told: list[Status] = []

    def set(self, _key: str, value: str) -> None:
        self.told.append(Status.decode(value))

    def get(self, _key: str) -> str:
        return ""

    def phases(self) -> list[str]:
        return [status.phase for status in self.told if status.phase != "starting"]


@pytest.fixture
def host() -> Host:
    return Host()
