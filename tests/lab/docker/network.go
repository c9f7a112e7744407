package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"sync"

	"bonneville.vsphere/lab/engine"
	"bonneville.vsphere/lab/guestroot/wire"
)

// makeNetwork makes a bridge with a /23 that no interface of the machine and no
// network of the engine overlaps. Its lower half is the machines': static addresses
// up to .127, leases above. Its upper half is for the addresses that Docker insists
// on giving containers, and that a guest's init takes away before it speaks.
func (k *Kind) makeNetwork(ctx context.Context) error {
	taken, err := takenBy(ctx, k.client)
	if err != nil {
		return err
	}
	for n := 0; n < 256; n += 2 {
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 213, byte(n), 0}), 23)
		docker := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 213, byte(n + 1), 0}), 24)
		if overlaps(subnet, taken) {
			continue
		}
		gateway := subnet.Addr().Next()
		err := k.client.Call(ctx, "POST", "/networks/create", nil, map[string]any{
			"Name":           "bonneville-lab-" + k.mark,
			"CheckDuplicate": true,
			"Driver":         "bridge",
			"Labels":         map[string]string{label: k.mark},
			"IPAM": map[string]any{"Config": []map[string]string{
				{"Subnet": subnet.String(), "Gateway": gateway.String(), "IPRange": docker.String()},
			}},
		}, nil)
		var refused *engine.Error
		if errors.As(err, &refused) {
			continue // taken since we looked, by another lab that is starting
		}
		if err != nil {
			return err
		}
		k.network, k.subnet, k.gateway = "bonneville-lab-"+k.mark, subnet, gateway
		k.leases = newLeases(subnet)
		return nil
	}
	return errors.New("no /23 of 10.213.0.0/16 is free for the lab's bridge")
}

// takenBy lists the networks in use: a machine's own, and those of engines' networks
// whose bridge is not up.
func takenBy(ctx context.Context, c *engine.Client) ([]netip.Prefix, error) {
	var taken []netip.Prefix
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, address := range addresses {
		if prefix, err := netip.ParsePrefix(address.String()); err == nil {
			taken = append(taken, prefix)
		}
	}
	var networks []struct {
		IPAM struct{ Config []struct{ Subnet string } }
	}
	if err := c.Call(ctx, "GET", "/networks", nil, nil, &networks); err != nil {
		return nil, err
	}
	for _, one := range networks {
		for _, config := range one.IPAM.Config {
			if prefix, err := netip.ParsePrefix(config.Subnet); err == nil {
				taken = append(taken, prefix)
			}
		}
	}
	return taken, nil
}

func overlaps(subnet netip.Prefix, taken []netip.Prefix) bool {
	for _, other := range taken {
		if subnet.Overlaps(other) {
			return true
		}
	}
	return false
}

// leases is the lab's DHCP server. A lease belongs to a MAC and lives as long as
// the disk of its machine; addresses go round, so that one that was given up is
// not at once another machine's.
type leases struct {
	mu     sync.Mutex
	subnet netip.Prefix
	next   byte
	byMAC  map[string]netip.Addr
	taken  map[netip.Addr]bool
}

const firstLease, lastLease = 128, 254

func newLeases(subnet netip.Prefix) *leases {
	return &leases{subnet: subnet, next: firstLease, byMAC: map[string]netip.Addr{}, taken: map[netip.Addr]bool{}}
}

// of gives the MAC's address.
func (l *leases) of(mac string) (netip.Addr, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if address, ok := l.byMAC[mac]; ok {
		return address, nil
	}
	for range lastLease - firstLease + 1 {
		bytes := l.subnet.Addr().As4()
		bytes[3] = l.next
		if l.next++; l.next > lastLease {
			l.next = firstLease
		}
		if address := netip.AddrFrom4(bytes); !l.taken[address] {
			l.taken[address], l.byMAC[mac] = true, address
			return address, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("all addresses of %s are leased", l.subnet)
}

func (l *leases) release(mac string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.taken, l.byMAC[mac])
	delete(l.byMAC, mac)
}

// lease answers a guest's DHCP request; nil is silence.
func (k *Kind) lease(m *machine) *wire.LeaseAnswer {
	k.mu.Lock()
	silent := false
	for _, glob := range k.silent {
		matches, _ := path.Match(glob, m.spec.Name)
		silent = silent || matches
	}
	k.mu.Unlock()
	address, err := k.leases.of(m.spec.MAC)
	if silent || err != nil {
		return nil
	}
	return &wire.LeaseAnswer{
		Address: netip.PrefixFrom(address, k.subnet.Bits()).String(), Gateway: k.gateway.String(),
	}
}
