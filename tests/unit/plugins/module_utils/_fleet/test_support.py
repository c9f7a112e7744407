"""Every key of the Compose Specification is in the table, and does what the table says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import Unsupported
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet import project as project_module
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.schema import schema
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import (
    Content,
    Dependency,
    FleetService,
    Project,
    Rollback,
    Update,
    Volume,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate.support import (
    LEVELS,
    PSEUDO,
    SERVICE,
    Key,
    refusable,
)

from tests.support.composing import load

ENGINE = Path(project_module.__file__).parent
_DEFINITIONS = {"fleet": None, **{level: level for level in ("service", "network", "volume", "config", "secret")}}
# Their inner keys are names of the user's own, or one value in another form.
_OPEN = frozenset(
    {"extra_hosts", "ulimits", "labels", "environment", "sysctls", "driver_opts", "annotations", "external"}
)


def _resolved(part: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        part = schema()["definitions"][part["$ref"].rpartition("/")[2]]
    return part


def _keys(part: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """All keys below a definition, each form of it looked at."""
    part = _resolved(part)
    for name, inner in part.get("properties", {}).items():
        yield f"{prefix}{name}"
        if name not in _OPEN:
            yield from _keys(inner, f"{prefix}{name}.")
    for pattern, inner in part.get("patternProperties", {}).items():
        if pattern != "^x-" and prefix:
            yield from _keys(inner, prefix)
    for inner in [*part.get("oneOf", ()), *([part["items"]] if "items" in part else [])]:
        yield from _keys(inner, prefix)


def _level_keys(level: str) -> set[str]:
    definition = _DEFINITIONS[level]
    if definition is None:
        return set(schema()["properties"])
    return set(_keys({"$ref": f"#/definitions/{definition}"}))


@pytest.mark.parametrize("level", LEVELS)
def test_every_key_of_the_schema_is_in_the_table(level: str) -> None:
    table = LEVELS[level]
    for key in sorted(_level_keys(level)):
        parts = key.split(".")
        outer = [".".join(parts[:count]) for count in range(1, len(parts))]
        refused = any(table[one].supported == "no" for one in outer if one in table)
        idle = any(table[one].how.startswith("nothing") for one in outer if one in table)
        assert key in table or refused or idle, f"{level}: {key}"


@pytest.mark.parametrize("level", LEVELS)
def test_the_table_has_no_key_that_the_schema_lacks(level: str) -> None:
    assert LEVELS[level].keys() - _level_keys(level) - PSEUDO == set()


_ENTRIES = [(level, name, key) for level, table in LEVELS.items() for name, key in table.items()]


@pytest.mark.parametrize(("level", "name", "key"), _ENTRIES)
def test_entries_are_whole(level: str, name: str, key: Key) -> None:
    assert key.how or key.why
    assert not key.accepts or (key.how and key.why)
    assert not key.why or key.instead
    for text in (key.how, key.why, key.instead):
        assert not text.endswith(".")


# A sample of each supported key, as the service bears it: where there are two, the second says something else.
_SAMPLES: dict[str, Any] = {
    "image": "other:1", "command": "run it", "entrypoint": ["/entry"], "environment": {"A": "1"}, "labels": ["a=b"],
    "env_file": "a.env", "label_file": "a.labels", "container_name": "name", "user": "1000", "group_add": ["adm"],
    "working_dir": "/srv", "hostname": "host", "domainname": "example.com", "init": True, "tty": True,
    "stdin_open": True, "stop_signal": "SIGINT", "stop_grace_period": "1m", "restart": "always",
    "healthcheck": {"test": "true"}, "pull_policy": "always", "cap_add": ["NET_ADMIN"], "cap_drop": ["ALL"],
    "privileged": True, "read_only": True, "security_opt": ["no-new-privileges"], "sysctls": {"a.b": 1},
    "ulimits": {"nofile": 5}, "shm_size": "64m", "pids_limit": 5, "cpus": 0.5, "cpuset": "0", "cpu_shares": 5,
    "mem_limit": "64m", "mem_reservation": "64m", "ports": ["80:80"], "expose": ["80"],
    "networks": {"front": {}}, "mac_address": "00:50:56:00:00:01", "dns": "10.0.0.1", "dns_search": "example.com",
    "dns_opt": ["ndots:1"], "extra_hosts": ["a:10.0.0.1"], "volumes": ["/data"], "tmpfs": "/tmp", "configs": ["c"],
    "secrets": ["s"], "depends_on": ["db"], "extends": "db", "profiles": ["off"], "scale": 2, "deploy": {"replicas": 2},
    "healthcheck.test": {"test": "true"}, "healthcheck.interval": {"interval": "5s"},
    "healthcheck.timeout": {"timeout": "5s"}, "healthcheck.retries": {"retries": 5},
    "healthcheck.start_period": {"start_period": "5s"}, "healthcheck.disable": {"disable": True},
    "env_file.path": [{"path": "a.env"}], "env_file.format": [{"path": "a.env", "format": "raw"}],
    "ports.target": [{"target": 80}], "ports.published": ([{"target": 80}], [{"target": 80, "published": 81}]),
    "ports.host_ip": ([{"target": 80}], [{"target": 80, "host_ip": "10.0.0.1"}]),
    "ports.protocol": ([{"target": 80}], [{"target": 80, "protocol": "udp"}]),
    "networks.aliases": {"front": {"aliases": ["www"]}},
    "networks.mac_address": {"front": {"mac_address": "00:50:56:00:00:01"}},
    "volumes.type": ([{"type": "volume", "target": "/d"}], [{"type": "tmpfs", "target": "/d"}]),
    "volumes.source": ([{"type": "volume", "target": "/d"}], [{"type": "volume", "target": "/d", "source": "v"}]),
    "volumes.target": ([{"type": "volume", "target": "/d"}], [{"type": "volume", "target": "/e"}]),
    "volumes.read_only": (["v:/d"], [{"type": "volume", "target": "/d", "source": "v", "read_only": True}]),
    "volumes.bind": [{"type": "bind", "source": "./a.env", "target": "/a", "read_only": True, "bind": {}}],
    "volumes.volume": [{"type": "volume", "target": "/d", "volume": {}}],
    "volumes.volume.nocopy": (["v:/d"], ["v:/d:nocopy"]),
    "volumes.tmpfs": [{"type": "tmpfs", "target": "/d", "tmpfs": {}}],
    "volumes.tmpfs.size": (["/x"], [{"type": "tmpfs", "target": "/d", "tmpfs": {"size": "1m"}}]),
    "volumes.tmpfs.mode": (["/x"], [{"type": "tmpfs", "target": "/d", "tmpfs": {"mode": 0o700}}]),
    **{
        f"{kind}.{key}": ([{"source": name}], [{"source": name, **entry}])
        for kind, name in (("configs", "c"), ("secrets", "s"))
        for key, entry in {"target": {"target": "/t"}, "mode": {"mode": 0o400}}.items()
    },
    "configs.source": [{"source": "c"}], "secrets.source": [{"source": "s"}],
    "depends_on.condition": (["db"], {"db": {"condition": "service_healthy"}}),
    "depends_on.required": (["db"], {"db": {"condition": "service_started", "required": False}}),
    "depends_on.restart": (["db"], {"db": {"condition": "service_started", "restart": True}}),
    "extends.service": {"service": "db"}, "extends.file": {"service": "base", "file": "base.yaml"},
    "deploy.replicas": {"replicas": 2},
    **{
        f"deploy.{path}": {part: {inner: {key: value}} if inner else {key: value}}
        for path, part, inner, key, value in (
            ("resources.limits.cpus", "resources", "limits", "cpus", "0.5"),
            ("resources.limits.memory", "resources", "limits", "memory", "64M"),
            ("resources.limits.pids", "resources", "limits", "pids", 5),
            ("resources.reservations.memory", "resources", "reservations", "memory", "64M"),
            ("restart_policy.condition", "restart_policy", "", "condition", "on-failure"),
        )
    },
    "deploy.resources": {"resources": {"limits": {"pids": 5}}},
    "deploy.resources.limits": {"resources": {"limits": {"pids": 5}}},
    "deploy.resources.reservations": {"resources": {"reservations": {"memory": "64M"}}},
    "deploy.restart_policy": {"restart_policy": {}},
    "deploy.restart_policy.max_attempts": (
        {"restart_policy": {"condition": "on-failure"}},
        {"restart_policy": {"condition": "on-failure", "max_attempts": 3}},
    ),
    **{
        f"deploy.{section}{suffix}": {section: {key: value}}
        for section in ("update_config", "rollback_config")
        for suffix, key, value in (
            ("", "parallelism", 2), (".parallelism", "parallelism", 2), (".delay", "delay", "5s"),
            (".failure_action", "failure_action", "continue"), (".monitor", "monitor", "5s"),
            (".max_failure_ratio", "max_failure_ratio", 0.5), (".order", "order", "start-first"),
        )
        if (section, key) not in (("rollback_config", "failure_action"), ("rollback_config", "max_failure_ratio"))
    },
}  # fmt: skip
# They hold other keys, need a missing file, or hold for what is said elsewhere; tested in test_compose.py.
_TESTED_ELSEWHERE = frozenset({"env_file.required", "memswap_limit"})
_FILES = {"a.env": 'A="x"\n', "a.labels": "l=1\n", "base.yaml": "services: {base: {image: base}}"}


def _project(key: str, value: Any) -> Project:
    web: dict[str, Any] = {"image": "nginx"}
    if value is not None:
        web[key.partition(".")[0]] = value
    if key.startswith("extends") and value is not None:
        del web["image"]
    file = {
        "services": {"web": web, "db": {"image": "db"}},
        "networks": {"front": {"x-bonneville": {"network": "PG"}}},
        "volumes": {"v": {}},
        "configs": {"c": {"content": "c"}},
        "secrets": {"s": {"file": "a.env"}},
    }
    return load(yaml.safe_dump(file), _FILES)


@pytest.mark.parametrize("key", [name for name, key in SERVICE.items() if key.supported != "no"])
def test_what_is_supported_does_something(key: str) -> None:
    """No key is accepted and ignored, unless the table says that it does nothing here."""
    entry = SERVICE[key]
    if key in _TESTED_ELSEWHERE or entry.how.startswith("nothing"):
        return
    if entry.accepts and key not in _SAMPLES:
        # What is honoured is what holds anyway.
        return
    sample = _SAMPLES.get(key)
    assert sample is not None, "the test has no sample of it"
    before, after = sample if isinstance(sample, tuple) else (None, sample)
    assert _project(key, before).services != _project(key, after).services


# Of what services use: what stands in the file without the key, and with it.
_OF_RESOURCES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "volume.name": ({"volumes": {"v": {}}}, {"volumes": {"v": {"name": "other"}}}),
    "volume.external": ({"volumes": {"v": {}}}, {"volumes": {"v": {"external": True}}}),
    "network.name": (
        {"networks": {"front": {"external": True}}},
        {"networks": {"front": {"external": True, "name": "PG"}}},
    ),
    "network.external": ({"networks": {"front": {}}}, {"networks": {"front": {"external": True}}}),
    **{
        f"{kind}.{key}": ({f"{kind}s": {"c": {"file": "a.env"}}}, {f"{kind}s": {"c": {key: value}}})
        for kind in ("config", "secret")
        for key, value in (("content", "c"), ("environment", "VALUE"), ("file", "a.labels"))
        if key in LEVELS[kind]
    },
}


@pytest.mark.parametrize(
    ("level", "key"),
    [
        (level, key)
        for level, table in LEVELS.items()
        for key, entry in table.items()
        if level not in ("fleet", "service")
        and entry.supported != "no"
        and not entry.accepts
        and not entry.how.startswith("nothing")
    ],
)
def test_what_is_supported_of_resources_does_something(level: str, key: str) -> None:
    def project(part: dict[str, Any]) -> Project:
        uses = {"volume": {"volumes": ["v:/d"]}, "network": {"networks": ["front"]}}
        web = {"image": "nginx", **uses.get(level, {f"{level}s": ["c"]})}
        return load(yaml.safe_dump({"services": {"web": web}, **part}), _FILES, variables={"VALUE": "x"})

    before, after = _OF_RESOURCES[f"{level}.{key}"]
    assert project(before) != project(after)


_PARTS = (Project, FleetService, Dependency, Update, Rollback, Content, Volume)


@pytest.mark.parametrize(("part", "name"), [(part, field.name) for part in _PARTS for field in fields(part)])
def test_what_is_read_is_used(part: type, name: str) -> None:
    """Whatever the loader finds in the files, the engine looks at."""
    engine = [path for path in ENGINE.glob("*.py") if path.name not in ("project.py", "compose.py")]
    assert len(engine) > 5
    attributes = {
        node.attr
        for path in engine
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    assert name in attributes


_REFUSED: dict[str, Any] = {
    "blkio_config": {"weight": 300}, "credential_spec": {"file": "x"}, "provider": {"type": "x"}, "gpus": "all",
    "storage_opt": {"size": "1G"}, "logging": {"driver": "syslog"}, "annotations": {"a": "b"}, "build": ".",
    "cgroup": "host", "use_api_socket": True, "oom_kill_disable": True,
    "cpu_count": 1, "cpu_percent": 5, "cpu_quota": 5,
    "cpu_period": 5, "cpu_rt_period": 5, "cpu_rt_runtime": 5, "mem_swappiness": 0, "oom_score_adj": 5,
    "post_start": [{"command": "x"}], "pre_stop": [{"command": "x"}],
}  # fmt: skip
_TEXTS = frozenset({"cgroup_parent", "ipc", "isolation", "pid", "runtime", "userns_mode", "uts", "pull_refresh_after"})


@pytest.mark.parametrize("key", [name for name, key in SERVICE.items() if key.supported == "no" and "." not in name])
def test_what_is_refused_is_an_error_or_a_warning(key: str) -> None:
    value = _REFUSED.get(key, "value" if key in _TEXTS else ["value"])
    file = yaml.safe_dump({"services": {"web": {"image": "nginx", key: value}}})
    with pytest.raises(Unsupported) as error:
        load(file)
    assert error.value.details["key"] == key
    assert error.value.details["service"] == "web"
    assert error.value.details["file"] == "compose.yaml"
    assert error.value.details["line"] > 0
    found = load(file, ignore_unsupported=[key])
    (warning,) = found.warnings
    assert f"{key} of service 'web' is ignored" in warning
    assert found.services == load("services: {web: {image: nginx}}").services


def test_what_may_be_ignored() -> None:
    found = refusable()
    assert {"build", "deploy", "deploy.placement", "network.ipam", "volumes.bind.read_write", "models"} <= found
    assert not {"image", "environment", "internal"} & found
