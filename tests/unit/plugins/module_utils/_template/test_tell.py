from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.template_marks import Image
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import GuestFailed
from ansible_collections.bonneville.vsphere.plugins.module_utils._template import tell
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.digests import pinned
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.permits import needed
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.plan import plan_absent, plan_present
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.spec import Archive, Source

from tests.unit.plugins.module_utils._template.tables import SPEC, host, vm

OTHER = replace(SPEC, memory_mb=4096, images=("web:2",))


def test_nothing_to_do_is_no_difference() -> None:
    plan = plan_present(spec=SPEC, hosts=[host(1)], vms=[vm(1)])
    before, after = tell.difference(plan.steps, SPEC)
    assert before == after == {"template_vms": {"photon@esx1": {"host": "esx1.example.com", "state": "frozen"}}}


def test_a_newer_generation_names_the_options_that_it_is_for_and_no_others() -> None:
    plan = plan_present(spec=OTHER, hosts=[host(1)], vms=[vm(1)])
    old, new = (side["template_vms"] for side in tell.difference(plan.steps, OTHER))
    assert (list(old), list(new)) == (["photon@esx1"], ["photon@esx1~2"])
    before, after = old["photon@esx1"], new["photon@esx1~2"]
    assert (before["memory_mb"], after["memory_mb"]) == (2048, 4096)
    assert (before["images"], after["images"]) == (["web:1"], ["web:2"])
    assert "datastore" not in before
    assert "datastore" not in after


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"power": "poweredOff", "frozen": False}, "powered off"),
        ({"power": "suspended", "frozen": False}, "suspended"),
        ({"frozen": False}, "running"),
        ({"marks": {"phase": "importing"}, "frozen": False}, "unfinished"),
        ({"published_key": "b3RoZXI="}, "frozen"),
    ],
)
def test_a_repair_is_always_a_difference(changes: dict[str, object], state: str) -> None:
    plan = plan_present(spec=SPEC, hosts=[host(1)], vms=[vm(1, **changes)])  # type: ignore[arg-type]
    before, after = (side["template_vms"]["photon@esx1"] for side in tell.difference(plan.steps, SPEC))
    assert before["state"] == state
    assert after["state"] == "frozen"
    assert before != after


def test_one_that_is_kept_shows_as_retired_with_what_depends_on_it() -> None:
    vms = [vm(1)]
    plan = plan_present(spec=OTHER, hosts=[host(1)], vms=vms, dependents={"vm-1": ["web-0"]})
    _before, after = tell.difference(plan.steps, OTHER)
    assert after["template_vms"]["photon@esx1"]["state"] == "retired"
    told = tell.template(name="photon", spec=OTHER, steps=plan.steps, vms=vms, milestones={})
    assert [one["vm"] for one in told["hosts"]] == ["photon@esx1~2"]
    assert [(one["vm"], one["clones"]) for one in told["retired"]] == [("photon@esx1", ["web-0"])]


def test_a_moved_image_shows_its_old_and_its_new_digest() -> None:
    standing = vm(1, marks={"images": (Image(name="web:1", id="sha256:1", digest="sha256:aa"),)})
    spec = pinned(SPEC, [standing], {"web:1": "sha256:bb"})
    plan = plan_present(spec=spec, hosts=[host(1)], vms=[standing])
    before, after = tell.difference(plan.steps, spec)
    assert before["template_vms"]["photon@esx1"]["digests"] == {"web:1": "sha256:aa"}
    assert after["template_vms"]["photon@esx1~2"]["digests"] == {"web:1": "sha256:bb"}
    assert plan.steps[0].reason == "moved in the registry: web:1"


def test_what_is_made_appears_and_what_is_removed_goes() -> None:
    making = plan_present(spec=SPEC, hosts=[host(1)], vms=[])
    before, after = tell.difference(making.steps, SPEC)
    assert (list(before["template_vms"]), list(after["template_vms"])) == ([], ["photon@esx1"])
    removing = plan_absent(name="photon", hosts=[], vms=[vm(1)], everywhere=True)
    before, after = tell.difference(removing.steps, None)
    assert (list(before["template_vms"]), list(after["template_vms"])) == (["photon@esx1"], [])


def test_a_failure_tells_of_each_step_whether_it_was_done() -> None:
    steps = plan_present(spec=SPEC, hosts=[host(1), host(2)], vms=[]).work
    error = GuestFailed("It broke", obj="photon@esx2")
    told = tell.actions_after_failure(steps, {steps[1].key: error})
    assert [(one["name"], one["failed"]) for one in told] == [("photon@esx1", ""), ("photon@esx2", error.message)]


def test_images_are_told_once_whatever_the_number_of_hosts() -> None:
    vms = [vm(1), vm(2)]
    steps = plan_present(spec=SPEC, hosts=[host(1), host(2)], vms=vms).steps
    told = tell.template(name="photon", spec=SPEC, steps=steps, vms=vms, milestones={})
    assert told["images"] == [{"name": "web:1", "id": "sha256:1", "digest": ""}]
    assert [one["action"] for one in told["hosts"]] == ["unchanged", "unchanged"]


# Privileges -------------------------------------------------------------------


def test_nothing_to_do_needs_no_privilege() -> None:
    permits = needed((), SPEC)
    assert not (permits.folder or permits.datastore or permits.network or permits.pool)


def test_a_repair_needs_no_right_to_make_or_delete() -> None:
    permits = needed(plan_present(spec=SPEC, hosts=[host(1)], vms=[vm(1, power="poweredOff", frozen=False)]).work, SPEC)
    assert "VirtualMachine.Interact.PowerOn" in permits.folder
    assert "VirtualMachine.Inventory.Delete" not in permits.folder
    assert not (permits.datastore or permits.network or permits.pool)


@pytest.mark.parametrize(
    ("change", "where", "privilege"),
    [
        ({}, "pool", "VApp.Import"),
        ({"cpus": 4}, "folder", "VirtualMachine.Config.CPUCount"),
        ({"disk_gb": 20}, "folder", "VirtualMachine.Config.DiskExtend"),
        ({"memory_reservation_mb": 0}, "folder", "VirtualMachine.Config.Resource"),
        ({"archives": (Archive(path="/a", size=1, sha256="a"),)}, "datastore", "Datastore.FileManagement"),
    ],
)
def test_what_is_asked_for_says_which_privileges_it_takes(
    change: dict[str, object], where: str, privilege: str
) -> None:
    spec = replace(SPEC, **change)  # type: ignore[arg-type]
    work = plan_present(spec=spec, hosts=[host(1)], vms=[]).work
    assert privilege in getattr(needed(work, spec), where)


def test_a_copy_of_a_vm_is_no_import() -> None:
    spec = replace(SPEC, source=Source(kind="vm", path="golden", fingerprint="i"))
    assert "VApp.Import" not in needed(plan_present(spec=spec, hosts=[host(1)], vms=[]).work, spec).pool
