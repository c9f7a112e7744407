package vm

import (
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"

	"bonneville.vsphere/lab/leases"
)

// leaseTime is longer than a lab lives.
const leaseTime = 24 * time.Hour

// dhcp is the server on the lab's bridge. As servers do, it tells clients apart by
// their client id, and only where they send none by their MAC: clones that send one
// id would be given one address.
type dhcp struct {
	server  *server4.Server
	gateway net.IP
	mask    net.IPMask
	leases  *leases.Table

	mu     sync.Mutex
	names  map[string]string // of machines by their MAC
	served map[string]string // MACs by the address that they were given last
}

func serveDHCP(bridge string, gateway netip.Addr, subnet netip.Prefix) (*dhcp, error) {
	d := &dhcp{
		gateway: gateway.AsSlice(), mask: net.CIDRMask(subnet.Bits(), 32), leases: leases.New(subnet),
		names: map[string]string{}, served: map[string]string{},
	}
	var err error
	d.server, err = server4.NewServer(bridge, &net.UDPAddr{IP: net.IPv4zero, Port: dhcpv4.ServerPort}, d.answer)
	if err != nil {
		return nil, err
	}
	go func() { _ = d.server.Serve() }()
	return d, nil
}

func (d *dhcp) close() error { return d.server.Close() }

// know says which machine has a MAC.
func (d *dhcp) know(mac, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[mac] = name
}

// answers tells whether whoever has the MAC gets an answer.
func (d *dhcp) answers(mac string) bool {
	d.mu.Lock()
	name := d.names[mac]
	d.mu.Unlock()
	return d.leases.Answers(name)
}

// given is the address that each MAC was given last.
func (d *dhcp) given() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.served)
}

// client is who asks: the client id, where it is more than the MAC, else the MAC.
func client(m *dhcpv4.DHCPv4) string {
	mac := m.ClientHWAddr.String()
	id := m.Options.Get(dhcpv4.OptionClientIdentifier)
	if len(id) == 0 || (len(id) == 7 && id[0] == 1 && net.HardwareAddr(id[1:]).String() == mac) {
		return mac
	}
	return net.HardwareAddr(id).String()
}

func (d *dhcp) answer(connection net.PacketConn, _ net.Addr, m *dhcpv4.DHCPv4) {
	kind := dhcpv4.MessageTypeOffer
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
	case dhcpv4.MessageTypeRequest:
		kind = dhcpv4.MessageTypeAck
	default:
		return
	}
	mac := m.ClientHWAddr.String()
	if !d.answers(mac) {
		return
	}
	address, err := d.leases.Of(client(m))
	if err != nil {
		return
	}
	offered := address.AsSlice()
	options := []dhcpv4.Modifier{
		dhcpv4.WithServerIP(d.gateway), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(d.gateway)),
	}
	if asked := m.RequestedIPAddress(); kind == dhcpv4.MessageTypeAck && asked != nil && !asked.Equal(offered) {
		options = append(options, dhcpv4.WithMessageType(dhcpv4.MessageTypeNak))
	} else {
		options = append(options, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(offered),
			dhcpv4.WithOption(dhcpv4.OptSubnetMask(d.mask)), dhcpv4.WithOption(dhcpv4.OptRouter(d.gateway)),
			dhcpv4.WithOption(dhcpv4.OptIPAddressLeaseTime(leaseTime)))
	}
	reply, err := dhcpv4.NewReplyFromRequest(m, options...)
	if err != nil {
		return
	}
	if kind == dhcpv4.MessageTypeAck && reply.MessageType() == kind {
		d.mu.Lock()
		d.served[mac] = address.String()
		d.mu.Unlock()
	}
	// Everyone on the bridge hears it: the client has no address yet to be spoken to.
	_, _ = connection.WriteTo(reply.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpv4.ClientPort})
}
