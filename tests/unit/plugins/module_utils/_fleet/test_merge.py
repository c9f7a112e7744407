"""Files over files, extends and include, where a corpus is too large to show one rule."""

from __future__ import annotations

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.project import FleetService

from tests.support.composing import load, messages


def _web(base: str, later: str) -> FleetService:
    files = {"later.yaml": f"services:\n  web: {later}\n", "compose.yaml": f"services:\n  web: {base}\n"}
    return load(files["compose.yaml"], files, files=["compose.yaml", "later.yaml"]).service("web")


@pytest.mark.parametrize(
    ("base", "later", "option", "value"),
    [
        ("{image: a}", "{image: b}", "image", "b"),
        ("{image: a, command: [x, y]}", "{command: z}", "command", ["z"]),
        ("{image: a, environment: [A=1, B=1]}", "{environment: {B: 2, C: 3}}", "env", {"A": "1", "B": "2", "C": "3"}),
        ("{image: a, environment: {A: x}}", "{environment: [A]}", "env", {}),
        ("{image: a, labels: {a: x}}", "{labels: [a=y, b]}", "labels", {"a": "y", "b": ""}),
        ("{image: a, ports: ['80:80']}", "{ports: ['81:81', '80:80']}", "published_ports", ["80:80/tcp", "81:81/tcp"]),
        ("{image: a, ports: ['80:80']}", "{ports: !override ['81:81']}", "published_ports", ["81:81/tcp"]),
        ("{image: a, ports: ['80:80']}", "{ports: !reset []}", "published_ports", None),
        ("{image: a, volumes: ['/a']}", "{volumes: ['/a', '/b']}", "volumes", ["/a", "/b"]),
        ("{image: a, tmpfs: /a}", "{tmpfs: [/a, /b]}", "tmpfs", ["/a", "/b"]),
        ("{image: a, dns: 10.0.0.1}", "{dns: [10.0.0.2]}", "dns_servers", ["10.0.0.1", "10.0.0.2"]),
        ("{image: a, healthcheck: {test: x, retries: 2}}", "{healthcheck: {test: y}}", "healthcheck",
         {"test": ["CMD-SHELL", "y"], "retries": 2}),
        ("{image: a, ulimits: {nofile: 1, nproc: 1}}", "{ulimits: {nofile: {soft: 2, hard: 3}}}", "ulimits",
         ["nofile:2:3", "nproc:1:1"]),
        ("{image: a, deploy: {resources: {limits: {pids: 5}}}}", "{deploy: {replicas: 3}}", "pids_limit", 5),
        ("{image: a, user: x}", "{image: a}", "user", "x"),
    ],
)  # fmt: skip
def test_files_over_files(base: str, later: str, option: str, value: object) -> None:
    assert _web(base, later).options.get(option) == value


def test_a_kind_that_does_not_fit_is_refused() -> None:
    files = {"later.yaml": "services: {web: {networks: {a: {x-own: [1]}}}}"}
    base = "services: {web: {image: a, networks: {a: {x-own: {b: 1}}}}}"
    (message,) = messages(base, files, files=["compose.yaml", "later.yaml"])
    assert "Cannot merge 'services.web.networks.a.x-own'" in message


def test_lines_stay_those_of_the_file_that_spoke_last() -> None:
    files = {"later.yaml": "services:\n  web:\n    privileged: true\n    pid: host\n"}
    (message,) = messages("services: {web: {image: a, pid: x}}", files, files=["compose.yaml", "later.yaml"])
    assert "later.yaml:4: " in message


def test_extends_takes_paths_from_its_own_file() -> None:
    files = {
        "sub/base.yaml": "services: {base: {image: a, env_file: base.env, configs: [c]}}",
        "sub/base.env": "A=sub",
        "base.env": "A=top",
        "c.txt": "c",
    }
    text = "services: {web: {extends: {file: sub/base.yaml, service: base}}}\nconfigs: {c: {file: c.txt}}\n"
    assert load(text, files).service("web").options["env"] == {"A": "sub"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "services:\n  a:\n    extends: b\n  b:\n    extends: a\n",
            "Cannot extend service 'a': compose.yaml:3: it extends itself: compose.yaml: a, then compose.yaml: b, then",
        ),
        (
            "services:\n  a:\n    extends: webb\n  web: {image: a}\n",
            "Cannot extend service 'a': compose.yaml:3: compose.yaml has no service 'webb'. Did you mean web",
        ),
        (
            "services:\n  a:\n    extends: {file: other.yaml, service: b}\n",
            "Cannot use the file that service 'a' extends, 'other.yaml': compose.yaml:3: there is no such file",
        ),
        (
            "services:\n  a:\n    extends: {file: ../other.yaml, service: b}\n",
            "Cannot use the file that service 'a' extends, '../other.yaml': compose.yaml:3: it leaves the fleet's",
        ),
        ("include: [no.yaml]\n", "Cannot use the included file 'no.yaml': compose.yaml:1: there is no such file"),
        (
            "include: [/etc/passwd]\n",
            "Cannot use the included file '/etc/passwd': compose.yaml:1: it leaves the fleet's",
        ),
        (
            "include:\n  - compose.yaml\n",
            "Cannot include 'compose.yaml': compose.yaml:2: it includes itself: compose.yaml, which includes",
        ),
        (
            "include: [other/x.yaml]\nservices: {web: {image: b}}\n",
            "Cannot include 'other/x.yaml': compose.yaml:1: services.web is in compose.yaml:2 already, and differs",
        ),
        (
            "include: [{path: other/x.yaml, env_file: no.env}]\n",
            "Cannot use the env_file of the include 'no.env': compose.yaml:1: there is no such file",
        ),
    ],
)
def test_what_cannot_be_found(text: str, told: str) -> None:
    (message,) = messages(text, {"other/x.yaml": "services: {web: {image: a}}"})
    assert message.startswith(told)


def test_a_circle_of_includes_is_told_wherever_it_closes() -> None:
    circle = "include: [{path: [x.yaml, b.yaml]}]\n"
    (message,) = messages(circle, {"x.yaml": "services: {web: {image: a}}", "b.yaml": circle})
    assert message.startswith("Cannot include 'b.yaml': b.yaml:1: it includes itself: compose.yaml, which includes b.y")


def test_the_same_thing_may_be_included_twice() -> None:
    files = {"a.yaml": "services: {web: {image: a}}"}
    assert len(load("include: [a.yaml]\nservices: {web: {image: a}}\n", files).services) == 1


def test_an_included_file_has_variables_of_its_own_below_the_outer_ones() -> None:
    files = {
        ".env": "OUTER=o",
        "in/x.yaml": "services: {web: {image: '${OUTER}:${INNER}'}}",
        "in/.env": "OUTER=i\nINNER=i",
    }
    assert load("include: [in/x.yaml]", files).service("web").options["image"] == "o:i"
