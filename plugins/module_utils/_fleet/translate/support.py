# Copyright (c) 2026, the bonneville.vsphere developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one table of what becomes of every Compose key, from which the documents' table is made, too. Pure.

A key inside another one has both names, joined by a dot; names that the user
chooses, as of a network, and positions in lists are left out of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.problems import ignorable


@dataclass(frozen=True, kw_only=True)
class Key:
    """What becomes of one key.

    Args:
        how: what it does here; empty where it is not supported at all.
        why: why a VM per container cannot honour it, or not each of its values.
        instead: what to do then, as the beginning of a sentence.
        accepts: where only some values are honoured, which.
    """

    how: str = ""
    why: str = ""
    instead: str = "Leave it out"
    accepts: tuple[Any, ...] = ()

    @property
    def supported(self) -> str:
        """``yes``, ``no`` or ``partly``."""
        if not self.why:
            return "yes"
        return "partly" if self.how else "no"

    def refuses(self, value: Any) -> bool:
        """Whether a value cannot be honoured; one that asks for nothing can."""
        if not self.why or value is None or value is False or value in ("", [], {}):
            return False
        return value not in self.accepts if self.accepts else not self.how


def _yes(how: str) -> Key:
    return Key(how=how)


def _no(why: str, instead: str = "Leave it out") -> Key:
    return Key(why=why, instead=instead)


def _only(accepts: tuple[Any, ...], how: str, why: str, instead: str = "Leave it out") -> Key:
    return Key(how=how, why=why, instead=instead, accepts=accepts)


def _partly(how: str, why: str, instead: str = "Leave it out") -> Key:
    """What is honoured is decided where the key is translated."""
    return Key(how=how, why=why, instead=instead)


_ALONE = "the container is the only one in its VM"
_NO_DEVICES = "instant clones carry no passed-through devices"
_NO_WINDOWS = "it is for Windows containers"
_CPUS_INSTEAD = "Use cpus or cpu_shares"
_LOG = "the output goes to the VM's log port, and is read with container_vm_info"
_HOOKS = "the agent runs the container and no commands beside it"
_BLOCK_IO = "the VM's disks are limited by vSphere"
_SWARM = "there is no Swarm to schedule by it"
_PORT_GROUP = "the network is a port group, which is vSphere's"

TOP: Mapping[str, Key] = {
    "version": _yes("nothing, as the specification says"),
    "name": _yes("the fleet's name, unless the task gives one"),
    "include": _yes("further files, with variables and a directory of their own"),
    "services": _yes("one container per VM, and replicas of it"),
    "networks": _yes("port groups"),
    "volumes": _yes("disks that outlive their containers"),
    "secrets": _yes("files that travel encrypted and lie read-only in the container"),
    "configs": _yes("files that travel encrypted and lie read-only in the container"),
    "models": _no("nothing here serves language models", "Run the model as a service"),
}

NETWORK: Mapping[str, Key] = {
    "name": _yes("with external the port group's name; otherwise there is no network that could bear it"),
    "driver": _only(
        ("bridge", "overlay", "default"), "members of the fleet reach each other", _PORT_GROUP,
        "Leave it out, and name the port group in x-bonneville.network",
    ),
    "driver_opts": _no(_PORT_GROUP),
    "ipam": _no(
        f"{_PORT_GROUP}, and has addresses of its own", "Use x-bonneville.ip_address and gateway of a service"
    ),
    "external": _yes("the port group of this name"),
    "internal": _no("what a port group reaches is vSphere's matter", "Use a port group without a way out"),
    "enable_ipv4": _only((True,), "as it is", _PORT_GROUP),
    "enable_ipv6": _no(_PORT_GROUP),
    "attachable": _no("who may join a port group is vSphere's matter"),
    "labels": _no("a port group has no labels"),
}  # fmt: skip

VOLUME: Mapping[str, Key] = {
    "name": _yes("the volume's name; not set, it is FLEET_NAME, and for an external one NAME"),
    "driver": _only(("local",), "a disk of vSphere's", "a volume is a disk of vSphere's"),
    "driver_opts": _no("a volume is a disk of vSphere's", "Use x-bonneville.size_gb and datastore"),
    "external": _yes("a volume that is there already, and is not removed"),
    "labels": _no("a volume's disk has no labels"),
}

_UNNAMED = "there is no such object that could bear it"
CONFIG: Mapping[str, Key] = {
    "name": _yes("nothing: there is no object that could bear it"),
    "content": _yes("the file's content"),
    "environment": _yes("the variable that is the file's content"),
    "file": _yes("a file in the fleet's directory"),
    "external": _no("there is no store that it could come from", "Use file, content or environment"),
    "labels": _no(_UNNAMED),
    "template_driver": _no(_SWARM),
}

