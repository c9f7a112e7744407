package engine

import (
	"fmt"
	"net"
	"net/netip"
)

// InterfaceSubnets lists the networks that the machine has an address in.
func InterfaceSubnets() ([]netip.Prefix, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var subnets []netip.Prefix
	for _, address := range addresses {
		if prefix, err := netip.ParsePrefix(address.String()); err == nil {
			subnets = append(subnets, prefix.Masked())
		}
	}
	return subnets, nil
}

// FreeSubnet gives the first network of that size within the /16 that overlaps none
// of those taken.
func FreeSubnet(within netip.Prefix, bits int, taken []netip.Prefix) (netip.Prefix, error) {
	start := within.Masked().Addr().As4()
	for third := 0; third < 256; third += max(1, 1<<(24-bits)) {
		start[2] = byte(third)
		candidate := netip.PrefixFrom(netip.AddrFrom4(start), bits)
		free := true
		for _, other := range taken {
			free = free && !candidate.Overlaps(other)
		}
		if free {
			return candidate, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("every /%d of %s overlaps a network of this machine", bits, within)
}
