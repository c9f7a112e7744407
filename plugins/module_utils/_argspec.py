# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument specs that add up: each module merges the parts that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleFallbackNotFound, env_fallback


@dataclass(frozen=True, kw_only=True)
class ArgSpec:
    """A part of a module's arguments, in AnsibleModule's own words.

    ``secret`` names options (or, with a dot, suboptions) whose values are never
    shown: Ansible's ``no_log`` on a dict would mask every "1" of a result, so
    these are left out of ``invocation`` and the system log by structure.
    ``addresses`` are named likewise: of these, a login is not shown.
    ``refused`` are options that a user may well expect, each with what to do
    instead: it is said where Ansible would only list all that there are.
    """

    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    mutually_exclusive: tuple[tuple[str, ...], ...] = ()
    required_together: tuple[tuple[str, ...], ...] = ()
    required_one_of: tuple[tuple[str, ...], ...] = ()
    required_if: tuple[tuple[Any, ...], ...] = ()
    required_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    secret: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)

    def merge(self, other: ArgSpec) -> ArgSpec:
        """Both together; an option that both define is a mistake of ours."""
        twice = self.options.keys() & other.options.keys()
        if twice:
            raise ValueError(f"options defined twice: {', '.join(sorted(twice))}")
        return ArgSpec(
            options={**self.options, **other.options},
            mutually_exclusive=self.mutually_exclusive + other.mutually_exclusive,
            required_together=self.required_together + other.required_together,
            required_one_of=self.required_one_of + other.required_one_of,
            required_if=self.required_if + other.required_if,
            required_by={**self.required_by, **other.required_by},
            secret=self.secret + other.secret,
            addresses=self.addresses + other.addresses,
            refused={**self.refused, **other.refused},
        )

    def module_arguments(self) -> dict[str, Any]:
        """What AnsibleModule is constructed with."""
        return {
            "argument_spec": {name: dict(option) for name, option in self.options.items()},
            "mutually_exclusive": list(self.mutually_exclusive),
            "required_together": list(self.required_together),
            "required_one_of": list(self.required_one_of),
            "required_if": list(self.required_if),
            "required_by": dict(self.required_by),
        }


def given(variable: str) -> dict[str, Any]:
    """A default from an environment variable. One that is set to nothing, as AWX does, counts as not set."""
    return {"fallback": (_filled, [variable])}


def _filled(*variables: str) -> str:
    value: str = env_fallback(*variables)
    if not value:
        raise AnsibleFallbackNotFound
    return value


CONNECTION = ArgSpec(
    options={
        "vcenter_hostname": {"type": "str", "required": True, **given("VMWARE_HOST")},
        "vcenter_username": {"type": "str", "required": True, **given("VMWARE_USER")},
        "vcenter_password": {"type": "str", "required": True, "no_log": True, **given("VMWARE_PASSWORD")},
        "vcenter_port": {"type": "int", "default": 443, **given("VMWARE_PORT")},
        "validate_certs": {"type": "bool", "default": True, **given("VMWARE_VALIDATE_CERTS")},
        "proxy_host": {"type": "str", **given("VMWARE_PROXY_HOST")},
        "proxy_port": {"type": "int", **given("VMWARE_PROXY_PORT")},
    },
    required_by={"proxy_port": ("proxy_host",)},
)
