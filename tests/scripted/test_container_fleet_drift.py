"""A fleet that is not as it was left: each kind of drift is found in what runs, told in the plan, and mended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.clone import full_clone
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.lookup import ensure_folder, find_datacenter
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.reconfigure import Change, config_spec
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Session
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import wait_for_tasks

from tests.scripted.conftest import Fleet
from tests.scripted.template_support import Template, good, make_folder
from tests.support.archives import save_image
from tests.support.fleet_files import TWO, WEB, kinds, there
from tests.support.lab import Lab
from tests.support.vsphere import SECONDS, Site


def vm_of(lab: Lab, name: str, container: str = "web-1") -> dict[str, Any]:
    return lab.vms(f"bonneville-containers/{name}")[f"{name}-{container}"]


def done(task: Any, session: Session) -> None:
    state = wait_for_tasks(session, {"task": task}, deadline=Deadline(SECONDS))["task"]
    assert state.ok, state


@pytest.mark.parametrize(
    ("operation", "kind", "reason"),
    [
        ("power-off", "start", "it is stopped"),
        ("guest-exit?code=1", "start", "it ended with exit code 1"),
        ("rename?to=somebody-renamed-it-{name}", "rename", "it is called somebody-renamed-it-{name}"),
        ("move?folder=others", "move", "someone moved it out of its folder"),
        ("destroy", "create", "it does not exist"),
    ],
    ids=["off", "died", "renamed", "moved", "deleted"],
)
def test_drift_is_found_told_and_mended(
    scripted_lab: Lab, fleet: Fleet, name: str, operation: str, kind: str, reason: str
) -> None:
    fleet(TWO)
    victim = vm_of(scripted_lab, name)
    scripted_lab.control("POST", f"/vms/{victim['moid']}/{operation.format(name=name)}")
    planned = fleet(TWO, check=True)
    assert kinds(planned) == [(kind, f"{name}-web-1")]
    (entry,) = planned["plan"]["create" if kind == "create" else "update"]
    assert (entry["container"], entry["reason"]) == (f"{name}-web-1", reason.format(name=name))
    assert kinds(fleet(TWO)) == [(kind, f"{name}-web-1")]
    assert there(scripted_lab, name) == {f"{name}-web-0", f"{name}-web-1"}
    if kind != "create":
        assert vm_of(scripted_lab, name)["moid"] == victim["moid"]
    assert not fleet(TWO)["changed"]


def test_one_that_was_resized_is_replaced(scripted_lab: Lab, session: Session, fleet: Fleet, name: str) -> None:
    fleet(TWO)
    victim = vm_of(scripted_lab, name)
    scripted_lab.control("POST", f"/vms/{victim['moid']}/power-off")
    vm = session.managed("VirtualMachine", victim["moid"])
    done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=7, memoryMB=16384)), session)
    scripted_lab.control("POST", f"/vms/{victim['moid']}/power-on")
    planned = fleet(TWO, check=True)
    assert kinds(planned) == [("recreate", f"{name}-web-1")]
    (entry,) = planned["plan"]["recreate"]
    assert entry["reason"].startswith("resized: it has 7 CPUs and 16384 MiB, its template ")
    assert planned["summary"] == "~ 1 recreate (resized), = 1 unchanged"
    assert kinds(fleet(TWO)) == [("recreate", f"{name}-web-1")]
    assert vm_of(scripted_lab, name)["moid"] != victim["moid"]
    assert not fleet(TWO)["changed"]


def restored(session: Session, lab: Lab, name: str) -> str:
    """A VM that a backup brings back beside ``web-1``: its marks and its BIOS UUID, another id; its moid."""
    victim = vm_of(lab, name)
    lab.control("POST", f"/vms/{victim['moid']}/power-off")
    place = ensure_folder(session, datacenter=find_datacenter(session), path=f"bonneville-containers/{name}")
    config = config_spec(Change(bios_uuid=victim["bios_uuid"]))
    site = Site.of(session, lab)
    task = full_clone(
        session,
        source=victim["moid"],
        name=f"{name}-restored",
        folder=place.moid,
        pool=site.compute.pool,
        config=config,
    )
    done(task, session)
    return str(lab.vms(f"bonneville-containers/{name}")[f"{name}-restored"]["moid"])


def test_one_that_was_restored_from_a_backup_takes_its_place_again(
    scripted_lab: Lab, session: Session, fleet: Fleet, name: str
) -> None:
    fleet(TWO)
    moid = restored(session, scripted_lab, name)
    session.managed("VirtualMachine", vm_of(scripted_lab, name)["moid"]).UnregisterVM()
    planned = fleet(TWO, check=True)
    assert kinds(planned) == [("rename", f"{name}-web-1"), ("start", f"{name}-web-1")]
    assert kinds(fleet(TWO)) == kinds(planned)
    assert vm_of(scripted_lab, name)["moid"] == moid
    assert not fleet(TWO)["changed"]


def test_between_the_original_and_one_that_was_restored_beside_it_nobody_guesses(
    scripted_lab: Lab, session: Session, fleet: Fleet, name: str
) -> None:
    fleet(TWO)
    moid = restored(session, scripted_lab, name)
    refused = fleet(TWO, ok=False)
    assert refused["error_code"] == "ambiguous"
    assert f"{name}-restored ({moid})" in refused["msg"] and "one identity and one BIOS UUID" in refused["msg"]
    assert vm_of(scripted_lab, name)["power"] == "poweredOff", "nothing is done to either"
    scripted_lab.control("POST", f"/vms/{name}-restored/destroy")
    assert kinds(fleet(TWO)) == [("start", f"{name}-web-1")]


def test_a_copy_with_an_identity_of_its_own_is_somebody_elses(scripted_lab: Lab, fleet: Fleet, name: str) -> None:
    fleet(TWO)
    copy = {"name": f"{name}-copy", "folder": f"bonneville-containers/{name}", "like": f"{name}-web-1", "on": False}
    scripted_lab.control("POST", "/vms", copy)
    assert not fleet(TWO)["changed"], "a foreign copy was touched"
    scripted_lab.control("POST", f"/vms/{name}-copy/destroy")


@pytest.fixture
def template(scripted_lab: Lab, name: str) -> Iterator[Template]:
    """A template of this test's own, which photon_template builds, with an image out of an archive."""
    one = Template(lab=scripted_lab, name=f"{name}-tpl", options={"images": None})
    make_folder(scripted_lab, one.folder)
    yield one
    good(one.absent(force=True))


