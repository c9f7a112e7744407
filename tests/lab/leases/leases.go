// Package leases gives addresses of a lab's bridge to MACs, as its DHCP server does.
package leases

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"sync"
)

// The last bytes of addresses that are leased; those below are free for static use.
const first, last = 128, 254

// Table is the lab's leases. One belongs to a MAC and lives as long as the disk of
// its machine; addresses go round, so that one that was given up is not at once
// another machine's.
type Table struct {
	mu     sync.Mutex
	subnet netip.Prefix
	next   byte
	byMAC  map[string]netip.Addr
	taken  map[netip.Addr]bool
	silent []string // globs of machines that get no answer
}

// New is an empty table for a subnet's first /24.
func New(subnet netip.Prefix) *Table {
	return &Table{subnet: subnet, next: first, byMAC: map[string]netip.Addr{}, taken: map[netip.Addr]bool{}}
}

// Of gives the MAC's address.
func (t *Table) Of(mac string) (netip.Addr, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if address, ok := t.byMAC[mac]; ok {
		return address, nil
	}
	for range last - first + 1 {
		bytes := t.subnet.Addr().As4()
		bytes[3] = t.next
		if t.next++; t.next > last {
			t.next = first
		}
		if address := netip.AddrFrom4(bytes); !t.taken[address] {
			t.taken[address], t.byMAC[mac] = true, address
			return address, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("all addresses of %s are leased", t.subnet)
}

// SetAnswering makes the server answer, or not, machines whose name matches the glob.
func (t *Table) SetAnswering(glob string, answering bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.silent = slices.DeleteFunc(t.silent, func(one string) bool { return one == glob })
	if !answering {
		t.silent = append(t.silent, glob)
	}
}

// Answers tells whether a machine of that name gets an answer.
func (t *Table) Answers(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !slices.ContainsFunc(t.silent, func(glob string) bool {
		matches, _ := path.Match(glob, name)
		return matches
	})
}

// Release gives the MAC's address up.
func (t *Table) Release(mac string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.taken, t.byMAC[mac])
	delete(t.byMAC, mac)
}
