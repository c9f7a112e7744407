"""Roles hand every variable that they take to their module, and take every option that their module has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.bonneville.vsphere.plugins.module_utils._argspec import ArgSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._template.arguments import TEMPLATE
from ansible_collections.bonneville.vsphere.plugins.modules.container_fleet import FLEET

from tests.support.lab import ROOT

# What decides nothing where a fleet is removed; the first is what the role itself says.
NOT_FOR_TEARDOWN = {
    "state", "profiles", "ignore_unsupported", "template", "network", "template_folder", "datastore", "resource_pool",
    "digest_key", "prune", "max_prune", "allow_empty", "allowed_folders", "allowed_datastores", "allowed_networks",
    "allowed_templates", "expected_plan", "recreate", "comparisons", "on_failure", "healthy_wait_timeout",
    "clones_per_template",
}  # fmt: skip
ROLES = ("photon_template", "container_fleet_teardown", "container_fleet")


def variables(role: str) -> dict[str, Any]:
    """A role's variables without its prefix."""
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())
    options: dict[str, Any] = specs["argument_specs"]["main"]["options"]
    assert all(name.startswith(f"{role}_") for name in options)
    return {name.removeprefix(f"{role}_"): option for name, option in options.items()}


def handed_on(role: str, module: str) -> dict[str, str]:
    tasks = yaml.safe_load((ROOT / "roles" / role / "tasks" / "main.yml").read_text())
    (found,) = (task[name] for task in tasks if (name := f"bonneville.vsphere.{module}") in task)
    return dict(found)


def shape(option: Mapping[str, Any]) -> dict[str, Any]:
    """What an option takes, without the words about it."""
    kept = {key: option.get(key) for key in ("type", "elements", "choices", "default")}
    inner = option.get("options") or {}
    return kept | {
        "required": bool(option.get("required")),
        "options": {name: shape(one) for name, one in inner.items()},
    }


@pytest.mark.parametrize(
    ("role", "module", "spec", "own", "left_out"),
    [
        ("container_fleet", "container_fleet", FLEET, {"plan_only", "plan_file", "fail_on_drift"}, {"state"}),
        ("container_fleet_teardown", "container_fleet", FLEET, set(), NOT_FOR_TEARDOWN),
        ("photon_template", "photon_template", TEMPLATE, {"ova"}, set()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_roles_variables_are_its_modules_options(
    role: str, module: str, spec: ArgSpec, own: set[str], left_out: set[str]
) -> None:
    taken = variables(role)
    assert taken.keys() - own == spec.options.keys() - left_out
    given = handed_on(role, module)
    assert given.keys() - {"state"} == taken.keys() - own - {"state"}
    for name in taken.keys() - own:
        asked = f"{role}_{name}" if taken[name].get("required") else f"{role}_{name} | default("
        assert f"{{{{ {asked}" in given[name] and ("omit" in given[name]) != bool(taken[name].get("required")), name
        assert shape(taken[name]) == shape(spec.options[name]), name
    for name in own:
        assert f"{role}_{name}" in (ROOT / "roles" / role / "tasks" / "main.yml").read_text(), f"{name} is ignored"


def users() -> Iterator[Path]:
    """All that sets variables of roles, or tells which there are."""
    for place in ("playbooks", "roles", "examples", "extensions"):
        yield from (path for path in (ROOT / place).rglob("*") if path.suffix in (".yml", ".yaml", ".md"))


def test_nothing_names_a_variable_that_no_role_takes() -> None:
    known = {f"{role}_{name}" for role in ROLES for name in [*variables(role), "result"]} | {*ROLES}
    named = re.compile(rf"(?<![\w.])(?:{'|'.join(ROLES)})_[a-z]\w*[a-z]\b")
    found = {(path, word) for path in users() for word in named.findall(path.read_text())}
    assert {path.name for path, _word in found} >= {"prune_fleets.yml", "awx.yml", "lab.yml", "README.md"}
    assert {(str(path.relative_to(ROOT)), word) for path, word in found if word not in known} == set()


@pytest.mark.parametrize(
    ("playbook", "role"),
    [
        ("build_template", "photon_template"),
        ("deploy_fleet", "container_fleet"),
        ("plan_fleet", "container_fleet"),
        ("destroy_fleet", "container_fleet_teardown"),
    ],
)
def test_a_playbook_is_its_role_on_one_host(playbook: str, role: str) -> None:
    (play,) = yaml.safe_load((ROOT / "playbooks" / f"{playbook}.yml").read_text())
    assert [one["role"] for one in play["roles"]] == [f"bonneville.vsphere.{role}"]
    assert play["hosts"] == "{{ bonneville_hosts | default('localhost') }}"
    assert play["gather_facts"] is False
