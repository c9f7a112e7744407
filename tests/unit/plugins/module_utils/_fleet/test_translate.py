"""What the engine is given for what a service says."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.spec import read_spec
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import (
    COMPLETED,
    HEALTHY,
    Dependency,
    Rollback,
    Update,
    Volume,
)

from tests.support.composing import load, outline, service


@pytest.mark.parametrize(
    ("text", "option", "value"),
    [
        ("image: nginx:1", "image", "nginx:1"),
        ("command: run 'a b' $$HOME", "command", ["run", "a b", "$HOME"]),
        ("command: [run, a b]", "command", ["run", "a b"]),
        ("command:", "command", None),
        ("entrypoint: /entry x", "entrypoint", ["/entry", "x"]),
        ("environment: {A: x, N: 5, E: '', NONE: }", "env", {"A": "x", "E": "", "N": "5"}),
        ("environment: [A=x, B=, C=a=b, NONE]", "env", {"A": "x", "B": "", "C": "a=b"}),
        ("labels: {a: x, t: true, n: 5, e: }", "labels", {"a": "x", "t": "true", "n": "5", "e": ""}),
        ("user: 1000:1000", "user", "1000:1000"),
        ("group_add: [adm, 1001]", "groups", ["adm", "1001"]),
        ("init: 'yes'", "init", True),
        ("tty: false", "tty", False),
        ("stdin_open: true", "interactive", True),
        ("stop_grace_period: 1m30s", "stop_timeout", 90),
        ("stop_grace_period: 1500ms", "stop_timeout", 2),
        ("pull_policy: if_not_present", "pull", "missing"),
        ("cap_add: [NET_ADMIN]", "capabilities", ["NET_ADMIN"]),
        ("privileged: true", "privileged", True),
        ("security_opt: [no-new-privileges]", "security_opts", ["no-new-privileges"]),
        ("security_opt: ['seccomp:unconfined']", "security_opts", ["seccomp:unconfined"]),
        ("security_opt: ['seccomp=p.json']", "security_opts", ['seccomp={"a":[1]}']),
        ("sysctls: [net.core.somaxconn=5]", "sysctls", {"net.core.somaxconn": "5"}),
        ("sysctls: {net.core.somaxconn: 5}", "sysctls", {"net.core.somaxconn": "5"}),
        ("ulimits: {nofile: 5, nproc: {soft: 1, hard: 2}}", "ulimits", ["nofile:5:5", "nproc:1:2"]),
        ("shm_size: 64mb", "shm_size", str(64 * 2**20)),
        ("mem_limit: 1.5g", "memory", str(1536 * 2**20)),
        ("mem_limit: 67108864", "memory", "67108864"),
        ("mem_limit: 0", "memory", None),
        ("mem_limit: 64m\nmemswap_limit: 128m", "memory_swap", str(128 * 2**20)),
        ("memswap_limit: -1", "memory_swap", "-1"),
        ("cpus: '0.5'", "cpus", 0.5),
        ("cpus: 0", "cpus", None),
        ("pids_limit: -1", "pids_limit", -1),
        ("deploy: {resources: {limits: {cpus: '0.5', memory: 64M, pids: 5}}}", "memory", str(64 * 2**20)),
        ("deploy: {resources: {limits: {cpus: '0.5'}}}", "cpus", 0.5),
        ("deploy: {resources: {reservations: {memory: 64M}}}", "memory_reservation", str(64 * 2**20)),
        ("cpus: 0.5\ndeploy: {resources: {limits: {cpus: '0.50'}}}", "cpus", 0.5),
        ("ports: [80]", "published_ports", ["80/tcp"]),
        ("ports: ['8080:80', '53:53/udp', '127.0.0.1:9000:9000']", "published_ports",
         ["8080:80/tcp", "53:53/udp", "127.0.0.1:9000:9000/tcp"]),
        ("ports: ['127.0.0.1::9000', '[::1]:81:81']", "published_ports", ["127.0.0.1::9000/tcp", "[::1]:81:81/tcp"]),
        ("ports: ['8000-8010:80']", "published_ports", ["8000:80/tcp"]),
        ("ports: ['8000-8001:80-81']", "published_ports", ["8000:80/tcp", "8001:81/tcp"]),
        ("ports: [{target: 80, published: '81', protocol: udp, mode: host}]", "published_ports", ["81:80/udp"]),
        ("expose: [80, '90-91/udp']", "exposed_ports", ["80", "90-91/udp"]),
        ("dns: 10.0.0.1", "dns_servers", ["10.0.0.1"]),
        ("dns_search: [a, b]", "dns_search_domains", ["a", "b"]),
        ("dns_opt: ['ndots:1']", "dns_opts", ["ndots:1"]),
        ("extra_hosts: ['a:10.0.0.1', 'b=::1', 'c:[::2]', 'd:host-gateway']", "etc_hosts",
         {"a": "10.0.0.1", "b": "::1", "c": "::2", "d": "host-gateway"}),
        ("extra_hosts: {a: 10.0.0.1}", "etc_hosts", {"a": "10.0.0.1"}),
        ("volumes: [/data, 'v:/v', 'v:/w:ro']", "volumes", ["/data", "v:/v", "v:/w:ro"]),
        ("volumes: [{type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 01777}}, {type: tmpfs, target: /u}]", "tmpfs",
         ["/t:size=1048576,mode=1777", "/u"]),
        ("tmpfs: ['/run:size=1m', /tmp]", "tmpfs", ["/run:size=1m", "/tmp"]),
        ("restart: always", "restart_policy", "always"),
        ("restart: no", "restart_policy", "no"),
        ("restart: on-failure:3", "restart_retries", 3),
        ("restart: always\ndeploy: {restart_policy: {condition: none}}", "restart_policy", "no"),
        ("deploy: {restart_policy: {}}", "restart_policy", "always"),
        ("deploy: {restart_policy: {condition: on-failure, max_attempts: 2}}", "restart_retries", 2),
        ("healthcheck: {test: curl localhost, interval: 1m30s, retries: 3}", "healthcheck",
         {"test": ["CMD-SHELL", "curl localhost"], "interval": "90s", "retries": 3}),
        ("healthcheck: {test: [CMD, x], timeout: 500ms, start_period: 1d}", "healthcheck",
         {"test": ["CMD", "x"], "timeout": "500000us", "start_period": "86400s"}),
        ("healthcheck: {disable: true}", "healthcheck", {"test": ["NONE"]}),
        ("mac_address: 00:50:56:00:00:01", "mac_address", "00:50:56:00:00:01"),
        ("platform: linux/amd64", "platform", None),
        ("network_mode: bridge", "network", None),
        ("x-bonneville: {template: t}", "template", "t"),
        ("x-bonneville: {network: PG}", "network", "PG"),
        ("x-bonneville: {ip_address: 10.0.0.5/24, gateway: 10.0.0.1, dns: [10.0.0.2]}", "gateway", "10.0.0.1"),
        ("x-bonneville: {mac_address: deterministic}", "mac_address", "deterministic"),
    ],
)  # fmt: skip
def test_options(text: str, option: str, value: Any) -> None:
    indented = "\n".join(f"    {line}" for line in text.splitlines())
    image = "" if text.startswith("image:") else "    image: nginx\n"
    project = load(f"services:\n  web:\n{image}{indented}\nvolumes: {{v: {{}}}}\n", {"p.json": '{"a": [1]}'}).service(
        "web"
    )
    assert project.options.get(option) == value


def test_options_are_those_that_a_container_is_made_of() -> None:
    """The container's own reader takes them as they are, but for named volumes, which are the fleet's."""
    found = service(
        "command: a b\nenvironment: {A: x}\nlabels: [a=b]\nmem_limit: 64m\nmem_reservation: 32m\nmemswap_limit: 64m\n"
        "cpus: 0.5\nports: ['80:80', 81]\nexpose: [90]\nulimits: {nofile: 5}\nsysctls: {a: 1}\ntmpfs: /run\n"
        "volumes: [/data]\nhealthcheck: {test: x, interval: 1.5s}\nrestart: on-failure:3\nextra_hosts: ['a:10.0.0.1']\n"
        "stop_grace_period: 5s\npull_policy: never\nx-bonneville: {template: t, ip_address: 10.0.0.5/24}\n"
    )
    spec = read_spec(found.options, read_file=lambda path: b"")
    assert spec.options["published_ports"] == ("80:80/tcp", "81:81/tcp")
    assert spec.options["healthcheck"] == {"Test": ["CMD-SHELL", "x"], "Interval": 1_500_000_000}
    assert spec.pull == "never"


def test_environment_of_files() -> None:
    files = {
        "a.env": "A=1\nB=${OWN}-${GIVEN}\nSAME=a",
        "b.env": "SAME=b\nKEPT=b",
        ".env": "GIVEN=g",
        "raw.env": 'Q="q" $x',
    }
    found = service(
        "env_file: [a.env, {path: b.env}, {path: no.env, required: false}, {path: raw.env, format: raw}]\n"
        "environment: {OWN: own, SAME: mine, GIVEN: , KEPT: }\n",
        files,
    )
    # A bare name without a value is not there, whatever a file says.
    assert found.options["env"] == {"A": "1", "B": "own-g", "OWN": "own", "SAME": "mine", "GIVEN": "g", "Q": '"q" $x'}


def test_labels_of_files() -> None:
    found = service("label_file: l\nlabels: {a: mine}", {"l": "a=file\nb=file"})
    assert found.options["labels"] == {"a": "mine", "b": "file"}


def test_configs_secrets_and_binds() -> None:
    found = load(
        "services:\n"
        "  web:\n"
        "    image: a\n"
        "    configs: [c, {source: inline, target: rel.conf, mode: 0400}, {source: variable, target: /etc/v}]\n"
        "    secrets: [s, {source: s, target: named}, {source: v, target: /abs, mode: '0440', uid: '0'}]\n"
        "    volumes: ['./run.sh:/run.sh:ro', {type: bind, source: c.txt, target: /c2, read_only: true}]\n"
        "configs: {c: {file: c.txt}, inline: {content: 'x=${X}'}, variable: {environment: X}}\n"
        "secrets: {s: {file: s.txt}, v: {environment: X}}\n",
        {"c.txt": "config", "s.txt": "secret", "run.sh": "run", ".env": "X=value"},
    ).service("web")
    assert {content.target: (content.content, content.mode) for content in found.contents} == {
        "/c": (b"config", "0444"),
        "/rel.conf": (b"x=value", "0400"),
        "/etc/v": (b"value", "0444"),
        "/run/secrets/s": (b"secret", "0444"),
        "/run/secrets/named": (b"secret", "0444"),
        "/abs": (b"value", "0440"),
        "/run.sh": (b"run", "0555"),
        "/c2": (b"config", "0444"),
    }
    assert "b'secret'" not in repr(found)


@pytest.mark.parametrize(
    ("text", "replicas"),
    [("user: x", None), ("scale: 2", 2), ("deploy: {replicas: 1}", 1), ("deploy: {replicas: '3'}", 3), ("scale: 0", 0),
     ("scale: 2\ndeploy: {replicas: 2}", 2)],
)  # fmt: skip
def test_replicas(text: str, replicas: int | None) -> None:
    assert service(text).replicas == replicas


def test_updates() -> None:
    found = service(
        "deploy:\n"
        "  update_config: {parallelism: 0, delay: 1m30s, monitor: 500ms, order: start-first, \n"
        "    failure_action: rollback, max_failure_ratio: 0.5}\n"
        "  rollback_config: {parallelism: 2, failure_action: continue, max_failure_ratio: 0, monitor: 1s}\n"
    )
    assert found.update == Update(
        parallelism=0, delay=90.0, monitor=0.5, order="start-first", failure_action="rollback", max_failure_ratio=0.5
    )
    assert found.rollback == Rollback(parallelism=2, monitor=1.0)
    assert service("user: x").update == Update()
    assert service("user: x").rollback is None


def test_dependencies() -> None:
    found = load(
        "services:\n"
        "  a: {image: a, depends_on: [b, c]}\n"
        "  b: {image: b, depends_on: {c: {condition: service_healthy, restart: true}, d: {condition: service_started,\n"
        "    required: false}}}\n"
        "  c: {image: c, depends_on: {e: {condition: service_completed_successfully}}}\n"
        "  d: {image: d, profiles: [off]}\n"
        "  e: {image: e}\n"
    )
    assert found.service("a").depends_on == (Dependency(service="b"), Dependency(service="c"))
    assert found.service("b").depends_on == (Dependency(service="c", condition=HEALTHY, restart=True),)
    assert found.service("c").depends_on == (Dependency(service="e", condition=COMPLETED),)
    assert [one.name for one in found.services] == ["a", "b", "c", "e"]


def test_jobs() -> None:
    found = load(
        "services:\n"
        "  plain: {image: a}\n"
        "  once: {image: a, restart: 'no', x-bonneville: {ttl: 1h}}\n"
        "  none: {image: a, deploy: {restart_policy: {condition: none}}}\n"
        "  awaited: {image: a, restart: on-failure}\n"
        "  waiting: {image: a, depends_on: {awaited: {condition: service_completed_successfully}}}\n"
        "x-bonneville: {ttl: 60}\n"
    )
    assert {one.name: (one.job, one.ttl) for one in found.services} == {
        "plain": (False, None),
        "once": (True, 3600.0),
        "none": (True, 60.0),
        "awaited": (True, 60.0),
        "waiting": (False, None),
    }


BROKEN = """
name: shop
x-bonneville: {folder: teams/shop, size_gb: 2}
services:
  web: {image: $NOBODY, build: ., imgae: x, env_file: no.env, secrets: [s], depends_on: [db, nobody]}
  db: {volumes: ["data:/d"], ports: [a], profiles: [off]}
  old:
