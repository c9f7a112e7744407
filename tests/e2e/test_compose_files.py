"""Compose files as people write them, with real guests, from the first deploy until nothing is left of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.conftest import Run
from tests.support.killing import begin, kill_after
from tests.support.lab import Lab
from tests.support.load import Load
from tests.support.standing import check_same, standing

# A web application with its database, a cache and a worker. {web} and {job} stand for the originals.
SHOP = """
x-shop-env: &env
  DB_HOST: db
  CACHE_HOST: cache
  LOG_LEVEL: ${LOG_LEVEL:-info}

services:
  web:
    image: {web}
    environment:
      <<: *env
      SHOP_TITLE: "The shop"
    ports: ["80:8080"]
    depends_on:
      db: {condition: service_started}
      cache: {condition: service_started}
      migrate: {condition: service_completed_successfully}

  worker:
    image: {web}
    environment: *env
    expose: ["8080"]
    depends_on: [db, cache]
    stop_grace_period: 20s

  migrate:
    image: {job}
    command: ["migrate"]
    environment: *env
    restart: "no"
    depends_on: [db]

  db:
    image: ${DB_IMAGE:-{web}}
    environment:
      POSTGRES_DB: ${SHOP_DB:-shop}
    volumes: ["data:/var/lib/data"]
    ports: ["5432:8080"]
    restart: always
    deploy:
      update_config: {failure_action: rollback}

  cache:
    image: {web}
    expose: ["8080"]

volumes:
  data:
    x-bonneville: {size_gb: 1}
"""
WORKER = SHOP[SHOP.index("  worker:") : SHOP.index("  migrate:\n    image")]
NOTE = "/var/lib/data/note"

# A reverse proxy in front of replicas. It looks the service's name up for each request.
EDGE = """
services:
  proxy:
    image: {web}
    ports: ["80:8080"]
    depends_on:
      app: {condition: service_healthy}

  app:
    image: {health}
    environment: ["RELEASE=${RELEASE:-1}", "HEALTHY=${HEALTHY:-yes}"]
    healthcheck: {test: [CMD, /health, check], interval: 1s, timeout: 2s, retries: 2}
    deploy:
      replicas: ${REPLICAS:-2}
      update_config: {parallelism: 1, order: start-first, failure_action: rollback}
"""


class Fleet:
    """One fleet of a directory, by the module."""

    def __init__(
        self, lab: Lab, module: Run, template: str, directory: Path, name: str, images: dict[str, str]
    ) -> None:
        self.lab, self.name, self.directory = lab, name, directory
        self._module, self._images = module, images
        self.options = {"name": name, "template": template, "project_src": str(directory), "lock_timeout": 60}

    def write(self, text: str) -> None:
        for short, image in self._images.items():
            text = text.replace("{" + short + "}", image)
        (self.directory / "compose.yaml").write_text(text)

    def run(self, *, ok: bool = True, **options: Any) -> dict[str, Any]:
        result = self._module("container_fleet", **{**self.options, **options})
        assert not (ok and result.get("failed")), result["msg"]
        return result

    def rerun(self, **options: Any) -> int:
        """Run once more, which changes nothing; how many calls that took."""
        self.lab.reset_calls()
        again = self.run(**options)
        assert not again["changed"], again["actions"]
        return sum(self.lab.calls().values())

    def vms(self) -> dict[str, dict[str, Any]]:
        return self.lab.vms(f"bonneville-containers/{self.name}")

    def moids(self) -> dict[str, str]:
        return {name: vm["moid"] for name, vm in self.vms().items()}

    def names(self) -> set[str]:
        return {name.removeprefix(f"{self.name}-") for name in self.vms()}

    def folders(self) -> list[str]:
        return [str(path) for path in self.lab.state()["folders"] if self.name in str(path)]

    def url(self, vm: str, path: str = "/", *, port: int = 80) -> str:
        return f"http://{self.vms()[f'{self.name}-{vm}']['ip']}:{port}{path}"

    def through(self, vm: str, url: str) -> requests.Response:
        """What a VM's container gets from another one."""
        return requests.get(self.url(vm, "/fetch"), params={"url": url}, timeout=20)

    def end(self) -> None:
        """All of it goes, and nothing is left."""
        self.run(state="absent", remove_volumes=True)
        state = self.lab.state()
        assert not [vm["name"] for vm in state["vms"] if vm["name"].startswith(self.name)]
        assert not self.folders()
        assert not [name for name in state["volumes"] if name.startswith(self.name)]
        assert not self.run(state="absent", remove_volumes=True)["changed"]


@pytest.fixture
def fleet(
    docker_lab: Lab, module: Run, template: str, tmp_path: Path, images: dict[str, str], request: pytest.FixtureRequest
) -> Iterator[Fleet]:
    """A fleet of this test's own; whatever is left of it goes."""
    name = f"{request.node.originalname.split('_')[2]}-{random.randrange(1000)}"
    fleet = Fleet(docker_lab, module, template, tmp_path, name, images)
    yield fleet
    fleet.end()


