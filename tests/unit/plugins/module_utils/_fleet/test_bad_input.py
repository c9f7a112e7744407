"""What is written wrongly, each with its own words; and that all of it is told at once."""

from __future__ import annotations

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import InvalidOption, Several, Unsupported

from tests.support.composing import load, messages

_WEB = "services:\n  web:\n    image: a\n"

# What follows a service's image, the key that is told of, and what is told.
_OF_A_SERVICE = [
    (
        "depends_on: [off]\n  off: {image: a, profiles: [p]}",
        "depends_on",
        "no chosen profile has service 'off'. Choose its profile, or set required: false.",
    ),
    ("ports: ['80:80', '80:80/tcp']", "ports", "'80:80/tcp': it is published twice."),
    ("ports: ['80:80', '80:81']", "ports", "'80:81/tcp': port 80/tcp is already published as '80:80/tcp'."),
    ("ports: ['a:80']", "ports", "'a:80' is no port"),
    ("ports: ['90-80:80']", "ports", "the range '90-80' runs"),
    ("secrets: [s]", "secrets", "there is no 's' among the file's"),
    ("configs: [{source: c, mode: 9999}]\nconfigs: {c: {content: y}}", "configs.mode", "'9999' is no mode"),
    (
        "environment: {DEBUG: true}",
        "environment.DEBUG",
        "YAML made it a boolean, so it may not be what was written. Quote it.",
    ),
    (
        "environment: {V: 1.10}",
        "environment.V",
        "YAML made it a number with a point, so it may not be what was written. Quote it.",
    ),
    ("environment: ['=x']", "environment", "a name is empty"),
    ("environment: {'A B': x}", "environment", "'A B' is no"),
    ('command: "echo \'a"', "command", "its quotes are not"),
    ("scale: 2\n    deploy: {replicas: 3}", "scale", "it differs"),
    ("scale: -1", "scale", "-1 is below 0."),
    ("cpus: 1\n    deploy: {resources: {limits: {cpus: 2}}}", "cpus", "it differs from deploy.resources.limits.cpus"),
    ("mem_limit: 1m", "mem_limit", "'1048576': a container needs at least 6M."),
    ("mem_limit: lots", "mem_limit", "'lots' is no size"),
    ("memswap_limit: 64m", "memswap_limit", "it is memory and swap"),
    ("restart: sometimes", "restart", "Docker has no policy"),
    ("restart: always:3", "restart", "Docker has no policy"),
    ("stop_grace_period: soon", "stop_grace_period", "'soon' is no duration"),
    ("healthcheck: {test: [curl]}", "healthcheck", ""),
    (
        "deploy: {update_config: {failure_action: cry}}",
        "deploy.update_config.failure_action",
        "'cry' is none of pause, continue, rollback.",
    ),
    (
        "deploy: {update_config: {max_failure_ratio: 2}}",
        "deploy.update_config.max_failure_ratio",
        "2 is not between 0 and 1.",
    ),
    ("networks: [nowhere]", "networks", "there is no 'nowhere'"),
    ("volumes: ['v:/v']", "volumes", "there is no 'v' among the file's volumes."),
    ("volumes: ['v:/v', /v/]\nvolumes: {v: }", "volumes", "something is mounted at '/v' already, in line 4."),
    ("volumes: [data]", "volumes", "the target 'data' is no"),
    ("volumes: ['v:/v:rx']", "volumes", "'rx' of 'v:/v:rx' is no"),
    ("volumes: [{type: volume, target: /v, read_only: true}]", "volumes.read_only", "the volume at '/v' has no name."),
    (
        "volumes: [{type: volume, target: /v, volume: {nocopy: true}}]",
        "volumes.volume.nocopy",
        "the volume at '/v' has no name.",
    ),
    ("extra_hosts: [a]", "extra_hosts", "'a' has no address"),
    ("mac_address: 02:42:ac:11:65:43", "mac_address", ""),
    (
        "restart: always\n  b: {image: b, depends_on: {web: {condition: service_completed_successfully}}}",
        "restart",
        "another service waits for its end",
    ),
    ("x-bonneville: {ttl: 1h}", "x-bonneville.ttl", "it counts"),
    ("x-bonneville: {gateway: 10.0.0.1}", "x-bonneville.gateway", "with DHCP"),
    ("x-bonneville: {ip_address: 10.0.0.1/24}\n    scale: 2", "ip_address", "2 replicas cannot share 10.0.0.1/24."),
]


@pytest.mark.parametrize(("text", "key", "told"), _OF_A_SERVICE)
def test_mistakes_in_a_service(text: str, key: str, told: str) -> None:
    (message,) = messages(f"{_WEB}    {text}\n")
    assert message.startswith(f"Cannot use {key} of service 'web': compose.yaml:4: {told}")


