"""How every module starts, keeps to check mode, fails and ends."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.bonneville.vsphere.plugins.module_utils._argspec import CONNECTION, ArgSpec
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InUse, NotFound, Several
from ansible_collections.bonneville.vsphere.plugins.module_utils._run import HIDDEN, Context, Result, redacted, run

COLLECTIONS = Path(sys.modules[Result.__module__].__file__ or "").parents[5]

SPEC = CONNECTION.merge(
    ArgSpec(
        options={
            "env": {"type": "dict", "aliases": ["environment"]},
            "login": {
                "type": "dict",
                "options": {"user": {"type": "str"}, "password": {"type": "str", "no_log": False}},
            },
            "logins": {"type": "list", "elements": "dict"},
            "count": {"type": "int"},
            "proxy": {"type": "str"},
            "mirrors": {"type": "list", "elements": "str"},
            "source": {"type": "dict"},
        },
        secret=("env", "login.password", "logins.password"),
        addresses=("proxy", "mirrors", "source.url"),
        refused={"gpus": "no clone has a GPU"},
    )
)
THERE = {"vcenter_hostname": "vc", "vcenter_username": "me", "vcenter_password": "planted-password"}
VARIABLES = {name: option["fallback"][1][0] for name, option in CONNECTION.options.items()}
Main = Callable[[Context], Result]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    return


def nothing(context: Context) -> Result:
    return Result(changed=False, values={"options": dict(context.params)})


def say(
    main: Main = nothing, *, there: Mapping[str, Any] = THERE, check: bool = False, diff: bool = False, **options: Any
) -> dict[str, Any]:
    """What a module of SPEC prints."""
    printed = io.StringIO()
    arguments = {**there, **options, "_ansible_check_mode": check, "_ansible_diff": diff}
    with patch_module_args(arguments), contextlib.redirect_stdout(printed), pytest.raises(SystemExit):
        run(SPEC, main)
    answer: dict[str, Any] = json.loads(printed.getvalue().strip().splitlines()[-1])
    return answer


# What is shown of the options ------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"vcenter_password": "x"}, {"vcenter_password": HIDDEN}),
        ({"count": 1, "env": None}, {"count": 1, "env": None}),
        ({"env": {"A": "x", "B": ""}}, {"env": {"A": HIDDEN, "B": HIDDEN}}),
        ({"environment": {"A": "x"}}, {"environment": {"A": HIDDEN}}),
        ({"env": {}}, {"env": {}}),
        ({"login": {"user": "me", "password": "x"}}, {"login": {"user": "me", "password": HIDDEN}}),
        ({"login": {"user": "me", "password": None}}, {"login": {"user": "me", "password": None}}),
        ({"login": {"user": "me"}}, {"login": {"user": "me"}}),
        ({"logins": [{"password": "x"}, {"password": "y"}]}, {"logins": [{"password": HIDDEN}] * 2}),
        # what a task gives that is refused for it
        ({"env": "A=x"}, {"env": HIDDEN}),
        ({"env": ["A=x", {"B": "y"}]}, {"env": [HIDDEN, {"B": HIDDEN}]}),
        ({"login": '{"password": "x"}'}, {"login": HIDDEN}),
        ({"login": {"password": {"deep": "x"}}}, {"login": {"password": {"deep": HIDDEN}}}),
        ({"logins": ["x"]}, {"logins": [HIDDEN]}),
        ({"logins": {"password": ["x"]}}, {"logins": {"password": [HIDDEN]}}),
        # a login in an address, however wrong the address is
        ({"proxy": "http://proxy:3128", "mirrors": None}, {"proxy": "http://proxy:3128", "mirrors": None}),
        ({"proxy": "http://me:x@proxy:3128"}, {"proxy": f"http://{HIDDEN}@proxy:3128"}),
        ({"proxy": "http://me:x/@y@proxy"}, {"proxy": f"http://{HIDDEN}@proxy"}),
        ({"proxy": "me:x@proxy:3128"}, {"proxy": f"{HIDDEN}@proxy:3128"}),
        ({"proxy": "me:x://y\nz@proxy"}, {"proxy": f"{HIDDEN}@proxy"}),
        ({"proxy": {"http": "http://me:x@proxy"}}, {"proxy": {"http": f"http://{HIDDEN}@proxy"}}),
        ({"proxy": 3128}, {"proxy": 3128}),
        ({"mirrors": ["https://a", "https://me:x@b"]}, {"mirrors": ["https://a", f"https://{HIDDEN}@b"]}),
        ({"mirrors": "https://a,https://me:x@b"}, {"mirrors": f"https://{HIDDEN}@b"}),
        ({"source": {"vm": "a@b", "url": "http://me:x@b"}}, {"source": {"vm": "a@b", "url": f"http://{HIDDEN}@b"}}),
        ({"source": "url=http://me:x@b"}, {"source": f"{HIDDEN}@b"}),
    ],
)
def test_redacted(given: Mapping[str, Any], shown: Mapping[str, Any]) -> None:
    before = json.dumps(given)
    assert redacted(given, SPEC) == shown
    assert json.dumps(given) == before


@pytest.mark.parametrize(
    "options",
    [
        {"env": {"A": "planted"}, "login": {"user": "me", "password": "planted"}},
        {"environment": {"A": "planted"}},
        {"env": {"A": "planted"}, "count": "many"},
        {"env": {"A": "planted"}, "unknown": 1},
        {"env": "planted", "count": "many"},
        {"login": {"password": "planted", "more": 1}},
        {"env": {"A": "planted"}, "gpus": 1},
        {"env": {"A": "planted"}, "proxy_port": 8080},
        {"proxy": "http://me:planted@proxy:3128", "count": "many"},
        {"source": {"url": "http://me:planted@host"}},
    ],
)
def test_no_secret_is_shown_whatever_becomes_of_the_task(options: Mapping[str, Any]) -> None:
    def fail(context: Context) -> Result:
        raise NotFound("Cannot find it")

    for main in (fail, lambda context: Result(changed=True)):
        text = json.dumps(say(main, **options))
        assert "planted" not in text


# What a module is given ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "options", "expected"),
    [
        # as AWX sets them: blanks for what was not filled in
        (
            {"VMWARE_HOST": "h", "VMWARE_USER": "u", "VMWARE_PASSWORD": "p", "VMWARE_VALIDATE_CERTS": ""},
            {},
            {"vcenter_hostname": "h", "vcenter_username": "u", "validate_certs": True, "vcenter_port": 443},
        ),
        ({"VMWARE_VALIDATE_CERTS": "False"}, {}, {"validate_certs": False}),
        ({"VMWARE_PORT": "8443"}, {}, {"vcenter_port": 8443}),
        ({"VMWARE_PORT": ""}, {}, {"vcenter_port": 443}),
        ({"VMWARE_PROXY_HOST": "p", "VMWARE_PROXY_PORT": "3128"}, {}, {"proxy_host": "p", "proxy_port": 3128}),
        ({"VMWARE_PROXY_HOST": "", "VMWARE_PROXY_PORT": ""}, {}, {"proxy_host": None, "proxy_port": None}),
        # the task's own word counts
        ({"VMWARE_HOST": "h"}, {"vcenter_hostname": "mine"}, {"vcenter_hostname": "mine"}),
        ({"VMWARE_VALIDATE_CERTS": "true"}, {"validate_certs": False}, {"validate_certs": False}),
    ],
)
def test_options_come_from_the_task_or_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    variables: Mapping[str, str],
    options: Mapping[str, Any],
    expected: Mapping[str, Any],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    there = {name: value for name, value in THERE.items() if VARIABLES[name] not in variables}
    answer = say(there=there, **options)
    shown = answer["options"]
    assert {name: shown[name] for name in expected} == expected


@pytest.mark.parametrize("blank", ["VMWARE_HOST", "VMWARE_USER", "VMWARE_PASSWORD"])
def test_a_blank_variable_does_not_stand_for_what_is_required(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    monkeypatch.setenv(blank, "")
    (option,) = [name for name, variable in VARIABLES.items() if variable == blank]
    answer = say(there={name: value for name, value in THERE.items() if name != option})
    assert answer["failed"]
    assert answer["msg"] == f"missing required arguments: {option}"


@pytest.mark.parametrize(
    ("options", "port"),
    [
        ({"vcenter_port": 0}, "vcenter_port"),
        ({"vcenter_port": 65536}, "vcenter_port"),
        ({"proxy_host": "p", "proxy_port": -1}, "proxy_port"),
    ],
)
def test_a_port_that_is_none(options: Mapping[str, Any], port: str) -> None:
    def main(context: Context) -> Result:
        with context.session():
            raise AssertionError("there is nothing at this port")

    answer = say(main, **options)
    assert answer["error_code"] == "invalid_option"
    assert answer["msg"] == f"Cannot use the option '{port}': {options[port]} is no TCP port. Use 1 to 65535."


def test_a_proxy_port_needs_its_host() -> None:
    assert "proxy_host" in say(proxy_port=3128)["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"there": {}}, "missing required arguments"),
        ({"unknown": 1}, "Unsupported parameters"),
        ({"count": "many"}, "'count'"),
        ({"proxy_port": 3128}, "proxy_host"),
    ],
)
def test_what_ansible_refuses_by_itself_has_a_code_too(options: dict[str, Any], words: str) -> None:
    answer = say(**options)
    assert (answer["failed"], answer["error_code"]) == (True, "invalid_option")
    assert words in answer["msg"]


def test_an_option_that_is_refused_on_purpose_says_what_to_do() -> None:
    answer = say(gpus=1)
    assert answer["failed"]
    assert (answer["error_code"], answer["options"]) == ("unsupported", ["gpus"])
    assert "gpus: no clone has a GPU" in answer["msg"]


# How it ends ------------------------------------------------------------------------------


def test_a_result_is_printed_whole() -> None:
    action = {"action": "create", "name": "web", "reason": "it does not exist"}

    def main(context: Context) -> Result:
        context.warn("mind this")
        return Result(changed=True, actions=[action], before={"a": 1}, after={"a": 2}, values={"vms": ["web"]})

    answer = say(main, diff=True)
    assert (answer["changed"], answer["actions"], answer["vms"]) == (True, [action], ["web"])
    assert answer["diff"] == {"before": {"a": 1}, "after": {"a": 2}}
    assert answer["timings"]["total"] >= 0
    assert "mind this" in json.dumps(answer["warnings"])
    assert "diff" not in say(main)


def test_an_error_is_told_with_its_code_and_details() -> None:
    def main(context: Context) -> Result:
        raise InUse("Cannot remove", obj="web", why="it is in use", next_step="Wait", details={"vm": "vm-7"})

    answer = say(main)
    assert answer["failed"]
    assert answer["msg"] == "Cannot remove 'web': it is in use. Wait."
    assert (answer["error_code"], answer["vm"], answer["actions"]) == ("in_use", "vm-7", [])


@pytest.mark.parametrize(
    ("errors", "code"),
    [([InUse("Cannot a"), InUse("Cannot b")], "in_use"), ([InUse("Cannot a"), NotFound("Cannot b")], "several")],
)
def test_several_errors_are_told_together(errors: list[Any], code: str) -> None:
    def main(context: Context) -> Result:
        raise Several("Two of three failed", errors, details={"actions": [{"action": "create"}]})

    answer = say(main)
    assert answer["error_code"] == code
    assert answer["msg"] == "Two of three failed: Cannot a. Cannot b."
    assert [error["msg"] for error in answer["errors"]] == ["Cannot a.", "Cannot b."]
    assert answer["actions"] == [{"action": "create"}]


@pytest.mark.parametrize("check", [False, True])
def test_the_one_guard_of_check_mode(check: bool) -> None:
    done: list[str] = []

    def main(context: Context) -> Result:
        return Result(changed=True, values={"carried_out": context.apply("plan", done.append)})

    assert say(main, check=check)["carried_out"] is not check
    assert done == ([] if check else ["plan"])


# What is missing -----------------------------------------------------------------------------


WITHOUT = """
import runpy, sys
from ansible.module_utils.testing import patch_module_args

class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, *more):
        return None if name.partition(".")[0] == "{library}" else self.finder.find_spec(name, *more)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
with patch_module_args({options!r}):
    runpy.run_module("{module}", run_name="__main__")
"""


@pytest.mark.parametrize("library", ["pyVmomi", "cryptography", "requests"])
@pytest.mark.parametrize("module", ["instant_clone_container", "photon_template"])
def test_a_missing_library_is_named(module: str, library: str) -> None:
    """In a process of its own, where the library is not to be found."""
    script = WITHOUT.format(
        library=library,
        options={**THERE, "name": "web", "state": "absent"},
        module=f"ansible_collections.bonneville.vsphere.plugins.modules.{module}",
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": os.pathsep.join([str(COLLECTIONS), *filter(None, sys.path)]), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    assert answer["failed"]
    assert answer["error_code"] == "library_missing"
    assert library.lower() in answer["msg"].lower()
