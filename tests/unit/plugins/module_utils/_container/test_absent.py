from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container import marks as marks_of
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.absent import copies, plan_absence, states
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.read import claimed_vm, in_words
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.select import Selector
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.sight import Sight
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import (
    Ambiguous,
    ForeignVm,
    InvalidOption,
    Several,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.inventory import VmFacts
from ansible_collections.bonneville.vsphere.plugins.module_utils._vsphere.refs import Datacenter

from tests.unit.plugins.module_utils._container.tables import service, vm

CENTER = Datacenter(moid="dc-1", name="DC", path="DC")
WEB = service()


def web(ordinal: str, **fields: Any) -> ContainerVm:
    return vm(WEB.identity(ordinal), WEB, **fields)


def other(name: str, extra_config: dict[str, str] | None = None, **fields: Any) -> VmFacts:
    empty: dict[str, Any] = dict.fromkeys(VmFacts.__dataclass_fields__, "")
    return VmFacts(
        **{
            **empty,
            "moid": f"vm-{name}",
            "name": name,
            "folder": "bonneville",
            "bios_uuid": "an-admin's-own",
            "extra_config": extra_config or {},
            "boot_time": None,
            **fields,
        }
    )


def sight(*vms: ContainerVm, others: tuple[VmFacts, ...] = ()) -> Sight:
    return Sight(datacenter=CENTER, vms=vms, others=others)


def test_the_highest_ordinals_go_first() -> None:
    plan = plan_absence(sight(web("0"), web("10"), web("9")), Selector(services=("web",)), owner="")
    plan.check()
    assert [(action.kind, action.name) for action in plan.work] == [
        ("remove", "web-10"), ("remove", "web-9"), ("remove", "web-0"),
    ]  # fmt: skip


def test_nothing_to_remove_is_no_work() -> None:
    plan = plan_absence(sight(web("0")), Selector(names=("gone",)), owner="")
    plan.check()
    assert not plan.work


def test_to_name_nothing_is_an_error_and_never_everything() -> None:
    with pytest.raises(InvalidOption):
        plan_absence(sight(web("0")), Selector(), owner="")


@pytest.mark.parametrize(
    ("extra_config", "words"),
    [
        ({}, "no mark"),
        ({marks_of.KEY_KIND: marks_of.TEMPLATE_KIND, marks_of.KEY_SCHEMA: "1"}, "template"),
        ({marks_of.KEY_KIND: marks_of.KIND, marks_of.KEY_SCHEMA: "2"}, "schema '2'"),
        (web("7").marks.encode(), "copied"),
    ],
)
def test_a_foreign_vm_of_a_wanted_name_is_named_with_what_it_is(extra_config: dict[str, str], words: str) -> None:
    theirs = other("db", extra_config)
    plan = plan_absence(sight(web("0"), others=(theirs, other("else"))), Selector(names=("web-0", "db")), owner="")
    with pytest.raises(ForeignVm, match=words) as raised:
        plan.check()
    assert raised.value.details == {"name": "db", "moid": "vm-db"}
    # A selection that does not name it has nothing to do with it.
    plan_absence(sight(web("0"), others=(theirs,)), Selector(services=("web",)), owner="").check()


@pytest.mark.parametrize(("marked", "asked"), [("blue", ""), ("", "blue"), ("blue", "red")])
def test_another_owner_is_refused(marked: str, asked: str) -> None:
    one = web("0")
    owned = replace(one, marks=replace(one.marks, owner=marked))
    with pytest.raises(ForeignVm, match="owner"):
        plan_absence(sight(owned), Selector(services=("web",)), owner=asked).check()
    plan_absence(sight(owned), Selector(services=("web",)), owner=marked).check()


def test_all_that_is_wrong_is_told_at_once() -> None:
    plan = plan_absence(
        sight(web("0"), web("1"), others=(other("db"),)), Selector(names=("web-0", "web-1", "db")), owner="red"
    )
    with pytest.raises(Several) as raised:
        plan.check()
    assert [error.obj for error in raised.value.errors] == ["db", "web-0", "web-1"]


def test_a_name_that_fits_two_containers_is_refused() -> None:
    twin = replace(web("0", moid="vm-twin"), folder="elsewhere")
    with pytest.raises(Ambiguous):
        plan_absence(sight(web("0"), twin), Selector(names=("web-0",)), owner="")


def test_copies_are_those_that_would_be_meant() -> None:
    copied = other("web-0-copy", web("0").marks.encode())
    seen = sight(web("0"), others=(copied, other("plain")))
    assert copies(seen, Selector(services=("web",))) == ("web-0-copy",)
    assert copies(seen, Selector(services=("db",))) == ()
    claimed = claimed_vm(copied)
    assert claimed is not None
    assert claimed.marks.ordinal == "0"
    assert "copied" in in_words(copied)


def test_states_tell_apart_vms_of_one_name() -> None:
    twin = replace(web("0", moid="vm-twin"), folder="elsewhere")
    plan = plan_absence(sight(web("0"), twin, web("1", phase="stopped")), Selector(services=("web",)), owner="")
    assert states(plan) == {"elsewhere/web-0": "running", "bonneville/web-0": "running", "web-1": "stopped"}