volumes:
  data: {labels: [a]}
  kept: {external: true, name: theirs}
secrets: {s: {file: no}}
"""


def test_of_a_fleet_that_is_to_go_only_what_that_needs_is_read() -> None:
    found = outline(BROKEN)
    assert (found.name, dict(found.places)) == ("shop", {"folder": "teams/shop"})
    assert {one.name: [it.service for it in one.depends_on] for one in found.services} == {
        "db": [], "old": [], "web": ["db"],
    }  # fmt: skip
    assert found.volumes == (
        Volume(key="data", name="shop_data", size_gb=2), Volume(key="kept", name="theirs", external=True),
    )  # fmt: skip


def test_in_a_circle_nobody_waits_where_all_of_it_is_to_go() -> None:
    found = outline("services: {a: {depends_on: [b]}, b: {depends_on: [a]}}")
    assert [(one.name, one.depends_on) for one in found.services] == [("a", ()), ("b", ())]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("services: {", "expected the node content"),
        ("name: $NOBODY", "There is no value for the variable 'NOBODY'"),
        ("volumes: {v: {name: $NOBODY}}", "There is no value for the variable 'NOBODY'"),
        ("x-bonneville: {foldr: a}", "There is no key 'foldr'"),
        ("services: {a: {extends: {service: b, file: b.yaml}}}", "b.yaml"),
    ],
)
def test_what_a_removal_needs_has_to_be_right(text: str, told: str) -> None:
    with pytest.raises(BonnevilleError, match=re.escape(told)):
        outline(text)


@pytest.mark.parametrize(
    ("profiles", "variables", "names"),
    [
        ([], {}, ["always"]),
        (["a"], {}, ["always", "one"]),
        (["b"], {}, ["always", "one", "two"]),
        (["*"], {}, ["always", "one", "two"]),
        ([], {"COMPOSE_PROFILES": "b,c"}, ["always", "one", "two"]),
        (["a"], {"COMPOSE_PROFILES": "b"}, ["always", "one"]),
    ],
)
def test_profiles(profiles: list[str], variables: dict[str, str], names: list[str]) -> None:
    text = "services: {always: {image: a}, one: {image: a, profiles: [a, b]}, two: {image: a, profiles: [b]}}"
    found = load(text, profiles=profiles, variables=variables)
    assert [one.name for one in found.services] == names
    assert set(found.idle) == {"always", "one", "two"} - set(names)


def test_each_volume_without_a_name_is_said_to_go_with_its_vm() -> None:
    found = load(
        "services:\n"
        "  db:\n"
        "    image: a\n"
        "    volumes:\n"
        "      - /var/lib/db\n"
        "      - data:/data\n"
        "      - {type: volume, target: /cache}\n"
        "      - {type: tmpfs, target: /run}\n"
        "  many: {image: a, volumes: [/many], deploy: {replicas: 3}}\n"
        "  idle: {image: a, volumes: [/idle], profiles: [off]}\n"
        "volumes: {data: }\n"
    )
    told = "has no name, so what is on it is lost with the VM when the container is replaced. Name it to keep that."
    assert found.warnings == (
        f"compose.yaml:5: the volume at '/var/lib/db' of service 'db' {told}",
        f"compose.yaml:7: the volume at '/cache' of service 'db' {told}",
        f"compose.yaml:9: the volume at '/many' of service 'many' {told}",
    )
    assert outline("services: {db: {image: a, volumes: [/var/lib/db]}}").warnings == ()


def test_volumes() -> None:
    found = load(
        "services: {web: {image: a, volumes: ['data:/d', 'big:/b', 'old:/o', 'named:/n']}}\n"
        "volumes:\n"
        "  data:\n"
        "  big: {x-bonneville: {size_gb: 20, datastore: fast}}\n"
        "  old: {external: true}\n"
        "  named: {name: its-own}\n"
        "  unused: {driver: nfs}\n"
        "x-bonneville: {size_gb: 5}\n"
    )
    assert found.volumes == (
        Volume(key="big", name="shop_big", size_gb=20, datastore="fast"),
        Volume(key="data", name="shop_data", size_gb=5),
        Volume(key="named", name="its-own", size_gb=5),
        Volume(key="old", name="old", external=True),
        Volume(key="unused", name="shop_unused", size_gb=5),
    )


def test_places_and_defaults() -> None:
    found = load(
        "x-bonneville: {template: t, network: PG, folder: f/g, datastore: d, resource_pool: C/P, gateway: 10.0.0.1,\n"
        "  mac_address: deterministic, dns: [10.0.0.2]}\n"
        "services:\n"
        "  a: {image: a}\n"
        "  b: {image: b, x-bonneville: {template: other, network: PG2, ip_address: 10.0.0.9/24}}\n"
    )
    assert found.places == {"folder": "f/g", "datastore": "d", "resource_pool": "C/P"}
    common = {"dns": ["10.0.0.2"], "mac_address": "deterministic"}
    assert found.service("a").options == {"image": "a", "template": "t", "network": "PG", **common}
    assert found.service("b").options == {
        "image": "b", "template": "other", "network": "PG2", "ip_address": "10.0.0.9/24", "gateway": "10.0.0.1",
        **common,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("networks", "top", "network"),
    [
        ("[front]", "front: {x-bonneville: {network: PG}}", "PG"),
        ("[front]", "front: {external: true, name: VM Network}", "VM Network"),
        ("[front]", "front: {external: true}", "front"),
        ("[front]", "front: {external: {name: old form}}", "old form"),
        ("[front]", "front: {driver: bridge}", "TOP"),
        ("[]", "default: {external: true, name: PG}", "PG"),
        ("{front: {priority: 1}, back: {priority: 2}}", "front: {}\n  back: {external: true}", "back"),
        ("[front, back]", "front: {}\n  back: {x-bonneville: {network: PG}}", "PG"),
    ],
)
def test_networks(networks: str, top: str, network: str) -> None:
    found = load(
        f"services: {{web: {{image: a, networks: {networks}}}}}\nnetworks:\n  {top}\nx-bonneville: {{network: TOP}}\n",
        ignore_unsupported=["networks"],
    )
    assert found.service("web").options["network"] == network


def test_aliases() -> None:
    found = load(
        "services: {web: {image: a, container_name: shop-web, networks: {front: {aliases: [www, web, shop-web]}}}}\n"
        "networks: {front: }\n"
    )
    assert found.service("web").aliases == ("www", "shop-web")


@pytest.mark.parametrize(
    ("name", "text", "directory", "expected"),
    [
        ("given", "name: file\nservices: {}\n", "/fleets/shop", "given"),
        ("", "name: file\nservices: {}\n", "/fleets/shop", "file"),
        ("", "services: {}\n", "/fleets/My Shop_1/", "myshop_1"),
    ],
)
def test_names(name: str, text: str, directory: str, expected: str) -> None:
    from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet import compose

    from tests.support.composing import texts

    assert compose.load(directory, name=name, look=texts({"compose.yaml": text})).name == expected


@pytest.mark.parametrize(
    ("there", "image"),
    [
        (["compose.yaml", "docker-compose.yml"], "compose.yaml"),
        (["docker-compose.yml"], "docker-compose.yml"),
        (["compose.yml", "compose.override.yml"], "compose.override.yml"),
        (
            ["docker-compose.yaml", "docker-compose.override.yaml", "compose.override.yaml"],
            "docker-compose.override.yaml",
        ),
    ],
)
def test_default_files(there: list[str], image: str) -> None:
    from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet import compose

    from tests.support.composing import texts

    files = {name: f"services: {{web: {{image: {name}}}}}" for name in there}
    assert compose.load("/f", name="f", look=texts(files)).service("web").options["image"] == image


def test_variables_are_above_the_dotenv() -> None:
    files = {".env": "A=file\nB=${A}\nC=file"}
    found = service("image: '${A}-${B}-${C}-${N}-${COMPOSE_PROJECT_NAME}'", files, variables={"A": "given", "N": 5})
    assert found.options["image"] == "given-given-file-5-shop"


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"compose.yaml": "name: store\n"}, "store"),
        ({"compose.yaml": "name: ${A}-${B:-b}\n", ".env": "A=a"}, "a-b"),
        ({"compose.yaml": "name: store\n", "compose.override.yaml": "name: other\n"}, "other"),
        ({"compose.yaml": ""}, "f"),
    ],
)
def test_the_fleets_name_is_a_variable_wherever_it_is_from(files: dict[str, str], name: str) -> None:
    from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet import compose

    from tests.support.composing import texts

    text = files["compose.yaml"] + "services: {web: {image: '${COMPOSE_PROJECT_NAME}:1'}}"
    found = compose.load("/F", look=texts({**files, "compose.yaml": text}))
    assert found.name == name and found.service("web").options["image"] == f"{name}:1"


def test_names_may_begin_as_fields_of_ones_own_do() -> None:
    found = load("services: {x-web: {image: a, ports: ['80:80'], volumes: ['x-v:/v']}}\nvolumes: {x-v: }\n")
    assert found.service("x-web").options["published_ports"] == ["80:80/tcp"]
    assert [volume.name for volume in found.volumes] == ["shop_x-v"]
