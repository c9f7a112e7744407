package leases

import (
	"net/netip"
	"testing"
)

func TestWhoGetsNoAnswer(t *testing.T) {
	table := New(netip.MustParsePrefix("10.0.0.0/24"))
	table.SetAnswering("web-*", false)
	table.SetAnswering("db", false)
	table.SetAnswering("web-*", false) // said twice is as once
	table.SetAnswering("web-*", true)
	if !table.Answers("web-1") || table.Answers("db") || !table.Answers("other") {
		t.Error("web-1:", table.Answers("web-1"), "db:", table.Answers("db"), "other:", table.Answers("other"))
	}
}

func TestAnAddressIsOneMachinesUntilItIsGivenUp(t *testing.T) {
	table := New(netip.MustParsePrefix("10.0.0.0/24"))
	first, err := table.Of("a")
	again, _ := table.Of("a")
	other, _ := table.Of("b")
	if err != nil || first != again || first == other {
		t.Error(first, again, other, err)
	}
	table.Release("a")
	if fresh, _ := table.Of("c"); fresh == first {
		t.Error("an address that was just given up is another's at once")
	}
}
