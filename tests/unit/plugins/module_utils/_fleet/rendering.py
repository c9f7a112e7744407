"""Our model and docker compose's own output in one form, so that they can be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet import compose
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.files import inside
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.assemble import assemble
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import Problems
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.translate import contents, scalars, together

from tests.support.compose_oracle import PLACE

_TIMES = frozenset(
    {"interval", "timeout", "start_period", "start_interval", "stop_grace_period", "delay", "monitor", "window"}
)
_SIZES = frozenset({"mem_limit", "mem_reservation", "memswap_limit", "shm_size", "memory", "size"})
_NUMBERS = frozenset({"cpus", "max_failure_ratio"})
# What the oracle writes where a file says nothing; and what is resolved away, or refused whatever it says.
_IDLE = (None, {}, [])
_LEFT_OUT = frozenset({"build", "devices", "develop", "env_file", "label_file", "extends"})


def ours(case: Path, *, files: list[str], profiles: list[str]) -> dict[str, Any]:
    """A case's model as our loader makes it, profiles chosen and environments resolved."""
    look, problems = inside(str(case)), Problems()
    variables = {"COMPOSE_PROJECT_NAME": case.name, **compose._variables({}, look)}
    model = assemble(files, variables=variables, look=look)
    found: dict[str, Any] = {"services": {}}
    for name, service in together.enabled(model["services"], profiles).items():
        environment = contents.environment(name, service, variables=variables, look=look, problems=problems)
        labels = contents.labels(name, service, look=look, problems=problems)
        found["services"][name] = _common({**scalars.plain(service), "environment": environment, "labels": labels})
    for section in ("volumes", "configs", "secrets"):
        found[section] = {
            key: _without_blanks(_resource(scalars.plain(value), key))
            for key, value in (model.get(section) or {}).items()
        }
    problems.settle("the corpus has mistakes")
    return found


def theirs(case: Path, oracle: dict[str, Any]) -> dict[str, Any]:
    """The oracle's output in the same form."""
    local = _local(oracle, f"{PLACE}/{case.name}/")
    found = {section: {key: _without_blanks(value) for key, value in local.get(section, {}).items()} for section in
             ("volumes", "configs", "secrets")}  # fmt: skip
    return {"services": {name: _common(service) for name, service in local["services"].items()}, **found}


def _resource(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = {**value, "name": value.get("name") or (key if value.get("external") else f"fleet_{key}")}
    if "labels" in found:
        found["labels"] = {name: text or "" for name, text in found["labels"].items()}
    if "environment" in found:
        # The oracle shows the variable's name only.
        found.pop("content", None)
    return found


def _local(value: Any, place: str) -> Any:
    """Paths from the case's directory, and dollars as they are meant."""
    if isinstance(value, dict):
        return {key: _local(item, place) for key, item in value.items()}
    if isinstance(value, list):
        return [_local(item, place) for item in value]
    if isinstance(value, str):
        return value.removeprefix(place).replace("$$", "$")
    return value


def _common(service: dict[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in service.items() if key not in _LEFT_OUT and not key.startswith("x-")}
    found["built"] = "build" in service
    if "network_mode" not in found:
        found["networks"] = {name: value or {} for name, value in (found.get("networks") or {"default": None}).items()}
    for key in ("environment", "labels", "sysctls"):
        found[key] = {name: str(value) for name, value in (found.get(key) or {}).items() if value is not None}
    found["extra_hosts"] = _hosts(found.get("extra_hosts"))
    found["pull_policy"] = {"if_not_present": "missing"}.get(found.get("pull_policy"), found.get("pull_policy"))
    for kind in ("configs", "secrets"):
        found[kind] = [_mount(kind, entry) for entry in found.get(kind) or ()]
    for key in ("ports", "volumes", "configs", "secrets", "cap_add", "cap_drop", "expose"):
        found[key] = sorted((_without_blanks(_values(one)) for one in found.get(key) or ()), key=_sorting)
    implied = {_linked(link) for link in found.get("links") or ()}
    depends = found.get("depends_on") or {}
    found["depends_on"] = {name: entry for name, entry in depends.items() if name not in implied}
    return _without_blanks(_values(found))


def _sorting(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _linked(link: str) -> str:
    return link.partition(":")[0]


def _hosts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return sorted(f"{name}={address}" for name, addresses in value.items() for address in addresses)
    return sorted(value or ())


def _mount(kind: str, entry: dict[str, Any]) -> dict[str, Any]:
    found = dict(entry)
    if kind == "secrets":
        found.setdefault("target", f"/run/secrets/{entry['source']}")
    if "mode" in found:
        found["mode"] = scalars.mode(found["mode"])
    return found


def _values(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _values(item, name) for name, item in value.items() if not name.startswith("x-")}
    if isinstance(value, list):
        return [_values(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if key in _TIMES:
        return round(scalars.seconds(value), 9)
    if key in _SIZES:
        return scalars.size(value)
    return float(value) if key in _NUMBERS else value


def _without_blanks(value: Any) -> Any:
    if isinstance(value, dict):
        inner = {key: _without_blanks(item) for key, item in value.items()}
        return {key: item for key, item in inner.items() if item not in _IDLE and item is not False}
    return value
