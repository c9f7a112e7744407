from __future__ import annotations

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import GuestFailed
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.trial import _SOUND, _ran
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import VmState

NONCE = "0" * 32


def said(phase: str, code: str = "", *, nonce: str = NONCE) -> VmState:
    reason = protocol.Reason(code=code, message=f"because of {code}") if code else None
    status = protocol.Status(role="container", nonce=nonce, boot="b", seq=1, time=0.0, phase=phase, reason=reason)
    return VmState(moid="vm-1", power="poweredOn", extra_config={protocol.KEY_STATUS: status.encode()})


def ran(state: VmState) -> bool | None:
    return _ran(state, nonce=NONCE, template="photon@esx1~2", sound=_SOUND)


@pytest.mark.parametrize(
    "state",
    [
        VmState(moid="vm-1"),
        VmState(moid="vm-1", extra_config={protocol.KEY_STATUS: "{"}),
        said("thawed"),
        said("creating"),
        # The template's own word, which a clone may inherit.
        said("failed", "docker_unavailable", nonce="3f2a90c1d77e"),
    ],
)
def test_what_is_no_end_of_it_is_waited_for(state: VmState) -> None:
    assert ran(state) is None


@pytest.mark.parametrize(
    "state", [said("created"), said("failed", "command_not_found"), said("failed", "dhcp_no_answer")]
)
def test_a_container_that_got_as_far_as_it_can_is_sound(state: VmState) -> None:
    assert ran(state) is True


@pytest.mark.parametrize("code", ["docker_unavailable", "unseal_failed", "image_missing", "container_start_failed"])
def test_anything_else_is_told_with_the_template_vms_name(code: str) -> None:
    with pytest.raises(GuestFailed, match=f"photon@esx1~2.*because of {code}"):
        ran(said("failed", code))
