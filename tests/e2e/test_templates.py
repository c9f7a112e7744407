"""A template is frozen on every host, stays so, and is repaired."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.conftest import Run, template_options
from tests.support.archives import layout_of
from tests.support.lab import Lab, running_lab
from tests.support.modules import run_module
from tests.support.searching import forms, guest_processes, in_files, in_memory

SMALL = "small"


def template_vms(lab: Lab) -> list[dict[str, object]]:
    return [vm for vm in lab.state()["vms"] if vm["extra_config"].get("bonneville.kind") == "template"]


def test_one_frozen_template_vm_on_each_host(template: str, docker_lab: Lab) -> None:
    found = template_vms(docker_lab)
    assert {vm["host"] for vm in found} == set(docker_lab.ready["hosts"])
    assert all(vm["frozen"] for vm in found)


def test_a_second_run_changes_nothing(template: str, docker_lab: Lab, module: Run) -> None:
    again = module("photon_template", **template_options(docker_lab))
    assert not again.get("failed"), again["msg"]
    assert not again["changed"]


def test_an_unfrozen_template_vm_is_frozen_again(template: str, docker_lab: Lab, module: Run) -> None:
    victim = template_vms(docker_lab)[0]["name"]
    docker_lab.control("POST", f"/vms/{victim}/power-off")
    repaired = module("photon_template", **template_options(docker_lab))
    assert not repaired.get("failed"), repaired["msg"]
    assert repaired["changed"]
    assert {action["name"] for action in repaired["actions"]} == {victim}
    assert all(vm["frozen"] for vm in template_vms(docker_lab))


@pytest.fixture
def small(docker_lab: Lab, module: Run) -> Iterator[Run]:
    """A template of this test's own on one host; it is removed afterwards."""

    def build(**options: Any) -> dict[str, Any]:
        own = {"name": SMALL, "cluster": None, "hosts": docker_lab.ready["hosts"][:1], "images": None}
        given = {**template_options(docker_lab), **own, **options}
        return module("photon_template", **{name: value for name, value in given.items() if value is not None})

    yield build
    gone = module("photon_template", name=SMALL, state="absent")
    assert not gone.get("failed"), gone["msg"]
    assert not docker_lab.state()["violations"]


def test_a_private_registry_takes_the_login_that_is_given(small: Run, docker_lab: Lab) -> None:
    private = docker_lab.ready["private"]
    image = private["images"]["web"]
    login = {name: private[name] for name in ("server", "username", "password")}
    refused = small(images=[image])
    assert refused["reason"]["code"] == "image_pull_failed", refused["msg"]
    assert "registry_logins" in refused["msg"]
    assert not [vm for vm in template_vms(docker_lab) if str(vm["name"]).startswith(SMALL)]
    built = small(images=[image], registry_logins=[login])
    assert not built.get("failed"), built["msg"]
    assert [one["name"] for one in built["template"]["images"]] == [image]
    assert built["template"]["images"][0]["digest"].startswith("sha256:")
    assert private["password"] not in json.dumps([built, docker_lab.state()])


def test_a_wrong_login_is_told_and_leaves_nothing(small: Run, docker_lab: Lab) -> None:
    private = docker_lab.ready["private"]
    login = {"server": private["server"], "username": "lab", "password": "wrong"}
    refused = small(images=[private["images"]["web"]], registry_logins=[login])
    assert refused["reason"]["code"] == "image_pull_failed", refused["msg"]
    assert not [vm for vm in template_vms(docker_lab) if str(vm["name"]).startswith(SMALL)]


def test_containers_run_from_an_archive_that_no_registry_has(
    small: Run, container: Run, docker_lab: Lab, tmp_path: Path
) -> None:
    archives = dict(docker_lab.ready["archives"])
    archives["job"] = str(layout_of(tmp_path / "job.tar", Path(archives["job"])))
    built = small(image_archives=[archives["web"], archives["job"]])
    assert not built.get("failed"), built["msg"]
    assert [one["name"] for one in built["template"]["images"]] == ["lab/job:1", "lab/web:1"]
    assert not small(image_archives=[archives["job"], archives["web"]])["changed"]
    made = container(
        name="loaded", template=SMALL, image="lab/web:1", pull="never", published_ports=["8080:8080"], state="started"
    )
    assert not made.get("failed"), made["msg"]
    answer = requests.get(f"http://{made['vm']['ip']}:8080/", timeout=10).json()
    assert answer["hostname"]
    fewer = small(image_archives=[archives["web"]])
    assert not fewer.get("failed"), fewer["msg"]
    assert [one["action"] for one in fewer["actions"]] == ["renew", "retire"]
    assert [one["clones"] for one in fewer["template"]["retired"]] == [["loaded"]]
    assert requests.get(f"http://{made['vm']['ip']}:8080/", timeout=10).json()["hostname"]


# Moved tags -----------------------------------------------------------------------


