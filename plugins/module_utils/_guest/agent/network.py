# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The VM's own network: the NIC's driver across the freeze, and its address after it."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from dataclasses import dataclass

from ..protocol import GuestNetwork, NetworkStatus
from . import places, state
from .problem import Problem
from .shell import journal, run

_SIOCGIFADDR = 0x8915
_SIOCGIFNETMASK = 0x891B
_POLL = 0.05
# A DHCP server that is there answers the first or second DISCOVER.
ADDRESS_WITHIN = 15.0
_LINK_WITHIN = 5.0
_DNS_WITHIN = 1.0
# Whatever the VM's own configuration brings.
ANY = GuestNetwork()
_RESOLVED = "/run/systemd/resolve/resolv.conf"


@dataclass(frozen=True, kw_only=True)
class Nic:
    """The interface's name, and for a NIC with a driver its sysfs driver folder and device id."""

    name: str
    driver: str = ""
    device: str = ""


def find_nic() -> Nic:
    """The VM's first real NIC; ``eth0`` where only a virtual one is there, as in a container."""
    names = sorted(os.listdir("/sys/class/net"))
    for name in names:
        device = f"/sys/class/net/{name}/device"
        if os.path.exists(f"{device}/driver"):
            return Nic(
                name=name,
                driver=os.path.realpath(f"{device}/driver"),
                device=os.path.basename(os.path.realpath(device)),
            )
    return Nic(name="eth0")


def unbind(nic: Nic) -> None:
    """Take the driver off the NIC, so that no clone ever speaks with the template's MAC."""
    if nic.driver:
        _sysfs(f"{nic.driver}/unbind", nic.device)


def bind(nic: Nic) -> str:
    """Give the NIC its driver back; returns the interface's name, which may have changed."""
    if not nic.driver:
        return nic.name
    if not os.path.exists(f"{nic.driver}/{nic.device}"):
        _sysfs(f"{nic.driver}/bind", nic.device)
    folder = f"{nic.driver}/{nic.device}/net"
    until = time.monotonic() + _LINK_WITHIN
    while time.monotonic() < until:
        if os.path.isdir(folder) and (names := os.listdir(folder)):
            return names[0]
        time.sleep(_POLL)
    raise Problem("internal", f"the NIC {nic.device} has no interface {_LINK_WITHIN:.0f} s after its driver was bound")


def _sysfs(path: str, value: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(value)
    except OSError as error:
        raise Problem("internal", f"{path}: {error.strerror}") from error


def unit(name: str, network: GuestNetwork) -> str:
    """The systemd-networkd file. The client id is the MAC: clones made of one machine-id would share a DUID's lease."""
    lines = ["[Match]", f"Name={name}", "", "[Network]"]
    if network.address:
        lines += ["DHCP=no", f"Address={network.address}"]
        lines += [f"Gateway={network.gateway}"] if network.gateway else []
    else:
        lines += ["DHCP=ipv4"]
    lines += [f"DNS={server}" for server in network.dns]
    lines += [f"Domains={' '.join(network.search)}"] if network.search else []
    if not network.address:
        lines += ["", "[DHCPv4]", "ClientIdentifier=mac", "UseHostname=false"]
        lines += ["UseDNS=false"] if network.dns else []
    return "\n".join(lines) + "\n"


def configure(name: str, network: GuestNetwork) -> None:
    """Write the address down for systemd-networkd, for now and for every boot."""
    state.write(places.NETWORK, unit(name, network).encode(), mode=0o644, durable=False)


def restart() -> None:
    """Have systemd-networkd read it; what comes of it shows in the address."""
    done = run(["systemctl", "restart", "systemd-networkd.service"])
    if done.code:
        journal(f"systemd-networkd: {done.said}")


def wait_address(name: str, network: GuestNetwork, hostname: str, *, within: float = ADDRESS_WITHIN) -> NetworkStatus:
    """The address once it is there; raises Problem ``dhcp_no_answer`` when it does not come."""
    until = time.monotonic() + within
    while True:
        found = read(name, hostname)
        if found and (not network.address or network.address.partition("/")[0] == found.ip):
            _wait_dns()
            return found
        if time.monotonic() > until:
            break
        time.sleep(_POLL)
    if network.address:
        raise Problem("internal", f"{name} did not take the address {network.address} within {within:.0f} s")
    raise Problem(
        "dhcp_no_answer",
        f"no DHCP server answered {name} ({_mac(name)}) within {within:.0f} s; is there one on the VM's network?",
    )


def _wait_dns() -> None:
    """The container copies the VM's resolv.conf when it starts; give resolved the moment it needs to write it."""
    until = time.monotonic() + _DNS_WITHIN
    while os.path.exists(_RESOLVED) and time.monotonic() < until:
        with open(_RESOLVED, encoding="utf-8") as file:
            if "\nnameserver" in "\n" + file.read():
                return
        time.sleep(_POLL)


def read(name: str, hostname: str) -> NetworkStatus | None:
    """The interface's IPv4 address as it is now, without a process; None while it has none."""
    request = struct.pack("256s", name.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            address = fcntl.ioctl(probe, _SIOCGIFADDR, request)[20:24]
            mask = fcntl.ioctl(probe, _SIOCGIFNETMASK, request)[20:24]
        except OSError:
            return None
    ip = socket.inet_ntoa(address)
    if ip.startswith("169.254."):
        return None
    prefix = bin(int.from_bytes(mask, "big")).count("1")
    return NetworkStatus(ip=ip, mac=_mac(name), hostname=hostname, prefix=prefix, gateway=_gateway(name))


def _mac(name: str) -> str:
    try:
        with open(f"/sys/class/net/{name}/address", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _gateway(name: str) -> str:
    """The default route's gateway: /proc/net/route has it in hexadecimal, in the machine's byte order."""
    with open("/proc/net/route", encoding="ascii") as file:
        for line in file:
            fields = line.split()
            if fields[0] == name and fields[1] == "00000000" and fields[2] != "00000000":
                return socket.inet_ntoa(struct.pack("=L", int(fields[2], 16)))
    return ""