def test_a_template_that_was_rebuilt_is_told_and_only_another_image_is_another_container(
    scripted_lab: Lab, fleet: Fleet, template: Template, tmp_path: Path, name: str
) -> None:
    archive = save_image(tmp_path / "image.tar", name="lab/web:1")
    options: dict[str, Any] = {"image_archives": [str(archive)]}
    text = TWO.replace(WEB, "lab/web:1")
    given = {"template": template.name, "template_folder": template.folder}
    built = template.built(**options)
    fleet(text, **given)
    assert "older generation" not in str(fleet(text, **given))

    # The same images on other hardware: nothing that runs has to go, but nobody is left in the dark.
    template.built(**options, memory_mb=2048)
    aged = fleet(text, check=True, **given)
    assert not aged["changed"] and aged["summary"] == "= 2 unchanged"
    told = f"of an older generation of their template: {name}-web-0, {name}-web-1."
    assert told in str(aged["warnings"])

    # Another image of the same name.
    save_image(archive, name="lab/web:1", content=b"another")
    rebuilt = template.built(**options, memory_mb=2048)
    ids = [one["template"]["images"][0]["id"] for one in (built, rebuilt)]
    assert ids[0] != ids[1]
    planned = fleet(text, check=True, **given)
    assert planned["summary"] == "~ 2 recreate (image)"
    assert told not in str(planned.get("warnings")), planned["warnings"]
    (first, _second) = planned["plan"]["recreate"]
    assert (first["before"]["image"], first["after"]["image"]) == tuple(ids)
    assert kinds(fleet(text, **given)) == [("recreate", f"{name}-web-0"), ("recreate", f"{name}-web-1")]
    serving = {one["moid"] for one in rebuilt["template"]["hosts"]}
    again = fleet(text, **given)
    assert not again["changed"] and told not in str(again.get("warnings"))
    assert {one["vm"]["template_vm"] for one in again["containers"]} <= serving
    fleet(state="absent")