_ELSEWHERE = [
    (
        _WEB + "  b: {image: b, depends_on: [wbe]}\n",
        "Cannot use depends_on of service 'b': compose.yaml:4: there is no service 'wbe'. Did you mean web.",
    ),
    (
        "services:\n  a: {image: a, depends_on: [b]}\n  b: {image: b, depends_on: [c]}\n"
        "  c: {image: c, depends_on: [a]}\n",
        "Cannot use depends_on of service 'a': compose.yaml:2: they wait for each other: a → b → c → a.",
    ),
    (
        "services:\n  a: {image: a, depends_on: [a]}\n",
        "Cannot use depends_on of service 'a': compose.yaml:2: they wait for each other: a → a.",
    ),
    (
        _WEB + "    env_file: no.env\n",
        "Cannot use env_file of service 'web' 'no.env': compose.yaml:4: there is no such file in the fleet's "
        "directory.",
    ),
    (
        _WEB + "    env_file: ../x.env\n",
        "Cannot use env_file of service 'web' '../x.env': compose.yaml:4: it leaves the fleet's directory",
    ),
    (
        _WEB + "    secrets: [s]\nsecrets: {s: {file: no}}\n",
        "Cannot use the file of secret 's', 'no': compose.yaml:5: there is no such file",
    ),
    (
        _WEB + "    secrets: [s]\nsecrets: {s: {environment: NO}}\n",
        "Cannot use the secret 's': compose.yaml:5: the variable 'NO' is not set.",
    ),
    (
        _WEB + "    configs: [c]\nconfigs: {c: {}}\n",
        "Cannot use the config 'c': compose.yaml:5: it has no content.",
    ),
    (
        _WEB + "    configs: [c]\nconfigs: {c: {file: x, content: y}}\n",
        "Cannot use the config 'c': compose.yaml:5: it has file and content.",
    ),
    (
        "services:\n  web:\n    user: $NOBODY\n",
        "There is no value for the variable 'NOBODY': compose.yaml:3: it is not set, and has no default. Set "
        "it in variables or in the fleet's .env, or write a default, as in ${NOBODY:-text}.",
    ),
    (
        "services:\n  web:\n    user: ${NOBODY:?who runs it}\n",
        "There is no value for the variable 'NOBODY': compose.yaml:3: it is not set: who runs it.",
    ),
    (
        "services:\n  web:\n    user: ${}\n",
        "Cannot interpolate a value of 'compose.yaml': compose.yaml:3: no variable's name follows '${'. Write"
        " '$$' for a dollar.",
    ),
    (
        "services:\n  web: {}\n",
        "Cannot use image of service 'web': compose.yaml:2: there is none.",
    ),
    (
        _WEB + "    image2: a\n",
        "There is no key 'image2': compose.yaml:4: in service 'web'. Did you mean image.",
    ),
    (
        "services:\n  w/b: {image: a}\n",
        "Cannot use the name 'w/b': compose.yaml:2: in services.",
    ),
    (
        "services:\n  wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww: {image: a}\n",
        "Cannot use the name of service 'wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww': "
        "compose.yaml:2: 'shop-wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww': it becomes a "
        "VM's",
    ),
    (
        "services:\n  web: {image: a, scale: 2}\n  web-1: {image: a}\n",
        "Cannot use the name of service 'web-1': compose.yaml:3: a container of it and one of service 'web' "
        "would both be called 'shop-web-1'.",
    ),
    (
        "services:\n  web: {image: a}\n  Web: {image: a}\n",
        "Cannot use the name of service 'web': compose.yaml:2: a container of it and one of service 'Web' "
        "would both be called 'shop-web'.",
    ),
    (
        _WEB + "    mem_limit: 64m\n    mem_reservation: 65m\n",
        "Cannot use mem_reservation of service 'web': compose.yaml:5: it is above the memory limit.",
    ),
    (
        _WEB + "    init: maybe\n",
        "Cannot use init of service 'web': compose.yaml:4: 'maybe': it is neither true nor false.",
    ),
    (
        _WEB + "    deploy: {replicas: few}\n",
        "Cannot use deploy.replicas of service 'web': compose.yaml:4: 'few': it is no whole number.",
    ),
    (
        _WEB + "    networks: [a]\n    network_mode: bridge\nnetworks: {a: }\n",
        "Cannot use network_mode of service 'web': compose.yaml:5: networks excludes it.",
    ),
    (
        _WEB + "    volumes: ['./../x:/v:ro']\n",
        "Cannot use the bind mount of service 'web', '../x': compose.yaml:4: it leaves the fleet's directory",
    ),
    (
        _WEB + "    volumes: ['./x:/v:ro']\n",
        "Cannot use the bind mount of service 'web', 'x': compose.yaml:4: there is no such file",
    ),
    (
        _WEB + "    x-bonneville: {tempate: t}\n",
        "There is no key 'tempate': compose.yaml:4: in x-bonneville of service 'web'. Did you mean template.",
    ),
    (
        _WEB + "    x-bonneville: {folder: f}\n",
        "There is no key 'folder': compose.yaml:4: in x-bonneville of service 'web'. It belongs to "
        "x-bonneville of the top.",
    ),
    (
        _WEB + "    x-bonneville: t\n",
        "Cannot use 'x-bonneville of service 'web'': compose.yaml:4: it is no mapping.",
    ),
    (
        _WEB + "    x-bonneville: {ip_address: 10.0.0.1}\n",
        "Cannot use ip_address of 'x-bonneville of service 'web'': compose.yaml:4: '10.0.0.1': its prefix is missing.",
    ),
    (
        "x-bonneville: {mac_address: 00:50:56:00:00:01}\nservices:\n  web:\n    image: a\n",
        "Cannot use mac_address of 'x-bonneville': compose.yaml:1: '00:50:56:00:00:01': only 'deterministic' "
        "can be for several services.",
    ),
    (
        _WEB + "    volumes: ['v:/v']\nvolumes: {v: {x-bonneville: {size_gb: big}}}\n",
        "Cannot use size_gb of 'x-bonneville of volume 'v'': compose.yaml:5: 'big': it is no whole number from 1.",
    ),
    (
        _WEB + "    volumes: ['v:/v']\nvolumes: {v: {external: true, x-bonneville: {size_gb: 5}}}\n",
        "Cannot use the volume 'v': compose.yaml:5: an external one has its size already.",
    ),
]


