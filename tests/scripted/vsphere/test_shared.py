"""Several parts of a run wait side by side over one wait of their session."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import VsphereFault
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import find_datacenter, find_vm
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.shared import Ended, SharedWatch
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import wait_for_tasks

from tests.support.lab import Lab
from tests.support.vsphere import SECONDS

FOLDER = "shared-waiting"


@pytest.fixture(scope="module")
def lab(scripted_lab: Lab) -> Iterator[Lab]:
    for number in range(4):
        scripted_lab.control("POST", "/vms", {"name": f"shared-{number}", "folder": FOLDER})
    yield scripted_lab
    for name in set(scripted_lab.vms(FOLDER)):
        scripted_lab.control("POST", f"/vms/{name}/destroy")


def moid_of(session: Session, number: int) -> str:
    return find_vm(session, datacenter=find_datacenter(session), path=f"{FOLDER}/shared-{number}")


def test_parts_in_threads_of_their_own_each_hear_of_their_own(lab: Lab, session: Session) -> None:
    moids = [moid_of(session, number) for number in range(3)]
    before = lab.calls().get("WaitForUpdatesEx", 0)
    ended: dict[str, bool] = {}

    def work(moid: str) -> None:
        part = shared.part()
        for method in ("PowerOnVM_Task", "PowerOffVM_Task") * 3:
            task = getattr(session.managed("VirtualMachine", moid), method)()
            ended[moid] = wait_for_tasks(session, {"it": task}, deadline=Deadline(SECONDS), watch=part)["it"].ok
        part.add(vms=[moid])
        assert part.until(lambda: part.vms[moid].power == "poweredOff", Deadline(SECONDS))

    with SharedWatch(session) as shared:
        threads = [threading.Thread(target=work, args=(moid,)) for moid in moids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
    assert ended == dict.fromkeys(moids, True)
    assert lab.calls()["WaitForUpdatesEx"] - before <= 3 * 6 * 2 + 6


def test_what_another_part_follows_already_is_known_at_once(lab: Lab, session: Session) -> None:
    moid = moid_of(session, 3)
    with SharedWatch(session) as shared:
        first, second = shared.part(), shared.part()
        first.add(vms=[moid])
        assert first.until(lambda: first.vms[moid].power == "poweredOff", Deadline(SECONDS))
        second.add(vms=[moid])
        assert second.until(lambda: second.vms[moid].power == "poweredOff", Deadline(SECONDS))
        first.drop(vms=[moid])
        lab.control("POST", f"/vms/{moid}/power-on")
        assert second.until(lambda: second.vms[moid].power == "poweredOn", Deadline(SECONDS))
        assert first.vms[moid].power == "poweredOff"
        second.drop(vms=[moid])
        second.add(vms=[moid])
        assert second.until(lambda: second.vms[moid].power == "poweredOn", Deadline(SECONDS))


def test_an_object_that_is_gone_is_told_as_gone(lab: Lab, session: Session) -> None:
    with SharedWatch(session) as shared:
        part = shared.part()
        part.add(vms=["vm-999999"])
        assert part.until(lambda: part.vms["vm-999999"].gone, Deadline(SECONDS))


def test_the_end_of_a_run_ends_every_wait(lab: Lab, session: Session) -> None:
    raised: list[BaseException] = []
    before = lab.state()["collectors"]

    def work() -> None:
        try:
            part.until(lambda: False, Deadline(SECONDS))
        except BaseException as error:
            raised.append(error)

    with SharedWatch(session) as shared:
        part = shared.part()
        part.add(vms=[moid_of(session, 0)])
        thread = threading.Thread(target=work)
        thread.start()
        shared.end()
        thread.join(SECONDS)
    assert [type(error) for error in raised] == [Ended]
    assert lab.state()["collectors"] == before


def test_a_wait_that_fails_fails_for_every_part(lab: Lab, session: Session) -> None:
    with SharedWatch(session) as shared, lab.fault(method="WaitForUpdatesEx", fault="RuntimeFault", times=-1):
        part = shared.part()
        part.add(vms=[moid_of(session, 0)])
        with pytest.raises(VsphereFault):
            part.until(lambda: False, Deadline(SECONDS))