SECRET: Mapping[str, Key] = {
    **{key: CONFIG[key] for key in ("name", "environment", "file", "external", "labels", "template_driver")},
    "driver": _no("there is no store that it could come from", "Use file or environment"),
    "driver_opts": _no("there is no store that it could come from", "Use file or environment"),
}

_MOUNTED = {
    "source": _yes("the name of the top-level entry"),
    "target": _yes("where the file lies"),
    "uid": _only(("0",), "root", "the file is root's", "Leave it out, and use mode"),
    "gid": _only(("0",), "root", "the file is root's", "Leave it out, and use mode"),
    "mode": _yes("its mode; not set, 0444"),
}
_UPDATE = {
    "parallelism": _yes("how many replicas at a time"),
    "delay": _yes("time between groups of replicas"),
    "failure_action": _yes("pause, continue or rollback"),
    "monitor": _yes("time in which a new replica may still fail"),
    "max_failure_ratio": _yes("share of replicas that may fail"),
    "order": _yes("stop-first or start-first"),
}
_ROLLBACK = {
    "parallelism": _yes("how many replicas at a time"),
    "delay": _yes("time between groups of replicas"),
    "monitor": _yes("time in which a replica that is put back may still fail"),
    "order": _yes("stop-first or start-first"),
    "failure_action": _only(
        ("continue",), "what cannot be put back does not keep the others from it",
        "a service that is put back by half would be neither what it was nor what it was to be",
    ),
    "max_failure_ratio": _only((0,), "as it is", "what cannot be put back does not keep the others from it"),
}  # fmt: skip
_DEPLOY: Mapping[str, Key] = {
    "mode": _only(("replicated",), "replicas", "there is no node to have one container each", "Use replicas"),
    "endpoint_mode": _only(
        ("dnsrr",), "a service's name has the addresses of all replicas", "there is no virtual address"
    ),
    "replicas": _yes("how many containers; set, even to 1, they are called FLEET-SERVICE-0 and so on"),
    "labels": _no("only containers have labels", "Use labels of the service"),
    "placement": _no("vSphere and the templates' hosts decide where a VM is"),
    "resources": _yes("limits of the container"),
    "resources.limits": _yes("limits of the container"),
    "resources.limits.cpus": _yes("cpus"),
    "resources.limits.memory": _yes("memory"),
    "resources.limits.pids": _yes("pids_limit"),
    "resources.reservations": _yes("what the container is to have at least"),
    "resources.reservations.cpus": _no("CPUs are the template's, since an instant clone cannot change them"),
    "resources.reservations.memory": _yes("memory_reservation"),
    "resources.reservations.generic_resources": _no(_NO_DEVICES),
    "resources.reservations.devices": _no(_NO_DEVICES),
    "restart_policy": _yes("restart_policy; it has precedence over restart"),
    "restart_policy.condition": _yes("none, on-failure or any"),
    "restart_policy.max_attempts": _partly(
        "restart_retries, with on-failure", "Docker counts restarts after failures only", "Set condition: on-failure"
    ),
    "restart_policy.delay": _no("Docker decides how long it waits before a restart"),
    "restart_policy.window": _no("Docker decides when a restart has succeeded"),
    "update_config": _yes("how replicas are replaced"),
    **{f"update_config.{key}": entry for key, entry in _UPDATE.items()},
    "rollback_config": _yes("how replicas are put back"),
    **{f"rollback_config.{key}": entry for key, entry in _ROLLBACK.items()},
}