@pytest.mark.parametrize(("text", "told"), _ELSEWHERE)
def test_mistakes(text: str, told: str) -> None:
    (message,) = messages(text)
    assert message.startswith(told)


@pytest.mark.parametrize(
    ("text", "key", "told"),
    [
        ("network_mode: host", "network_mode", "'host': the VM is the container's host"),
        ("network_mode: 'service:db'", "network_mode", "'service:db': the VM is"),
        ("network_mode: 'container:x'", "network_mode", "'container:x': the VM is"),
        ("platform: linux/arm64", "platform", "'linux/arm64': the template decides the architecture"),
        ("pull_policy: daily", "pull_policy", "'daily': images lie in the template"),
        ("deploy: {mode: global}", "deploy.mode", "'global': there is no node"),
        (
            "deploy: {rollback_config: {failure_action: pause}}",
            "deploy.rollback_config.failure_action",
            "'pause': a service that is put back by half",
        ),
        (
            "deploy: {rollback_config: {max_failure_ratio: 0.5}}",
            "deploy.rollback_config.max_failure_ratio",
            "'0.5': what cannot be put back",
        ),
        ("volumes: ['l:/l']", "volume.labels", "a volume's disk has no labels"),
        ("deploy: {placement: {constraints: [a]}}", "deploy.placement", "vSphere and the templates' hosts decide"),
        (
            "deploy: {restart_policy: {condition: any, max_attempts: 3}}",
            "deploy.restart_policy.max_attempts",
            "Docker counts",
        ),
        ("networks: [a, b]", "networks", "a, b: a VM has one network"),
        ("networks: {a: {ipv4_address: 10.0.0.1}}", "networks.ipv4_address", "the address is the VM's"),
        (
            "volumes: ['/var/run/docker.sock:/var/run/docker.sock']",
            "volumes.bind",
            "'/var/run/docker.sock': the container's",
        ),
        ("volumes: ['~/x:/x:ro']", "volumes.bind", "'~/x': the container's host"),
        ("volumes: ['./html:/html:ro']", "volumes.bind", "'html' is a directory"),
        ("volumes: ['./file:/file']", "volumes.bind.read_write", "'file': a file that is carried"),
        ("volumes: [{type: npipe, source: x, target: /x}]", "volumes.type", "'npipe': a VM of its own has neither"),
        ("configs: [{source: c, uid: '5'}]", "configs.uid", "'5': the file is root's"),
        ("secrets: [ext]", "secret.external", "there is no store"),
        ("extra_hosts: {a: [10.0.0.1, 10.0.0.2]}", "extra_hosts", "'a' has several addresses"),
        ("healthcheck: {test: x, start_interval: 5s}", "healthcheck.start_interval", "older Docker Engines have none"),
        ("networks: [c]", "network.internal", "what a port group reaches"),
        ("volumes: ['w:/w']", "volume.driver", "'nfs': a volume is a disk"),
        ("ports: [{target: 80, app_protocol: http}]", "ports.app_protocol", "nothing here looks"),
    ],
)
def test_what_cannot_be_honoured(text: str, key: str, told: str) -> None:
    file = (
        f"services:\n  web:\n    image: a\n    {text}\n"
        "networks: {a: , b: , c: {internal: true}}\nvolumes: {v: , w: {driver: nfs}, l: {labels: [a]}}\n"
        "configs: {c: {content: x}}\nsecrets: {ext: {external: true}}\n"
    )
    beside = {"file": "x", "html/index.html": "x"}
    with pytest.raises(Unsupported) as error:
        load(file, beside)
    assert error.value.details["key"] == key
    assert error.value.details["file"] == "compose.yaml"
    assert told in error.value.message
    assert f"or name '{key}' in ignore_unsupported" in error.value.message
    for name in (key, key.partition(".")[0]):
        (warning,) = load(file, beside, ignore_unsupported=[name]).warnings
        assert told in warning


