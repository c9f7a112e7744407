package main

import (
	"encoding/json"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"

	"bonneville.vsphere/lab/guestroot/wire"
)

// mostOut is how much of a program's output is handed back.
const mostOut = 1 << 20

// daemon is vmtoolsd: it tells the VM's addresses whenever they change, and runs
// what the lab asks it to, as guest operations do.
func daemon() int {
	port, err := openPort(wire.ToolsPort)
	if err != nil {
		say("%v", err)
		return 1
	}
	var mu sync.Mutex
	tell := func(line wire.Tools) {
		raw, _ := json.Marshal(line)
		mu.Lock()
		defer mu.Unlock()
		if err := port.writeLine(raw); err != nil {
			say("%v", err)
		}
	}
	go watchAddresses(func(addresses []string) { tell(wire.Tools{Addresses: addresses}) })
	for {
		line, err := port.readLine()
		if err != nil {
			say("%v", err)
			return 1
		}
		var order wire.Tools
		if err := json.Unmarshal(line, &order); err != nil || len(order.Run) == 0 {
			continue // a torn line, of a host that went away in the middle of it
		}
		go func() {
			code, out := run(order.Run...)
			tell(wire.Tools{ID: order.ID, Code: code, Out: out[:min(len(out), mostOut)]})
		}()
	}
}

// watchAddresses calls tell with the IPv4 addresses of real NICs, at first and
// whenever the kernel says that something about links or addresses has changed.
func watchAddresses(tell func([]string)) {
	const groups = 1<<0 | 1<<4 // RTMGRP_LINK, RTMGRP_IPV4_IFADDR
	socket, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	if err == nil {
		err = syscall.Bind(socket, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK, Groups: groups})
	}
	if err != nil {
		say("netlink: %v", err)
		return
	}
	last := []string{"nothing told yet"}
	buffer := make([]byte, 64<<10)
	for {
		if now := addresses(); !slices.Equal(now, last) {
			last = now
			tell(now)
		}
		if _, err := syscall.Read(socket, buffer); err != nil && err != syscall.EINTR && err != syscall.ENOBUFS {
			say("netlink: %v", err)
			return
		}
	}
}

func addresses() []string {
	found := []string{}
	links, _ := net.Interfaces()
	for _, link := range links {
		if _, err := os.Stat("/sys/class/net/" + link.Name + "/device"); err != nil {
			continue // a bridge, or one end of a container's
		}
		own, _ := link.Addrs()
		for _, address := range own {
			if ip, ok := address.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLinkLocalUnicast() {
				found = append(found, ip.IP.String())
			}
		}
	}
	return found
}
