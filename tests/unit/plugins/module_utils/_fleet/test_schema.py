from __future__ import annotations

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._fleet.model.schema import schema

from tests.support.composing import load, messages


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "services:\n  web:\n    imge: nginx\n",
            "There is no key 'imge': compose.yaml:3: in service 'web'. Did you mean image",
        ),
        ("servces: {}\n", "There is no key 'servces': compose.yaml:1: in the file's top level. Did you mean services"),
        (
            "services:\n  web:\n    image: a\n    deploy:\n      replica: 2\n",
            "There is no key 'replica': compose.yaml:5: in deploy of service 'web'. Did you mean replicas",
        ),
        (
            "services:\n  web:\n    image: [a]\n",
            "Cannot use image of service 'web': compose.yaml:3: it is a list. Write text.",
        ),
        (
            "services:\n  web:\n    ports: 80\n",
            "Cannot use ports of service 'web': compose.yaml:3: it is a whole number. Write a list.",
        ),
        (
            "services:\n  web:\n    ports:\n      - {target: 80, publish: 80}\n",
            "There is no key 'publish': compose.yaml:4: in ports[0] of service 'web'. Did you mean published",
        ),
        (
            "services:\n  web:\n    depends_on:\n      db: {condition: service_up}\n",
            "Cannot use depends_on.db.condition of service 'web': compose.yaml:4: there is no 'service_up'. "
            "Use service_started or service_healthy or service_completed_successfully.",
        ),
        (
            "services:\n  web:\n    depends_on:\n      db: {restart: true}\n",
            "Cannot use depends_on.db of service 'web': compose.yaml:4: condition is missing. Add it.",
        ),
        (
            "services:\n  web:\n    environment: text\n",
            "Cannot use environment of service 'web': compose.yaml:3: it is text. Write a mapping or a list.",
        ),
        (
            "services:\n  web:\n    environment: [{A: secret}]\n",
            "Cannot use environment[0] of service 'web': compose.yaml:3: it is a mapping. Write text.",
        ),
        (
            "services:\n  web:\n    ports: ['80:80', '80:80']\n",
            "Cannot use ports of service 'web': compose.yaml:3: an entry is there twice. Keep one of the two.",
        ),
        ("services:\n  'a b': {image: x}\n", "Cannot use the name 'a b': compose.yaml:2: in services. Use letters"),
        ("services: [web]\n", "Cannot use 'services': compose.yaml:1: it is a list. Write a mapping."),
        ("volumes:\n  v: {drivr: x}\n", "There is no key 'drivr': compose.yaml:2: in volume 'v'. Did you mean driver"),
        (
            "services:\n  web:\n    volumes: [{type: banana, target: /a}]\n",
            "Cannot use volumes[0].type of service 'web': compose.yaml:3: there is no 'banana'. Use bind or volume or",
        ),
        ("services:\n  web: nginx\n", "Cannot use 'services.web': compose.yaml:2: it is text. Write a mapping."),
        (
            "services:\n  web:\n    pull_policy: seldom\n",
            "Cannot use pull_policy of service 'web': compose.yaml:3: it does",
        ),
    ],
)
def test_what_the_schema_refuses(text: str, told: str) -> None:
    (message,) = messages(text)
    assert message.startswith(told)


def test_all_of_it_is_told_at_once() -> None:
    found = messages("services:\n  a: {imge: x}\n  b: {command: 5}\nnetwrks: {}\n")
    assert len(found) == 3


def test_values_of_an_environment_are_not_shown() -> None:
    (message,) = messages("services:\n  web:\n    environment: {PASSWORD: [hunter2]}\n")
    assert "hunter2" not in message
    assert "environment.PASSWORD of service 'web'" in message


def test_fields_of_ones_own_pass() -> None:
    text = "x-top: 1\nservices:\n  web: {image: a, x-own: {b: c}, deploy: {x-own: 1}}\nvolumes: {v: {x-own: 1}}\n"
    assert load(text).service("web").options == {"image": "a"}


def test_the_schema_is_the_specifications() -> None:
    assert schema()["$id"] == "compose_spec.json"
    assert len(schema()["definitions"]["service"]["properties"]) > 80
