from __future__ import annotations

import pytest
from ansible.module_utils.basic import AnsibleFallbackNotFound
from ansible_collections.bonneville.vsphere.plugins.module_utils._argspec import CONNECTION, ArgSpec, given

ONE = ArgSpec(
    options={"name": {"type": "str"}},
    mutually_exclusive=(("a", "b"),),
    required_together=(("c", "d"),),
    required_one_of=(("e", "f"),),
    required_if=(("state", "present", ("name",)),),
    required_by={"g": ("h",)},
    secret=("env",),
    refused={"gpus": "there are none"},
)
OTHER = ArgSpec(options={"state": {"type": "str"}}, required_by={"i": ("j",)}, secret=("login.password",))


def test_specs_add_up() -> None:
    both = ONE.merge(OTHER)
    assert both.secret == ("env", "login.password")
    assert both.refused == {"gpus": "there are none"}
    assert both.module_arguments() == {
        "argument_spec": {"name": {"type": "str"}, "state": {"type": "str"}},
        "mutually_exclusive": [("a", "b")],
        "required_together": [("c", "d")],
        "required_one_of": [("e", "f")],
        "required_if": [("state", "present", ("name",))],
        "required_by": {"g": ("h",), "i": ("j",)},
    }


def test_an_option_defined_twice_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="options defined twice: name"):
        ONE.merge(ONE)


def test_a_variable_is_a_default_only_when_it_says_something(monkeypatch: pytest.MonkeyPatch) -> None:
    fallback, names = given("LAB_VARIABLE")["fallback"]
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv("LAB_VARIABLE", raising=False)
        else:
            monkeypatch.setenv("LAB_VARIABLE", value)
        with pytest.raises(AnsibleFallbackNotFound):
            fallback(*names)
    monkeypatch.setenv("LAB_VARIABLE", "said")
    assert fallback(*names) == "said"


def test_every_connection_option_has_its_variable() -> None:
    variables = {name: option["fallback"][1][0] for name, option in CONNECTION.options.items()}
    assert variables == {
        "vcenter_hostname": "VMWARE_HOST",
        "vcenter_username": "VMWARE_USER",
        "vcenter_password": "VMWARE_PASSWORD",
        "vcenter_port": "VMWARE_PORT",
        "validate_certs": "VMWARE_VALIDATE_CERTS",
        "proxy_host": "VMWARE_PROXY_HOST",
        "proxy_port": "VMWARE_PROXY_PORT",
    }
