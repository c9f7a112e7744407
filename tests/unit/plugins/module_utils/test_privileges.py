"""The one list of privileges has every one that anything in the collection names, and is told in the guide."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils import _privileges
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError
from ansible_collections.bonneville.vsphere.plugins.module_utils._privileges import TASKS, granting, needed
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.roles import (
    StandingRole,
    WantedRole,
    plan_role,
)

PLUGINS = Path(_privileges.__file__).resolve().parents[1]
NAMED = re.compile(
    r"[\"'](?:\{_VM\}|(VirtualMachine|Datastore|Folder|Network|Resource|VApp|Host))((?:\.[A-Z]\w+)+)[\"']"
)
# What is written as a privilege is and is none.
TYPES = {"VirtualMachine.Config", "Host.Config"}


def named_in_the_code() -> set[str]:
    found = set()
    for path in PLUGINS.rglob("*.py"):
        if path.name != "_privileges.py":
            found |= {(one[1] or "VirtualMachine") + one[2] for one in NAMED.finditer(path.read_text())}
    return found - TYPES


def test_every_privilege_that_the_code_names_is_in_the_list() -> None:
    named = named_in_the_code()
    assert {"VApp.Import", "VirtualMachine.Inventory.Delete"} <= named, "privileges are no longer found in the code"
    assert sorted(named - needed(TASKS)) == []


def test_each_is_said_to_be_for_something() -> None:
    assert [name for task in TASKS.values() for name, use in task.items() if not use] == []


def test_who_lacks_one_of_ours_is_led_to_the_playbook() -> None:
    assert "bonneville.vsphere.create_role" in granting(["Folder.Create"])
    assert "create_role" not in granting(["Folder.Create", "Authorization.ModifyRoles"])


def wanted(*privileges: str, principal: str = "") -> WantedRole:
    return WantedRole(name="R", privileges=frozenset(privileges), known=frozenset("abc"), principal=principal)


@pytest.mark.parametrize(
    ("role", "standing", "steps"),
    [
        (wanted("a"), StandingRole(), ["create"]),
        (wanted("a"), StandingRole(id=1, privileges=frozenset("a")), []),
        (wanted("a", "b"), StandingRole(id=1, privileges=frozenset("ac")), ["update"]),
        (wanted("a", principal="D\\u"), StandingRole(), ["create", "grant"]),
        (wanted("a", principal="D\\u"), StandingRole(id=1, privileges=frozenset("a")), ["grant"]),
        (wanted("a", principal="D\\u"), StandingRole(id=1, privileges=frozenset("a"), held="R"), []),
        (wanted(), StandingRole(), []),
        (wanted(), StandingRole(id=1, privileges=frozenset("b")), ["remove"]),
    ],
)
def test_the_steps_to_a_role(role: WantedRole, standing: StandingRole, steps: list[str]) -> None:
    assert [step.action for step in plan_role(role, standing)] == steps


def test_a_change_of_a_role_says_what_comes_and_goes() -> None:
    (step,) = plan_role(wanted("a", "b"), StandingRole(id=1, privileges=frozenset("ac")))
    assert step.reason == "+ b, - c"


@pytest.mark.parametrize(
    ("role", "standing", "code"),
    [
        (wanted("a"), StandingRole(id=1, privileges=frozenset("ax")), "invalid_option"),
        (wanted(), StandingRole(id=1, privileges=frozenset("x")), "invalid_option"),
        (wanted("a", principal="u@d"), StandingRole(), "invalid_option"),
        (wanted("a", principal="D\\u"), StandingRole(held="Other"), "in_use"),
        (wanted(), StandingRole(id=1, privileges=frozenset("a"), used=("D\\u",)), "in_use"),
    ],
)
def test_what_is_somebody_elses_is_refused(role: WantedRole, standing: StandingRole, code: str) -> None:
    with pytest.raises(BonnevilleError) as refused:
        plan_role(role, standing)
    assert refused.value.code == code