def moved_to(lab: Lab, source: str) -> str:
    """Have a tag of the lab's registry name what ``source`` names; the tag."""
    registry = lab.ready["registry"]
    token = requests.get(f"http://{registry}/token", timeout=10).json()["token"]
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.oci.image.manifest.v1+json, */*"}
    repository, _unused, tag = source.removeprefix(f"{registry}/").rpartition(":")
    manifest = requests.get(f"http://{registry}/v2/{repository}/manifests/{tag}", headers=headers, timeout=10)
    manifest.raise_for_status()
    headers["Content-Type"] = manifest.headers["Content-Type"]
    url = f"http://{registry}/v2/lab/moving/manifests/1"
    requests.put(url, data=manifest.content, headers=headers, timeout=10).raise_for_status()
    return f"{registry}/lab/moving:1"


def test_a_tag_that_was_moved_makes_another_generation_beside_the_one_that_serves(
    small: Run, container: Run, docker_lab: Lab
) -> None:
    image = moved_to(docker_lab, docker_lab.ready["images"]["job"])
    options = {"images": [image], "insecure_registries": [docker_lab.ready["registry"]]}
    built = small(**options)
    assert not built.get("failed"), built["msg"]
    (old,) = built["template"]["images"]
    again = small(**options)
    assert not again["changed"]
    assert not any(image in str(warning) for warning in again.get("warnings", ()))
    web = {
        "name": "moving", "template": SMALL, "image": image, "pull": "never",
        "published_ports": ["8080:8080"], "restart_policy": "no",
    }  # fmt: skip
    first = container(**web, state="present")
    assert not first.get("failed"), first["msg"]

    moved_to(docker_lab, docker_lab.ready["images"]["web"])
    assert not small(**options, pull="missing")["changed"]
    moved = small(**options)
    assert not moved.get("failed"), moved["msg"]
    assert [one["action"] for one in moved["actions"]] == ["renew", "retire"]
    assert moved["actions"][0]["reason"] == f"moved in the registry: {image}"
    (new,) = moved["template"]["images"]
    assert new["digest"] != old["digest"]
    diff = moved["diff"]
    (before,) = [vm["digests"] for vm in diff["before"]["template_vms"].values()]
    (after,) = [vm["digests"] for vm in diff["after"]["template_vms"].values() if "digests" in vm]
    assert (before, after) == ({image: old["digest"]}, {image: new["digest"]})
    assert [one["clones"] for one in moved["template"]["retired"]] == [["moving"]]
    assert not small(**options)["changed"]

    # The container of the older generation stands, and its own next run makes it anew from the newer one.
    assert docker_lab.vms()["moving"]["moid"] == first["vm"]["moid"]
    second = container(**web, state="started")
    assert not second.get("failed"), second["msg"]
    assert [one["action"] for one in second["actions"]] == ["recreate"]
    assert requests.get(f"http://{second['vm']['ip']}:8080/", timeout=10).json()["hostname"]
    collected = small(**options)
    assert [one["action"] for one in collected["actions"]] == ["remove"]
    assert collected["template"]["retired"] == []


@pytest.mark.long
def test_a_tag_that_was_moved_makes_another_generation_on_eight_hosts() -> None:
    with running_lab(guests="docker", hosts=8) as lab:

        def template(**changes: Any) -> dict[str, Any]:
            options = {**lab.connection, **template_options(lab), "images": [image], **changes}
            result = run_module("photon_template", options, environment=lab.environment)
            assert not result.get("failed"), result["msg"]
            return result

        image = moved_to(lab, lab.ready["images"]["job"])
        (old,) = template()["template"]["images"]
        moved_to(lab, lab.ready["images"]["web"])
        moved = template()
        assert Counter(one["action"] for one in moved["actions"]) == {"renew": 8, "remove": 8}
        digests = [vm.get("digests") for vm in moved["diff"]["before"]["template_vms"].values()]
        assert digests == [{image: old["digest"]}] * 8
        assert moved["template"]["images"][0]["digest"] != old["digest"]
        assert not template()["changed"]
        template(state="absent")
        assert not lab.vms()


def test_a_registry_with_a_login_and_a_certificate_of_the_sites_own(small: Run, docker_lab: Lab) -> None:
    private = docker_lab.ready["private"]
    image = private["images"]["web"].replace(private["server"], private["secure"])
    login = {"server": private["secure"], "username": private["username"], "password": private["password"]}
    untrusted = small(images=[image], registry_logins=[login])
    assert untrusted["reason"]["code"] == "image_pull_failed", untrusted["msg"]
    assert "certificate" in untrusted["msg"]
    options = {"images": [image], "registry_logins": [login], "registry_ca": private["ca"]}
    built = small(**options)
    assert not built.get("failed"), built["msg"]
    again = small(**options)
    assert not again["changed"]
    # The controller was told the digest by the same login and the same CA, but for the first time.
    told = [
        [warning for warning in map(str, one.get("warnings", ())) if private["secure"] in warning]
        for one in (untrusted, built, again)
    ]
    assert [len(warnings) for warnings in told] == [1, 0, 0]
    assert "certificate is not trusted" in told[0][0]
    assert private["password"] not in json.dumps([built, again, docker_lab.state()], default=str)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into other processes' memory")
def test_a_registry_login_is_in_no_process_and_no_file_once_the_template_is_frozen(small: Run, docker_lab: Lab) -> None:
    private = docker_lab.ready["private"]
    image = private["images"]["web"]
    login = {name: private[name] for name in ("server", "username", "password")}
    built = small(images=[image], registry_logins=[login])
    assert not built.get("failed"), built["msg"]
    patterns = [*forms(private["username"], private["password"]), image.encode()]
    memory, files = set[bytes](), set[bytes]()
    roots = set()
    for pid in guest_processes():
        memory |= in_memory(pid, patterns)
        root = f"/proc/{pid}/root"
        try:
            place = os.stat(root)
        except OSError:
            continue  # a process of another lab's guest, or of one that went, has ended meanwhile
        if (place.st_dev, place.st_ino) not in roots:
            roots.add((place.st_dev, place.st_ino))
            for folder in ("etc", "home", "root", "run", "tmp", "var"):
                files |= {hit for hits in in_files(Path(root, folder), patterns).values() for hit in hits}
    # What was pulled is known there, by name; by whom is not.
    assert (memory, files) == ({image.encode()}, {image.encode()})