def test_shop_of_web_database_cache_and_worker(fleet: Fleet, images: dict[str, str]) -> None:
    fleet.write(SHOP)
    made = fleet.run()
    assert made["summary"] == "+ 5 create"
    assert fleet.names() == {"web", "worker", "migrate", "db", "cache"}
    assert made["services"]["migrate"]["exit_codes"] == {f"{fleet.name}-migrate": 0}
    fleet.rerun()

    # Used: from outside by what is published, inside by the services' names.
    seen = requests.get(fleet.url("web"), timeout=20).json()
    assert seen["env"]["SHOP_TITLE"] == "The shop" and seen["env"]["LOG_LEVEL"] == "info"
    for host in ("db", "cache", "worker"):
        assert fleet.through("web", f"http://{host}:8080/").json()["hostname"] == f"{fleet.name}-{host}"
    stored = requests.post(fleet.url("db", "/write", port=5432), params={"path": NOTE}, data="order 1", timeout=20)
    assert stored.status_code == 200, stored.text

    def note() -> str:
        return fleet.through("web", f"http://db:8080/file?path={NOTE}").text

    # The database is replaced, and nobody else; what it has stored is there.
    before = fleet.moids()
    updated = {"SHOP_DB": "store"}
    assert fleet.run(variables=updated)["summary"] == "~ 1 recreate (env), = 4 unchanged"
    after = fleet.moids()
    assert {name for name in before if before[name] != after[name]} == {f"{fleet.name}-db"}
    assert note() == "order 1"
    fleet.rerun(variables=updated)

    # An image that nobody has: the database that ran runs, with its volume.
    missing = f"{images['web'].rpartition(':')[0]}:of-this-tag-is-none"
    broken = fleet.run(ok=False, variables={**updated, "DB_IMAGE": missing})
    assert broken["failed"] and missing in broken["msg"], broken["msg"]
    assert broken["services"]["db"]["state"] == "rolled back"
    assert fleet.moids() == after
    fleet.rerun(variables=updated)
    assert note() == "order 1"

    # A service leaves the file.
    fleet.write(SHOP.replace(WORKER, ""))
    assert [one["service"] for one in fleet.run(variables=updated)["orphans"]] == ["worker"]
    assert fleet.run(variables=updated, prune=True)["summary"] == "- 1 remove, = 4 unchanged"
    assert fleet.names() == {"web", "migrate", "db", "cache"}
    assert fleet.through("web", "http://worker:8080/").status_code == 502

    # Torn down, the volume stays for the next of that name.
    fleet.run(state="absent")
    assert not fleet.vms()
    fleet.run(variables=updated)
    assert note() == "order 1"
    fleet.end()


def test_edge_of_a_proxy_in_front_of_replicas(fleet: Fleet) -> None:
    fleet.write(EDGE)
    assert fleet.run()["summary"] == "+ 3 create"
    few = fleet.rerun()
    proxy = fleet.url("proxy", "/fetch")

    def ask() -> requests.Response:
        return requests.get(proxy, params={"url": "http://app:8080/health"}, timeout=10)

    assert ask().text.strip() == "fine"
    with Load(ask) as load:
        # One after the other, a new one before its old one goes.
        updated = {"RELEASE": 2}
        before = fleet.moids()
        assert fleet.run(variables=updated)["services"]["app"]["healthy"] == 2
        after = fleet.moids()
        assert {name for name in before if before[name] == after[name]} == {f"{fleet.name}-proxy"}
        assert fleet.rerun(variables=updated) == few

        broken = fleet.run(ok=False, variables={"RELEASE": 3, "HEALTHY": "no"})
        assert broken["failed"] and broken["services"]["app"]["state"] == "rolled back", broken["msg"]
        assert fleet.moids() == after

        # Two, five, one. A run with nothing to do costs the same however many there are.
        more, fewer = {**updated, "REPLICAS": 5}, {**updated, "REPLICAS": 1}
        assert fleet.run(variables=more)["summary"] == "+ 3 create, = 3 unchanged"
        assert fleet.names() == {"proxy", *(f"app-{number}" for number in range(5))}
        assert fleet.rerun(variables=more) == few
        assert fleet.run(variables=fewer)["summary"] == "- 4 remove, = 2 unchanged"
        assert fleet.names() == {"proxy", "app-0"}
    assert load.answers and not load.failures, (load.answers, len(load.failures), load.failures[:3])
    assert fleet.rerun(variables=fewer) == few
    fleet.end()


@pytest.fixture(scope="module")
def undisturbed(
    docker_lab: Lab, module: Run, template: str, tmp_path_factory: pytest.TempPathFactory, images: dict[str, str]
) -> tuple[dict[str, Any], int]:
    """What a deploy comes to that nobody disturbs, and how many calls it makes."""
    fleet = Fleet(docker_lab, module, template, tmp_path_factory.mktemp("edge"), "undisturbed", images)
    fleet.write(EDGE)
    docker_lab.reset_calls()
    fleet.run()
    calls = sum(docker_lab.calls().values())
    found = standing(docker_lab, fleet.name)
    fleet.end()
    return found, calls


# How far a run is when it is killed: parts of the calls that it makes undisturbed.
MOMENTS = random.Random(3).sample([number / 100 for number in range(5, 95)], 20)


@pytest.mark.parametrize("part", [MOMENTS[0], *(pytest.param(one, marks=pytest.mark.long) for one in MOMENTS[1:])])
def test_killed_in_a_deploy_that_the_next_run_finishes(
    fleet: Fleet, undisturbed: tuple[dict[str, Any], int], part: float
) -> None:
    wanted, calls = undisturbed
    fleet.write(EDGE)
    fleet.lab.reset_calls()
    process = begin(fleet.lab, fleet.options)
    assert kill_after(fleet.lab, process, max(1, int(part * calls))), "it ended before it could be killed"
    fleet.run()
    check_same(standing(fleet.lab, fleet.name), wanted)
    fleet.rerun()
    for _ in range(4):
        assert fleet.through("proxy", "http://app:8080/health").text.strip() == "fine"
