package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"strings"

	"bonneville.vsphere/lab/engine"
	"bonneville.vsphere/lab/mark"
)

// aliasPrefix begins the alias of a lab's bridge; what follows is the lab's mark.
const aliasPrefix = "bonneville.lab "

// within is where labs of kind vm have their networks: the guests' Docker Engines take
// registries there that speak plain HTTP.
const within = "10.215.0.0/16"

// network is the lab's bridge, with no other machine on it than the lab's own.
type network struct {
	bridge  string
	tag     string // tells the devices of several labs apart
	subnet  netip.Prefix
	gateway netip.Addr
	dhcp    *dhcp
}

func newNetwork(own string, progress io.Writer) (*network, error) {
	if err := removeAbandoned(progress); err != nil {
		return nil, err
	}
	taken, err := engine.InterfaceSubnets()
	if err != nil {
		return nil, err
	}
	subnet, err := engine.FreeSubnet(netip.MustParsePrefix(within), 24, taken)
	if err != nil {
		return nil, err
	}
	tag := strings.ToLower(own[strings.LastIndexByte(own, '-')+1:])[:4]
	n := &network{bridge: "bvb-" + tag, tag: tag, subnet: subnet, gateway: subnet.Addr().Next()}
	address := netip.PrefixFrom(n.gateway, subnet.Bits()).String()
	for _, arguments := range [][]string{
		{"link", "add", n.bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0"},
		{"link", "set", n.bridge, "alias", aliasPrefix + own},
		{"address", "add", address, "dev", n.bridge},
		{"link", "set", n.bridge, "up"},
	} {
		if err := ip(arguments...); err != nil {
			return nil, errors.Join(err, n.remove())
		}
	}
	if n.dhcp, err = serveDHCP(n.bridge, n.gateway, subnet); err != nil {
		return nil, errors.Join(err, n.remove())
	}
	return n, nil
}

// plug puts a machine's end of its cable into the bridge.
func (n *network) plug(tap string) error { return ip("link", "set", tap, "master", n.bridge, "up") }

func (n *network) remove() error { return ip("link", "delete", n.bridge) }

func (n *network) close() error { return errors.Join(n.dhcp.close(), n.remove()) }

// removeAbandoned removes bridges of labs that no longer run. Their machines, and so
// the tap devices, went with them.
func removeAbandoned(progress io.Writer) error {
	raw, err := exec.Command("ip", "-json", "link", "show", "type", "bridge").Output()
	if err != nil {
		return fmt.Errorf("ip link: %w", err)
	}
	var links []struct{ IfName, IfAlias string }
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &links); err != nil {
			return fmt.Errorf("ip link: %w", err)
		}
	}
	for _, link := range links {
		if of, ours := strings.CutPrefix(link.IfAlias, aliasPrefix); ours && mark.Abandoned(of) {
			fmt.Fprintf(progress, "[guests] removing %s of a lab that did not end in order\n", link.IfName)
			if err := ip("link", "delete", link.IfName); err != nil {
				return err
			}
		}
	}
	return nil
}

func ip(arguments ...string) error {
	out, err := exec.CommandContext(context.Background(), "ip", arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
