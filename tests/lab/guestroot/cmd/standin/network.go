package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"

	"bonneville.vsphere/lab/guestroot/wire"
)

const nic = "eth0"

// network is systemd-networkd: it configures the one NIC from the first .network
// file that matches it, and from the lab's DHCP where no file gives an address.
type network struct{ procs *processes }

// settings is what a .network file says.
type settings struct {
	addresses, gateways, dns, domains []string
}

// clear takes away the address that Docker configured: a machine has none before
// its network is up, and a clone none before its agent has rebound the NIC.
func (n *network) clear() {
	n.procs.run("ip", "address", "flush", "dev", nic, "scope", "global")
}

// apply is a (re)start of the service.
func (n *network) apply() error {
	n.clear()
	n.filter()
	wanted := readSettings()
	if len(wanted.addresses) == 0 {
		answer, err := ask(wire.Request{Kind: wire.Lease})
		if err != nil {
			return err
		}
		if answer.Lease == nil {
			say("no DHCP server answers")
			return nil
		}
		wanted.addresses = []string{answer.Lease.Address}
		wanted.gateways = []string{answer.Lease.Gateway}
	}
	var plain []string
	for _, address := range wanted.addresses {
		if code, out := n.procs.run("ip", "address", "add", address, "dev", nic); code != 0 {
			return fmt.Errorf("address %s: %s", address, strings.TrimSpace(out))
		}
		if prefix, err := netip.ParsePrefix(address); err == nil {
			plain = append(plain, prefix.Addr().String())
			announce(prefix.Addr())
		}
	}
	for _, gateway := range wanted.gateways {
		if code, out := n.procs.run("ip", "route", "replace", "default", "via", gateway, "dev", nic); code != 0 {
			return fmt.Errorf("gateway %s: %s", gateway, strings.TrimSpace(out))
		}
	}
	var resolver strings.Builder
	for _, server := range wanted.dns {
		fmt.Fprintln(&resolver, "nameserver", server)
	}
	if len(wanted.domains) > 0 {
		fmt.Fprintln(&resolver, "search", strings.Join(wanted.domains, " "))
	}
	if err := os.WriteFile("/etc/resolv.conf", []byte(resolver.String()), 0o644); err != nil {
		return err
	}
	_, err := ask(wire.Request{Kind: wire.Address, Addresses: plain})
	return err
}

// readSettings reads the first file in the order of networkd that matches the NIC.
func readSettings() settings {
	byName := map[string]string{}
	// Later directories have precedence: a file hides those of its name before it.
	for _, dir := range []string{"/usr/lib/systemd/network", "/run/systemd/network", "/etc/systemd/network"} {
		found, _ := filepath.Glob(filepath.Join(dir, "*.network"))
		for _, file := range found {
			byName[filepath.Base(file)] = file
		}
	}
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		raw, err := os.ReadFile(byName[name])
		if err != nil {
			continue
		}
		file := parseUnit(string(raw))
		for _, pattern := range strings.Fields(file.last("Match", "Name")) {
			if ok, _ := filepath.Match(pattern, nic); ok {
				return settingsOf(file)
			}
		}
	}
	return settings{}
}

func settingsOf(file unitFile) settings {
	s := settings{
		addresses: append(file.all("Network", "Address"), file.all("Address", "Address")...),
		gateways:  append(file.all("Network", "Gateway"), file.all("Route", "Gateway")...),
	}
	for _, line := range file.all("Network", "DNS") {
		s.dns = append(s.dns, strings.Fields(line)...)
	}
	for _, line := range file.all("Network", "Domains") {
		s.domains = append(s.domains, strings.Fields(line)...)
	}
	return s
}

// announce sends a gratuitous ARP. Addresses move from machine to machine in a lab
// within seconds, and neighbours would go on talking to the one that had it before.
func announce(address netip.Addr) {
	link, err := net.InterfaceByName(nic)
	if err != nil || !address.Is4() {
		return
	}
	const arp = 0x0608 // ETH_P_ARP in network order
	socket, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, arp)
	if err != nil {
		return
	}
	defer syscall.Close(socket)
	ip, everyone := address.As4(), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	var frame []byte
	frame = append(frame, everyone...)
	frame = append(frame, link.HardwareAddr...)
	frame = append(frame, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1) // ARP request for IPv4 over Ethernet
	frame = append(frame, link.HardwareAddr...)
	frame = append(frame, ip[:]...)
	frame = append(frame, everyone...)
	frame = append(frame, ip[:]...)
	_ = syscall.Sendto(socket, frame, 0, &syscall.SockaddrLinklayer{Protocol: arp, Ifindex: link.Index, Halen: 6})
}
