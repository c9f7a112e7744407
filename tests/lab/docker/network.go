package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"bonneville.vsphere/lab/engine"
	"bonneville.vsphere/lab/guestroot/wire"
	"bonneville.vsphere/lab/leases"
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
	for {
		subnet, err := engine.FreeSubnet(netip.MustParsePrefix("10.213.0.0/16"), 23, taken)
		if err != nil {
			return fmt.Errorf("no network for the lab's bridge: %w", err)
		}
		gateway, upper := subnet.Addr().Next(), subnet.Addr().As4()
		upper[2]++
		err = k.client.Call(ctx, "POST", "/networks/create", nil, map[string]any{
			"Name":           "bonneville-lab-" + k.mark,
			"CheckDuplicate": true,
			"Driver":         "bridge",
			"Labels":         map[string]string{label: k.mark},
			"IPAM": map[string]any{"Config": []map[string]string{{
				"Subnet": subnet.String(), "Gateway": gateway.String(),
				"IPRange": netip.PrefixFrom(netip.AddrFrom4(upper), 24).String(),
			}}},
		}, nil)
		var refused *engine.Error
		if errors.As(err, &refused) && strings.Contains(refused.Message, "overlap") {
			taken = append(taken, subnet) // since we looked, by another lab that is starting
			continue
		}
		if err != nil {
			return err
		}
		k.network, k.subnet, k.gateway = "bonneville-lab-"+k.mark, subnet, gateway
		k.leases = leases.New(subnet)
		return nil
	}
}

// takenBy lists the networks in use: a machine's own, and those of engines' networks
// whose bridge is not up.
func takenBy(ctx context.Context, c *engine.Client) ([]netip.Prefix, error) {
	taken, err := engine.InterfaceSubnets()
	if err != nil {
		return nil, err
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

// lease answers a guest's DHCP request; nil is silence.
func (k *Kind) lease(m *machine) *wire.LeaseAnswer {
	address, err := k.leases.Of(m.spec.MAC)
	if err != nil || !k.leases.Answers(m.spec.Name) {
		return nil
	}
	return &wire.LeaseAnswer{
		Address: netip.PrefixFrom(address, k.subnet.Bits()).String(), Gateway: k.gateway.String(),
	}
}
