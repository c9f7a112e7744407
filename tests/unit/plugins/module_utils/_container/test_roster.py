"""Who is told of whom: the fleet's list out of its container VMs."""

from __future__ import annotations

import pytest
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.actual import OFF, ContainerVm
from ansible_collections.bonneville.vsphere.plugins.module_utils._container.roster import Member, Roster
from ansible_collections.bonneville.vsphere.plugins.module_utils._errors import SpecTooLarge
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.peers import Peers
from ansible_collections.bonneville.vsphere.plugins.module_utils._guest.protocol import NetworkStatus
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.module_utils._container import tables


def fleet_vm(service: str, ordinal: str, ip: str, *, phase: str = "running", **fields: object) -> ContainerVm:
    of = tables.service(service, fleet="shop")
    network = NetworkStatus(ip=ip, mac="00:50:56:00:00:01", hostname=service, prefix=24, gateway="") if ip else None
    return tables.vm(of.identity(ordinal), of, phase=phase, status_fields={"network": network}, **fields)


def test_names_lead_to_every_replica_and_to_each_alone() -> None:
    roster = Roster(services=["web", "db"], vms=[fleet_vm("web", "0", "10.0.0.2"), fleet_vm("web", "1", "10.0.0.1")])
    assert roster.peers == Peers(
        names={"db": (), "shop-web-0": ("10.0.0.2",), "shop-web-1": ("10.0.0.1",), "web": ("10.0.0.1", "10.0.0.2")}
    )
    assert roster.peers.addresses == ("10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize("phase", ["exited", "created", "failed", "stopping"])
def test_what_does_not_run_reaches_the_others_and_has_no_name(phase: str) -> None:
    peers = Roster(services=["job"], vms=[fleet_vm("job", "", "10.0.0.3", phase=phase)]).peers
    assert peers.names == {"job": ()}
    assert peers.addresses == ("10.0.0.3",)


def test_one_that_is_off_or_has_no_address_is_not_listed_and_is_told() -> None:
    off, silent = fleet_vm("web", "0", "10.0.0.1", power=OFF), fleet_vm("web", "1", "", phase="silent")
    roster = Roster(services=["web"], vms=[off, silent])
    assert roster.peers.addresses == ()
    assert set(roster.outdated()) == {off.moid, silent.moid}


def test_aliases_and_capitals_are_names_too() -> None:
    roster = Roster(services=["DB"], vms=[fleet_vm("DB", "", "10.0.0.4")], aliases={"DB": ["database"]})
    assert roster.peers.names == {"database": ("10.0.0.4",), "db": ("10.0.0.4",), "shop-db": ("10.0.0.4",)}


def test_a_list_that_stands_as_it_should_is_left_alone() -> None:
    text = Roster(services=["web"], vms=[fleet_vm("web", "0", "10.0.0.1")]).text
    told = fleet_vm("web", "0", "10.0.0.1", peers=text)
    assert Roster(services=["web"], vms=[told]).outdated() == {}
    assert set(Roster(services=["web", "db"], vms=[told]).outdated()) == {told.moid}


def test_a_member_that_leaves_is_on_no_list() -> None:
    one, two = fleet_vm("web", "0", "10.0.0.1"), fleet_vm("web", "1", "10.0.0.2")
    roster = Roster(services=["web"], vms=[one, two])
    roster.change(one.moid, named=False)
    assert roster.peers.names["web"] == ("10.0.0.2",)
    assert "10.0.0.1" in roster.peers.addresses
    roster.leave(one.moid)
    assert roster.peers.addresses == ("10.0.0.2",)


def test_a_fleet_that_is_too_large_is_refused_in_words() -> None:
    roster = Roster()
    for number in range(3000):
        roster.join(
            Member(
                moid=f"vm-{number}",
                name=f"fleet-web-{number}",
                service="web",
                address=f"10.0.{number >> 8}.{number & 255}",
            )
        )
    with pytest.raises(SpecTooLarge, match="Divide the fleet"):
        _ = roster.text


MEMBERS = st.lists(
    st.builds(
        Member,
        moid=st.uuids().map(str),
        name=st.sampled_from(["a-0", "a-1", "b"]),
        service=st.sampled_from(["a", "b"]),
        address=st.sampled_from(["", "10.0.0.1", "10.0.0.2", "10.0.0.3"]),
        named=st.booleans(),
        on=st.booleans(),
    ),
    max_size=6,
)


@given(MEMBERS)
def test_the_list_is_one_text_in_any_order_and_reads_back(members: list[Member]) -> None:
    there, back = Roster(services=["a"]), Roster(services=["a"])
    for one in members:
        there.join(one)
    for one in reversed(members):
        back.join(one)
    assert there.text == back.text
    assert Peers.decode(there.text) == there.peers
    assert set(there.peers.addresses) == {one.address for one in members if one.on and one.address}
