"""The login that a template's images were pulled with is in no memory and on no disk once it is frozen."""

from __future__ import annotations

import json

import pytest

from tests.support.lab import Lab
from tests.support.machines import Machine
from tests.support.searching import forms, in_file


@pytest.mark.timeout(900)
def test_a_registry_login_is_in_no_memory_on_no_disk_and_in_no_setting(vm_lab: Lab, frozen: Machine) -> None:
    private = vm_lab.ready["private"]
    secret = forms(private["username"], private["password"])
    image = private["images"]["web"]
    assert frozen.find(image.encode()), "what it pulled is known to its engine"
    assert frozen.find(*secret) == []
    disks = sorted(vm_lab.directory.rglob("disk-*.qcow2"))
    assert any(in_file(file, [image.encode()]) for file in disks)
    assert not any(in_file(file, secret) for file in disks)
    assert private["password"] not in json.dumps(vm_lab.state())
