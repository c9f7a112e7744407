"""Roles hand every variable that they take to their module, and take every option that their module has."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.bonneville.vsphere.plugins.modules.container_fleet import FLEET

from tests.support.lab import ROOT

# What decides nothing where a fleet is removed; the first is what the role itself says.
NOT_FOR_TEARDOWN = {
    "state", "profiles", "ignore_unsupported", "template", "network", "template_folder", "datastore", "resource_pool",
    "digest_key", "prune", "max_prune", "allow_empty", "allowed_folders", "allowed_datastores", "allowed_networks",
    "allowed_templates", "expected_plan", "recreate", "comparisons", "on_failure", "healthy_wait_timeout",
    "clones_per_template",
}  # fmt: skip


def variables(role: str) -> dict[str, Any]:
    """A role's variables without its prefix."""
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())
    options: dict[str, Any] = specs["argument_specs"]["main"]["options"]
    assert all(name.startswith(f"{role}_") for name in options)
    return {name.removeprefix(f"{role}_"): option for name, option in options.items()}


def handed_on(role: str) -> dict[str, str]:
    tasks = yaml.safe_load((ROOT / "roles" / role / "tasks" / "main.yml").read_text())
    found: dict[str, str] = tasks[0]["bonneville.vsphere.container_fleet"]
    return found


@pytest.mark.parametrize(
    ("role", "own", "left_out"),
    [
        ("container_fleet", {"plan_only", "plan_file", "fail_on_drift"}, {"state"}),
        ("container_fleet_teardown", set(), NOT_FOR_TEARDOWN),
    ],
)
def test_a_roles_variables_are_its_modules_options(role: str, own: set[str], left_out: set[str]) -> None:
    taken = variables(role)
    assert taken.keys() - own == FLEET.options.keys() - left_out
    given = handed_on(role)
    assert given.keys() - {"state"} == taken.keys() - own
    for name in taken.keys() - own:
        assert f"{role}_{name} | default(omit" in given[name]
        module = FLEET.options[name]
        assert taken[name]["type"] == module["type"], name
        assert taken[name].get("default") == module.get("default"), name
        assert taken[name].get("choices") == module.get("choices"), name
