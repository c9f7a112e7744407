from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.marks import Identity
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.select import (
    Selector,
    check_names,
    read_selector,
    select,
)
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import Ambiguous, InvalidOption
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.module_utils._container.tables import service, vm


def one(
    of_service: str = "web", ordinal: str = "", *, fleet: str = "", folder: str = "bonneville", **fields: Any
) -> ContainerVm:
    labels = fields.pop("labels", None)
    of = service(of_service, fleet=fleet, folder=folder, options={"labels": labels} if labels else {})
    identity = Identity(fleet=fleet, folder=folder, service=of_service, ordinal=ordinal)
    return vm(
        identity, of, **{"moid": f"vm-{folder}-{fleet}-{of_service}-{ordinal}-{fields.get('slot', '1')}", **fields}
    )


VMS = (
    one("web", "10", host="esx1.example"),
    one("web", "2", host="esx2.example", phase="stopped"),
    one("web", "2", slot="2", name="web-2~2"),
    one("db", labels={"stage": "live", "team": "blue"}),
    one("db", fleet="shop", labels={"stage": "review"}, phase="silent"),
)


def names(vms: tuple[ContainerVm, ...]) -> list[str]:
    return [vm.name for vm in vms]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ["db", "web-2", "web-2~2", "web-10", "shop-db"]),
        ({"name": ["web-2"]}, ["web-2", "web-2~2"]),
        ({"name": ["web-2~2"]}, ["web-2~2"]),
        ({"name": ["web"]}, []),
        ({"name": ["db", "web-10"]}, ["db", "web-10"]),
        ({"name": []}, []),
        ({"service": ["web"]}, ["web-2", "web-2~2", "web-10"]),
        ({"service": ["db"]}, ["db"]),
        ({"service": ["shop/db"]}, ["shop-db"]),
        ({"service": ["db"], "fleet": ["shop"]}, ["shop-db"]),
        ({"service": ["shop/db"], "fleet": ["shop"]}, []),
        ({"service": []}, []),
        ({"fleet": ["shop", "other"]}, ["shop-db"]),
        ({"labels": ["stage"]}, ["db", "shop-db"]),
        ({"labels": ["stage=live"]}, ["db"]),
        ({"labels": ["stage=live", "team"]}, ["db"]),
        ({"labels": ["stage=review", "team"]}, []),
        ({"labels": ["stage="]}, []),
        ({"labels": []}, []),
        ({"phase": ["silent", "stopped"]}, ["web-2", "shop-db"]),
        ({"host": ["esx1"]}, ["web-10"]),
        ({"host": ["esx2.example"]}, ["web-2"]),
        ({"host": ["esx"]}, []),
        ({"template": ["photon"], "service": ["db"]}, ["db"]),
        ({"template": ["other"]}, []),
        ({"image": ["web:1"], "service": ["db"]}, ["db"]),
        ({"image": ["web"]}, []),
        ({"name": ["web-10"], "service": ["db"]}, []),
    ],
)
def test_what_is_chosen_and_in_which_order(params: dict[str, Any], expected: list[str]) -> None:
    assert names(select(VMS, read_selector(params))) == expected


def test_an_unset_option_and_a_missing_one_fit_all() -> None:
    assert read_selector({"name": None, "labels": None}).fits_all
    assert not read_selector({"name": []}).fits_all


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"name": [""]}, "name"),
        ({"fleet": ["shop", ""]}, "fleet"),
        ({"labels": ["=live"]}, "labels"),
        ({"labels": [""]}, "labels"),
        ({"labels": ["stage=live", "stage=review"]}, "two values"),
        ({"image": ["no image"]}, "image"),
    ],
)
def test_what_nothing_can_have_is_an_error(params: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        read_selector(params)


@pytest.mark.parametrize("labels", [["stage", "stage=live"], ["stage=live", "stage"], ["stage=live", "stage=live"]])
def test_a_value_says_more_than_the_bare_key(labels: list[str]) -> None:
    assert read_selector({"labels": labels}).labels == {"stage": "live"}


def test_an_equals_sign_may_be_in_a_value() -> None:
    assert read_selector({"labels": ["query=a=b"]}).labels == {"query": "a=b"}


def test_one_name_in_two_folders_is_ambiguous() -> None:
    both = (one("web", folder="a"), one("web", folder="b"))
    with pytest.raises(Ambiguous, match=r"a/web of service web, b/web of service web"):
        check_names(both, ["web"])


def test_a_renamed_vm_and_the_name_that_it_took() -> None:
    both = (one("web", "0", name="old"), one("old"))
    with pytest.raises(Ambiguous):
        check_names(both, ["old"])
    check_names(both, ["web-0"])


def test_a_replacement_under_way_is_the_same_container() -> None:
    check_names(VMS, ["web-2", "web-2~2", "nothing"])


ANY = st.one_of(
    st.none(), st.lists(st.sampled_from(["web-2", "web", "db", "shop", "shop/db", "stage", "silent"]), max_size=3)
)


@given(params=st.fixed_dictionaries(dict.fromkeys(("name", "service", "fleet", "labels", "phase"), ANY)))
def test_every_selection_is_what_each_option_alone_selects(params: dict[str, Any]) -> None:
    """All options have to fit. Only ``service`` reads differently beside ``fleet``."""

    def chosen(given: dict[str, Any]) -> set[str]:
        return {vm.moid for vm in select(VMS, read_selector(given))}

    alone = [
        chosen({option: value, **({"fleet": params["fleet"]} if option == "service" else {})})
        for option, value in params.items()
    ]
    assert chosen(params) == set.intersection(*alone)


@given(st.permutations(VMS))
def test_the_order_is_the_same_whatever_came_first(vms: list[ContainerVm]) -> None:
    assert select(vms, Selector()) == select(VMS, Selector())


def test_marks_that_someone_wrote_by_hand_do_no_harm() -> None:
    odd = replace(VMS[0], marks=replace(VMS[0].marks, ordinal="²"))
    assert select([odd], Selector()) == (odd,)
