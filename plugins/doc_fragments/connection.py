# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How every module reaches vCenter."""

    DOCUMENTATION = r"""
options:
  vcenter_hostname:
    description:
      - Host name or address of the vCenter server.
      - Taken from the environment variable E(VMWARE_HOST) where it is not set.
    type: str
    required: true
  vcenter_username:
    description:
      - User name at vCenter, for example V(ansible@vsphere.local).
      - Taken from the environment variable E(VMWARE_USER) where it is not set.
    type: str
    required: true
  vcenter_password:
    description:
      - Password of that user.
      - Taken from the environment variable E(VMWARE_PASSWORD) where it is not set.
    type: str
    required: true
  vcenter_port:
    description:
      - TCP port of vCenter's API.
      - Taken from the environment variable E(VMWARE_PORT) where it is not set.
    type: int
    default: 443
  validate_certs:
    description:
      - Whether vCenter's TLS certificate is verified, against the system's trust store or the file that the
        environment variable E(SSL_CERT_FILE) names.
      - Taken from the environment variable E(VMWARE_VALIDATE_CERTS) where it is not set.
    type: bool
    default: true
  proxy_host:
    description:
      - HTTP proxy through which vCenter is reached.
      - Taken from the environment variable E(VMWARE_PROXY_HOST) where it is not set.
    type: str
  proxy_port:
    description:
      - Port of that proxy.
      - Taken from the environment variable E(VMWARE_PROXY_PORT) where it is not set.
    type: int
requirements:
  - python >= 3.11
  - pyvmomi >= 8.0.3.0
  - requests >= 2.31
  - cryptography >= 42
"""

    PLUGIN = r"""
options:
  vcenter_hostname:
    description: Host name or address of the vCenter server.
    type: str
    env:
      - name: VMWARE_HOST
  vcenter_username:
    description: User name at vCenter, for example V(ansible@vsphere.local).
    type: str
    env:
      - name: VMWARE_USER
  vcenter_password:
    description: Password of that user.
    type: str
    env:
      - name: VMWARE_PASSWORD
  vcenter_port:
    description: TCP port of vCenter's API.
    type: int
    default: 443
    env:
      - name: VMWARE_PORT
  validate_certs:
    description: Whether vCenter's TLS certificate is verified.
    type: bool
    default: true
    env:
      - name: VMWARE_VALIDATE_CERTS
  proxy_host:
    description: HTTP proxy through which vCenter is reached.
    type: str
    env:
      - name: VMWARE_PROXY_HOST
  proxy_port:
    description: Port of that proxy.
    type: int
    env:
      - name: VMWARE_PROXY_PORT
requirements:
  - python >= 3.11
  - pyvmomi >= 8.0.3.0
  - requests >= 2.31
  - cryptography >= 42
"""
