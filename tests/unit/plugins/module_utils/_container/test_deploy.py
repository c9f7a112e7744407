from __future__ import annotations

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.deploy import Report, cleanups
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.desired import Manner

from tests.unit.plugins.module_utils._container.tables import make_plan, service, vm

WEB = service()
ONE = WEB.identity("")
CLEANS = Manner(timeout=1.0, healthy_seconds=1.0, detach=False, cleanup=True)


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (None, ["create"]),
        (vm(ONE, WEB), ["remove"]),
        (vm(ONE, WEB, phase="exited"), ["start", "remove"]),
        (vm(ONE, WEB, name="by-hand"), ["rename", "remove"]),
        (vm(ONE, service(options={"image": "web:0"})), ["recreate"]),
    ],
    ids=["made", "running", "ended", "renamed by hand", "replaced"],
)
def test_cleanup_foretells_the_removal_of_what_stands(standing: ContainerVm | None, expected: list[str]) -> None:
    planned = make_plan([WEB], vms=[standing] if standing else [])
    report = Report(plan=planned, containers=(), cleaned=cleanups(planned, CLEANS))
    assert [(one["action"], one["name"]) for one in report.actions] == [(kind, "web") for kind in expected]
    assert report.changed
    assert (report.after == {"web": {"state": "absent"}}) == ("remove" in expected)


def test_without_cleanup_no_removal_is_foretold() -> None:
    assert not cleanups(make_plan([WEB], vms=[vm(ONE, WEB)]), Manner(timeout=1.0, healthy_seconds=1.0, detach=False))
