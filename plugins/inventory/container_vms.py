# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: container_vms
short_description: Container VMs as inventory hosts
version_added: 0.1.0
author:
  - The bonneville.vsphere developers (@bonneville)
description:
  - Makes a host of every container VM below a folder, with what is known of it as variables, and groups by any of them.
  - Reads the folder at once, however many VMs there are in it or elsewhere.
  - A configuration file's name has to end in C(container_vms.yml) or C(container_vms.yaml).
  - Nothing runs in a container VM that Ansible could log in to, unless the image brings it. The hosts are for asking
    and acting from outside, as with C(delegate_to) or C(uri).
extends_documentation_fragment:
  - bonneville.vsphere.connection.plugin
  - constructed
  - inventory_cache
options:
  plugin:
    description: The name of this plugin.
    type: str
    required: true
    choices: [bonneville.vsphere.container_vms]
  datacenter:
    description: Datacenter, by name or path. Needed only where there are several.
    type: str
    default: ''
  folder:
    description: VM folder whose container VMs, with those in the folders below it, are hosts.
    type: str
    default: bonneville-containers
  fleets:
    description: Only VMs of these fleets.
    type: list
    elements: str
    default: []
notes:
  - Every host has the variables C(container_fleet), C(container_service), C(container_ordinal), C(container_image),
    C(container_host) (its ESXi host), C(container_labels), C(container_addresses), C(container_phase), and in
    C(container_vm) all that M(bonneville.vsphere.container_vm_info) returns of it. C(ansible_host) is its address.
  - All hosts are in the group C(container_vms).
"""

EXAMPLES = r"""
# The least: connection options come from the environment, as AWX sets it.
plugin: bonneville.vsphere.container_vms

---
# Groups by fleet, by service, and by a label; what does not run in a group of its own
plugin: bonneville.vsphere.container_vms
vcenter_hostname: vcenter.example.com
keyed_groups:
  - key: container_fleet
    prefix: fleet
  - key: container_service
    prefix: service
  - key: container_labels.tier
    prefix: tier
groups:
  troubled: container_phase not in ("running", "created")
compose:
  url: "'http://' ~ container_addresses[0]"
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.module_utils.basic import missing_required_lib
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.report import describe
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.sight import look
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import BonnevilleError
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere import sdk
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.session import Connection, open_session

GROUP = "container_vms"


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):  # type: ignore[misc]
    """Reads container VMs, or what the cache remembers of them."""

    NAME = "bonneville.vsphere.container_vms"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and path.endswith(("container_vms.yml", "container_vms.yaml"))

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        with _without_blank_variables():
            self._read_config_data(path)
        key = self.get_cache_key(path)
        remembers = self.get_option("cache")
        if remembers and cache and key in self._cache:
            found = self._cache[key]
        else:
            found = self._read()
            if remembers:
                self._cache[key] = found
        for one in found:
            self._add(one)

    def _read(self) -> list[dict[str, Any]]:
        if sdk.MISSING:
            raise AnsibleParserError(missing_required_lib("pyvmomi"))
        fleets = self.get_option("fleets")
        try:
            with open_session(self._connection()) as session:
                sight = look(session, datacenter=self.get_option("datacenter"), folder=self.get_option("folder"))
        except BonnevilleError as error:
            raise AnsibleParserError(error.message) from error
        return [describe(vm) for vm in sight.vms if not fleets or vm.marks.fleet in fleets]

    def _connection(self) -> Connection:
        missing = [
            name for name in ("vcenter_hostname", "vcenter_username", "vcenter_password") if not self._text(name)
        ]
        if missing:
            raise AnsibleParserError(
                f"Cannot read the inventory: {' and '.join(missing)} are not set. Set them here, or in the environment "
                "as VMWARE_HOST, VMWARE_USER and VMWARE_PASSWORD."
            )
        return Connection(
            hostname=self._text("vcenter_hostname"),
            username=self._text("vcenter_username"),
            password=self._text("vcenter_password"),
            port=self.get_option("vcenter_port"),
            validate_certs=self.get_option("validate_certs"),
            proxy_host=self._text("proxy_host"),
            proxy_port=self.get_option("proxy_port") or 0,
        )

    def _text(self, name: str) -> str:
        """An option that may be a template, as with a vaulted password."""
        return str(self.templar.template(self.get_option(name)) or "")

    def _add(self, one: Mapping[str, Any]) -> None:
        name = one["vm"]["name"]
        if name in self.inventory.hosts:  # two folders may each have a VM of a name
            name = f"{name}.{one['vm']['moid']}"
        self.inventory.add_host(name, group=self.inventory.add_group(GROUP))
        variables = {
            "container_fleet": one["fleet"],
            "container_service": one["service"],
            "container_ordinal": one["ordinal"],
            "container_image": one["container"]["image"],
            "container_host": one["vm"]["host"],
            "container_labels": one["labels"],
            "container_addresses": [one["vm"]["ip"]] if one["vm"]["ip"] else [],
            "container_phase": one["phase"],
            "container_vm": dict(one),
            **({"ansible_host": one["vm"]["ip"]} if one["vm"]["ip"] else {}),
        }
        # A guest may write what it likes into its status: it is no template.
        variables = wrap_var(variables)
        for variable, value in variables.items():
            self.inventory.set_variable(name, variable, value)
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict=strict)


@contextmanager
def _without_blank_variables() -> Iterator[None]:
    """Have a variable that is set to nothing, as AWX does, count as not set: to Ansible, no text is the boolean no."""
    blank = [name for name, value in os.environ.items() if name.startswith("VMWARE_") and not value]
    for name in blank:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(dict.fromkeys(blank, ""))