SERVICE: Mapping[str, Key] = {
    # The container
    "image": _yes("image"),
    "build": _no("images are not built here", "Build and push the image, and name it in image"),
    "command": _yes("command"),
    "entrypoint": _yes("entrypoint"),
    "environment": _yes("env; a bare NAME has the variable's value, or is left out where it has none"),
    "env_file": _yes("env, below environment, a later file above an earlier one"),
    "env_file.path": _yes("a file in the fleet's directory"),
    "env_file.required": _yes("whether it is an error when the file is missing"),
    "env_file.format": _only(("raw",), "values are taken as they stand", "there is no other format", "Use raw"),
    "labels": _yes("labels"),
    "label_file": _yes("labels, below labels"),
    "annotations": _no("the template's Docker Engine has none", "Use labels"),
    "container_name": _yes("a further name by which the fleet's containers find it; the VM is FLEET-SERVICE"),
    "user": _yes("user"),
    "group_add": _yes("groups"),
    "working_dir": _yes("working_dir"),
    "hostname": _yes("hostname; not set, it is the VM's name"),
    "domainname": _yes("domainname"),
    "init": _yes("init"),
    "tty": _yes("tty"),
    "stdin_open": _yes("interactive"),
    "stop_signal": _yes("stop_signal"),
    "stop_grace_period": _yes("stop_timeout, in whole seconds"),
    "restart": _yes("restart_policy, and restart_retries; with \"no\" a container that ended is finished"),
    "healthcheck": _yes("healthcheck"),
    "healthcheck.test": _yes("the command"),
    "healthcheck.interval": _yes("time between two checks"),
    "healthcheck.timeout": _yes("time that one check may take"),
    "healthcheck.retries": _yes("failures in a row until it is unhealthy"),
    "healthcheck.start_period": _yes("time in which failures do not count yet"),
    "healthcheck.start_interval": _no("older Docker Engines have none", "Use interval"),
    "healthcheck.disable": _yes("no health check, whatever the image says"),
    "post_start": _no(_HOOKS, "Put it into the image's entry point"),
    "pre_stop": _no(_HOOKS, "Put it into the image's entry point"),
    "pull_policy": _only(
        ("always", "missing", "if_not_present", "never"), "pull",
        "images lie in the template and do not grow old by the clock", "Use always, missing or never",
    ),
    "pull_refresh_after": _no("images lie in the template and do not grow old by the clock", "Use pull_policy: always"),
    "platform": _only(("linux", "linux/amd64"), "as it is", "the template decides the architecture"),
    "attach": _yes("nothing: it is about what docker compose shows on a terminal"),
    "develop": _yes("nothing: it is for docker compose watch"),
    "provider": _no("nothing but containers is run here"),
    "models": _no("nothing here serves language models", "Run the model as a service"),
    # Its limits and rights
    "cap_add": _yes("capabilities"),
    "cap_drop": _yes("cap_drop"),
    "privileged": _yes("privileged, inside of the VM"),
    "read_only": _yes("read_only"),
    "security_opt": _yes("security_opts; a seccomp profile is a file in the fleet's directory"),
    "sysctls": _yes("sysctls"),
    "ulimits": _yes("ulimits"),
    "shm_size": _yes("shm_size"),
    "pids_limit": _yes("pids_limit"),
    "cpus": _yes("cpus"),
    "cpuset": _yes("cpuset_cpus"),
    "cpu_shares": _yes("cpu_shares"),
    "cpu_count": _no(_NO_WINDOWS, _CPUS_INSTEAD),
    "cpu_percent": _no(_NO_WINDOWS, _CPUS_INSTEAD),
    "cpu_quota": _no("cpus says the same", _CPUS_INSTEAD),
    "cpu_period": _no("cpus says the same", _CPUS_INSTEAD),
    "cpu_rt_period": _no("the VM's kernel has no real-time groups", _CPUS_INSTEAD),
    "cpu_rt_runtime": _no("the VM's kernel has no real-time groups", _CPUS_INSTEAD),
    "mem_limit": _yes("memory"),
    "mem_reservation": _yes("memory_reservation"),
    "memswap_limit": _yes("memory_swap"),
    "mem_swappiness": _no("the VM's kernel decides when it swaps"),
    "oom_kill_disable": _no("without a victim the whole VM would hang"),
    "oom_score_adj": _no(_ALONE),
    "blkio_config": _no(_BLOCK_IO),
    "storage_opt": _no("the template's storage driver has none"),
    "cgroup": _no(_ALONE),
    "cgroup_parent": _no("the VM is the limit; its size is its template's"),
    "credential_spec": _no(_NO_WINDOWS),
    "isolation": _no(_NO_WINDOWS),
    "device_cgroup_rules": _no(_NO_DEVICES),
    "devices": _no(_NO_DEVICES),
    "gpus": _no(_NO_DEVICES),
    "ipc": _no(_ALONE),
    "pid": _no(_ALONE),
    "uts": _no("the VM separates the container from all others"),
    "userns_mode": _no("the VM separates the container from all others"),
    "runtime": _no("the template's Docker Engine has its default runtime only"),
    "use_api_socket": _no("the VM's Docker Engine is the agent's alone"),
    "logging": _no(_LOG),
    # Its network
    "ports": _yes("published_ports, on the VM's own address"),
    "ports.target": _yes("port of the container"),
    "ports.published": _yes("port of the VM, of a range the first; not set, it is the container's"),
    "ports.host_ip": _yes("the VM's address that it is published on"),
    "ports.protocol": _yes("tcp, udp or sctp"),
    "ports.mode": _only(("ingress", "host"), "the VM's own address", "there is no other mode"),
    "ports.name": _yes("nothing: it is for readers"),
    "ports.app_protocol": _no("nothing here looks into the traffic"),
    "expose": _yes("exposed_ports; the fleet's containers reach every port in any case"),
    "networks": _partly(
        "the port group of the VM", "a VM has one network", "Keep one network per service"
    ),
    "networks.aliases": _yes("further names by which the fleet's containers find it"),
    "networks.mac_address": _yes("mac_address"),
    "networks.priority": _yes("nothing, with one network"),
    "networks.gw_priority": _yes("nothing, with one network"),
    "networks.interface_name": _no("the VM's Docker Engine names it"),
    "networks.ipv4_address": _no("the address is the VM's", "Use x-bonneville.ip_address of the service"),
    "networks.ipv6_address": _no("the address is the VM's", "Use x-bonneville.ip_address of the service"),
    "networks.link_local_ips": _no("the address is the VM's"),
    "networks.driver_opts": _no(_PORT_GROUP),
    "network_mode": _only(
        ("bridge", "default"), "as it is", "the VM is the container's host, and there is no other container in it",
        "Leave it out; every port is reachable from the fleet",
    ),
    "mac_address": _yes("mac_address of the VM"),
    "dns": _yes("dns_servers"),
    "dns_search": _yes("dns_search_domains"),
    "dns_opt": _yes("dns_opts"),
    "extra_hosts": _partly("etc_hosts", "a host has one address here", "Give it a single address"),
    "links": _no(_ALONE, "Leave it out: containers of the fleet find each other by service name"),
    "external_links": _no(_ALONE, "Use the other container's address"),
    # Its files
    "volumes": _yes(
        "volumes: disks for named ones, for anonymous ones the VM's own disk and a warning, files for binds, and tmpfs"
    ),
    "volumes.type": _only(
        ("volume", "bind", "tmpfs"), "volume, bind or tmpfs", "a VM of its own has neither", "Use volume, bind or tmpfs"
    ),
    "volumes.source": _yes("the volume's name, or a file in the fleet's directory"),
    "volumes.target": _yes("where it is mounted"),
    "volumes.read_only": _yes("whether it is read-only"),
    "volumes.consistency": _yes("nothing: no host's directory is shared"),
    "volumes.bind": _partly(
        "a file of the fleet's directory, carried read-only",
        "the container's host is its own VM, which has no such path",
        "Use a file in the fleet's directory, or a named volume",
    ),
    "volumes.bind.read_write": _no(
        "a file that is carried into the VM does not come back", "Add ':ro' (in the long form read_only: true)"
    ),
    "volumes.bind.propagation": _yes("nothing: no host's directory is shared"),
    "volumes.bind.create_host_path": _yes("nothing: the file has to exist"),
    "volumes.bind.recursive": _yes("nothing: no host's directory is shared"),
    "volumes.bind.selinux": _yes("nothing: no host's directory is shared"),
    "volumes.volume": _yes("details of a volume"),
    "volumes.volume.labels": _no("anonymous volumes live and go with their VM", "Leave them out"),
    "volumes.volume.nocopy": _yes("an empty named volume gets nothing of what the image has there"),
    "volumes.volume.subpath": _no("a volume is mounted as a whole", "Use a volume of its own"),
    "volumes.tmpfs": _yes("details of a tmpfs"),
    "volumes.tmpfs.size": _yes("its size"),
    "volumes.tmpfs.mode": _yes("its mode"),
    "volumes.image": _no("an image is no volume here"),
    "volumes_from": _no(_ALONE, "Use a volume of its own"),
    "tmpfs": _yes("tmpfs"),
    "configs": _yes("files"),
    **{f"configs.{key}": entry for key, entry in _MOUNTED.items()},
    "secrets": _yes("files"),
    **{f"secrets.{key}": entry for key, entry in _MOUNTED.items()},
    # The fleet
    "depends_on": _yes("the order in which services start and, reversed, end"),
    "depends_on.condition": _yes("service_started, service_healthy or service_completed_successfully"),
    "depends_on.required": _yes("whether the other service has to be there"),
    "depends_on.restart": _yes("whether it is started anew after the other one was replaced"),
    "extends": _yes("another service, of this file or another one"),
    "extends.service": _yes("the other service"),
    "extends.file": _yes("its file"),
    "profiles": _yes("the service is there when one of its profiles is chosen"),
    "scale": _yes("replicas"),
    "deploy": _yes("replicas, limits, restarts and updates"),
    **{f"deploy.{key}": entry for key, entry in _DEPLOY.items()},
}  # fmt: skip

# What is not a key of the specification, and can be ignored like one.
PSEUDO = frozenset({"volumes.bind.read_write"})
LEVELS: Mapping[str, Mapping[str, Key]] = {
    "fleet": TOP, "service": SERVICE, "network": NETWORK, "volume": VOLUME, "config": CONFIG, "secret": SECRET,
}  # fmt: skip


def refusable() -> frozenset[str]:
    """Every name that can stand in ignore_unsupported: each key that is refused, and what it is part of."""
    found: set[str] = set()
    for level, table in LEVELS.items():
        for name, key in table.items():
            if key.why:
                parts = ignorable(name, level).split(".")
                found |= {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return frozenset(found)
