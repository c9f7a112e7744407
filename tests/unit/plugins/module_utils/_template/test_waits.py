from __future__ import annotations

from ansible_collections.bonneville.vsphere.plugins.module_utils._guest import protocol
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.waits import Spoken, Told
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import VmState

GENERATION = "3f2a90c1d77e"


def said(boot: str, seq: int, phase: str, message: str = "") -> VmState:
    reason = protocol.Reason(code="internal", message=message) if message else None
    status = protocol.Status(
        role="template", nonce=GENERATION, boot=boot, seq=seq, time=0.0, phase=phase, reason=reason
    )
    return VmState(moid="vm-1", power="poweredOn", extra_config={protocol.KEY_STATUS: status.encode()})


def test_a_line_is_told_once_and_none_that_is_older() -> None:
    told, lines = Told(), list[str]()

    def wait(*states: VmState) -> None:
        """One of the waits of a build: each begins with what was seen last."""
        spoken = Spoken(name="photon@esx1", generation=GENERATION, phases=("ready",), progress=lines.append, told=told)
        for state in states:
            spoken(state)

    pulling = said("a", 2, "preparing", "pulling web:1")
    wait(said("a", 1, "preparing"))
    wait(said("a", 1, "preparing"), pulling, pulling)
    wait(pulling, said("a", 3, "primed"), pulling)
    wait(said("a", 3, "primed"), said("b", 1, "booting"), said("a", 4, "freezing"))
    wait(said("b", 2, "preparing"), said("b", 3, "ready"), said("b", 4, "ready"))
    assert lines == [
        "photon@esx1: preparing",
        "photon@esx1: preparing, pulling web:1",
        "photon@esx1: primed",
        "photon@esx1: booting",
        "photon@esx1: ready",
    ]