def test_a_bind_that_is_written_to_is_carried_read_only_where_that_is_ignored() -> None:
    found = load(
        "services: {web: {image: a, volumes: ['./f:/f']}}", {"f": "x"}, ignore_unsupported=["volumes.bind.read_write"]
    )
    assert [content.target for content in found.service("web").contents] == ["/f"]


@pytest.mark.parametrize(
    "services",
    [
        "a: {image: a, volumes: ['v:/v']}, b: {image: b, volumes: ['v:/v:ro']}",
        "a: {image: a, scale: 2, volumes: ['v:/v']}",
    ],
)
def test_a_disk_is_not_shared(services: str) -> None:
    with pytest.raises(Unsupported, match="a volume is a disk, which one VM has at a time"):
        load(f"services: {{{services}}}\nvolumes: {{v: }}\n")
    assert load(
        f"services: {{{services.replace('scale: 2', 'scale: 1').replace('v:/v:ro', '/v')}}}\nvolumes: {{v: }}\n"
    )


def test_everything_is_told_at_once() -> None:
    with pytest.raises(Several) as error:
        load(
            "services:\n"
            "  a:\n"
            "    image: a\n"
            "    build: .\n"
            "    links: [b]\n"
            "    environment: {X: true}\n"
            "  b:\n"
            "    privileged: true\n"
            "    pid: host\n"
            "    depends_on: [c]\n"
        )
    keys = [
        (one.code, one.details.get("service"), one.details.get("key"), one.details["line"])
        for one in error.value.errors
    ]
    assert sorted(keys) == [
        ("invalid_option", "a", "environment.X", 6),
        ("invalid_option", "b", "depends_on", 10),
        ("invalid_option", "b", "image", 7),
        ("unsupported", "a", "build", 4),
        ("unsupported", "a", "links", 5),
        ("unsupported", "b", "pid", 9),
    ]


def test_ignoring_what_is_never_refused_is_an_error() -> None:
    (message,) = messages("services: {}", ignore_unsupported=["biuld"])
    assert message == "Cannot ignore the key 'biuld': it is none that is refused. Did you mean build."


def test_what_services_have_in_common_is_told_once() -> None:
    (message,) = messages(
        "services: {a: {image: a, networks: [n]}, b: {image: b, networks: [n]}}\nnetworks: {n: {internal: true}}\n"
    )
    assert message.startswith("Cannot honour internal of network 'n': compose.yaml:2: ")


def test_an_ignored_build_leaves_the_image() -> None:
    found = load("services: {web: {image: a, build: .}}", ignore_unsupported=["build"])
    assert found.service("web").options == {"image": "a"}
    assert found.warnings == (
        "compose.yaml:1: build of service 'web' is ignored, as ignore_unsupported says: images are not built here.",
    )


def test_what_asks_for_nothing_is_not_refused() -> None:
    assert load("services: {web: {image: a, links: [], oom_kill_disable: false, pid: }}").warnings == ()


def test_services_of_other_profiles_may_be_unsupported() -> None:
    assert load("services: {web: {image: a}, dev: {build: ., profiles: [dev]}}").services[0].name == "web"


def test_no_compose_file() -> None:
    from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet import compose

    from tests.support.composing import texts

    with pytest.raises(InvalidOption, match="Cannot find a Compose file"):
        compose.load("/f", name="f", look=texts({}))
    with pytest.raises(InvalidOption, match="there is no such file"):
        compose.load("/f", ["other.yaml"], name="f", look=texts({}))


def test_no_secret_is_in_any_error() -> None:
    found = messages(
        "services:\n"
        "  web:\n"
        "    environment: {PASSWORD: '${SECRET}', 'B B': '${SECRET}', FLOAT: 1.5}\n"
        "    secrets: [{source: s, mode: 9999}]\n"
        "    env_file: e\n"
        "secrets: {s: {environment: SECRET}}\n",
        {"e": "A='x\nhunter2"},
        variables={"SECRET": "hunter2"},
    )
    assert len(found) == 5
    assert "hunter2" not in "".join(found)
