from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InUse, TaskFailed
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.deadline import Deadline
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.sdk import vim
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.waiting import (
    TaskState,
    VmState,
    task_after,
    vm_after,
)

KEYS = ("a", "b")
HOST = vim.HostSystem("host-1", None)


def change(name: str, val: Any = None, op: str = "assign") -> Any:
    return SimpleNamespace(name=name, val=val, op=op)


def option(key: str, value: str) -> Any:
    return vim.option.OptionValue(key=key, value=value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], {"a": "1"}),
        # key by key: the option itself, or its value alone
        ([change('config.extraConfig["a"]', option("a", "2"))], {"a": "2"}),
        ([change('config.extraConfig["b"]', "x", "add")], {"a": "1", "b": "x"}),
        ([change('config.extraConfig["a"]', None, "remove")], {}),
        ([change('config.extraConfig["a"]', "old", "indirectRemove")], {}),
        ([change('config.extraConfig["a"]', option("a", ""))], {}),
        ([change('config.extraConfig["c"]', "x", "add")], {"a": "1"}),
        # as a whole
        ([change("config.extraConfig", [option("b", "x"), option("c", "y")])], {"b": "x"}),
        ([change("config.extraConfig", [option("a", "")])], {}),
        ([change("config.extraConfig", None)], {}),
        # both, in the order in which they come
        ([change("config.extraConfig", [option("a", "2")]), change('config.extraConfig["a"]', "3")], {"a": "3"}),
    ],
)
def test_extra_config_key_by_key_and_whole(changes: list[Any], expected: dict[str, str]) -> None:
    assert vm_after(VmState(moid="vm-1", extra_config={"a": "1"}), changes, KEYS).extra_config == expected


@pytest.mark.parametrize(
    ("name", "val", "field", "expected"),
    [
        ("runtime.powerState", "poweredOn", "power", "poweredOn"),
        ("runtime.powerState", None, "power", ""),
        ("runtime.instantCloneFrozen", True, "frozen", True),
        ("runtime.instantCloneFrozen", None, "frozen", False),
        ("runtime.host", HOST, "host", "host-1"),
        ("runtime.host", None, "host", ""),
        ("guest.ipAddress", "192.0.2.1", "ip", "192.0.2.1"),
        ("guest.ipAddress", None, "ip", ""),
        ("guest.toolsRunningStatus", "guestToolsRunning", "tools_running", True),
        ("guest.toolsRunningStatus", "guestToolsNotRunning", "tools_running", False),
    ],
)
def test_what_a_vm_shows(name: str, val: Any, field: str, expected: Any) -> None:
    assert getattr(vm_after(VmState(moid="vm-1"), [change(name, val)], KEYS), field) == expected


def test_a_task_goes_on() -> None:
    state = TaskState(moid="task-1")
    assert not state.done
    state = task_after(state, [change("info.state", "running"), change("info.progress", 5)])
    assert (state.state, state.done) == ("running", False)
    state = task_after(state, [change("info.result", HOST)])
    state = task_after(state, [change("info.state", "success")])
    assert (state.ok, state.done, state.result) == (True, True, HOST)
    fault = vim.fault.DuplicateName(name="web")
    state = task_after(TaskState(moid="task-1"), [change("info.error", fault), change("info.state", "error")])
    assert (state.ok, state.done) == (False, True)


@pytest.mark.parametrize(
    ("state", "kind", "words"),
    [
        (TaskState(moid="t", state="error", fault=vim.fault.DuplicateName(name="web")), InUse, "the name web is taken"),
        (TaskState(moid="t", state="error"), TaskFailed, "vCenter gives no reason. Look at the task in vCenter"),
        (
            TaskState(moid="t", state="running", gone=True),
            TaskFailed,
            "has forgotten the task, so its end is not known",
        ),
        (TaskState(moid="t", state="queued"), TaskFailed, "the task was still queued at the deadline"),
        (TaskState(moid="t"), TaskFailed, "the task was still unheard of at the deadline"),
    ],
)
def test_why_a_task_did_not_succeed(state: TaskState, kind: type, words: str) -> None:
    error = state.error("Cannot do it", obj="web")
    assert type(error) is kind
    assert words in error.message


def test_a_deadline_passes_once() -> None:
    now = time.monotonic()
    assert 0 < Deadline(10.0).remaining() <= 10.0
    assert Deadline(10.0).sooner(3.0).remaining() <= 3.0
    assert Deadline(3.0).sooner(10.0).remaining() <= 3.0
    over = Deadline(10.0, made=now - 11)
    assert (over.remaining(), over.passed, over.sooner(3.0).passed) == (0.0, True, True)
