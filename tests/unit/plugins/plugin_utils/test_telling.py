"""The closing table, and the line that counts containers on their way."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.tally import Count, Tally
from ansible_collections.bonneville.vsphere.plugins.plugin_utils.table import table


def container(name: str, **vm: Any) -> dict[str, Any]:
    return {
        "name": name,
        "phase": "running",
        "container": {"image": "web:1"},
        "vm": {"moid": "vm-1", "host": "esx1", "ip": "192.0.2.1", **vm},
        "seconds": 1.26,
    }


def test_columns_are_as_wide_as_they_have_to_be() -> None:
    head, first, second = table([container("web-0"), container("web-10", ip=None)])
    assert head.split() == ["container", "VM", "host", "image", "address", "phase", "seconds"]
    assert first.index("running") == second.index("running") == head.index("phase")
    assert first.endswith("1.3")


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ([Count()], "3 containers: begun"),
        ([Count(cloned=1)], "3 containers: 1 cloned"),
        ([Count(cloned=1, started=1), Count(cloned=2)], "3 containers: 3 cloned, 1 started"),
        ([Count(removed=3)], "3 containers: 3 removed"),
        ([Count(cloned=3, started=3, healthy=2, failed=1)], "3 containers: 3 cloned, 3 started, 2 healthy, 1 failed"),
    ],
)
def test_parts_add_up(counts: list[Count], text: str) -> None:
    told: list[str] = []
    tally = Tally(lambda text, *, tally=False: told.append(text), total=3)
    for part, count in enumerate(counts):
        tally.count(part, count)
        tally.count(part, count)
    assert told[-1] == text
    assert len(told) == len(counts), "the same was told twice"
