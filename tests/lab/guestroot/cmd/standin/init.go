package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"bonneville.vsphere/lab/guestroot/cloudinit"
	"bonneville.vsphere/lab/guestroot/wire"
)

// controlSocket is how systemctl reaches process 1.
const controlSocket = "/run/systemd/lab"

// activeFile lists the units that run. It is part of the disk, so a clone's init
// finds in it what was running when its parent was halted.
const activeFile = "/var/lib/lab/active"

// guest is process 1's state.
type guest struct {
	procs *processes
	units *manager
	net   *network
	quit  chan int // the exit code, when the guest is to end
}

// initialise is process 1: it brings the guest up, serves systemctl, and ends the
// guest in order when told to (SIGTERM from the lab, or systemctl poweroff).
func initialise() int {
	asked := make(chan os.Signal, 4)
	signal.Notify(asked, syscall.SIGTERM)
	procs := newProcesses()
	mountAll()
	boot, err := ask(wire.Request{Kind: wire.Boot})
	if err != nil || boot.Boot == nil {
		say("the lab does not answer: %v", err)
		return 1
	}
	identify()
	g := &guest{procs: procs, net: &network{procs: procs}, quit: make(chan int, 1)}
	g.units = newManager(g, boot.Boot.InsecureRegistries)
	if err := g.serve(); err != nil {
		say("%v", err)
		return 1
	}
	g.net.clear()
	if boot.Boot.Resume {
		go g.resume()
	} else {
		go g.boot()
	}
	code := 0
	select {
	case <-asked:
	case code = <-g.quit:
	}
	g.units.stopAll()
	syscall.Sync()
	return code
}

// boot is a start from power-off.
func (g *guest) boot() {
	_ = os.Remove(activeFile)
	g.units.start("systemd-networkd.service")
	for _, name := range g.units.enabled() {
		g.units.start(name)
	}
	cloudinit.Guest{InfoGet: infoGet, Run: g.procs.run, Say: say}.Boot()
}

// resume brings back what ran when the parent was halted, docker first: in a real
// clone it never stopped, and the agent's next step counts on it. The network
// waits for the agent, which had let go of the NIC before freezing.
func (g *guest) resume() {
	raw, _ := os.ReadFile(activeFile)
	for _, name := range strings.Fields(string(raw)) {
		if name != "systemd-networkd.service" {
			g.units.start(name)
		}
	}
}

// serve answers systemctl: a line with its arguments, an answer with its exit code.
func (g *guest) serve() error {
	if err := os.MkdirAll(filepath.Dir(controlSocket), 0o755); err != nil {
		return err
	}
	listener, err := net.Listen("unix", controlSocket)
	if err != nil {
		return err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				var args []string
				if json.NewDecoder(connection).Decode(&args) == nil {
					_ = json.NewEncoder(connection).Encode(g.control(args))
				}
			}()
		}
	}()
	return nil
}

// mountAll gives the guest writable control groups of its own, and its own
// /etc/hostname, hosts and resolv.conf instead of those that Docker binds in.
func mountAll() {
	const cgroups = "/sys/fs/cgroup"
	writable := func(dir string) {
		flags := uintptr(syscall.MS_REMOUNT | syscall.MS_BIND | syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC)
		_ = syscall.Mount("", dir, "", flags, "") // not every one is a mount
	}
	writable(cgroups)
	if controllers, err := os.ReadFile(cgroups + "/cgroup.controllers"); err == nil {
		delegate(cgroups, strings.Fields(string(controllers)))
	} else if entries, err := os.ReadDir(cgroups); err == nil {
		for _, entry := range entries {
			if entry.IsDir() {
				writable(filepath.Join(cgroups, entry.Name()))
			}
		}
	}
	for _, file := range []string{"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"} {
		_ = syscall.Unmount(file, syscall.MNT_DETACH)
	}
}

// delegate (cgroup v2) moves us out of the root group: only a group without
// processes of its own can hand controllers down, and dockerd needs them.
func delegate(root string, controllers []string) {
	own := filepath.Join(root, "init.scope")
	_ = os.Mkdir(own, 0o755)
	_ = os.WriteFile(filepath.Join(own, "cgroup.procs"), []byte("1"), 0o644)
	for _, controller := range controllers {
		// One by one: a controller that cannot be had must not cost us the others.
		_ = os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
	}
}

// identify sets what a machine knows of itself from its disk.
func identify() {
	name, _ := os.ReadFile("/etc/hostname")
	hostname := strings.TrimSpace(string(name))
	if hostname == "" {
		hostname = "photon"
		_ = os.WriteFile("/etc/hostname", []byte(hostname+"\n"), 0o644)
	}
	_ = syscall.Sethostname([]byte(hostname))
	if hosts, _ := os.ReadFile("/etc/hosts"); len(hosts) == 0 {
		_ = os.WriteFile("/etc/hosts", []byte("127.0.0.1 localhost\n::1 localhost\n"), 0o644)
	}
	if id, _ := os.ReadFile("/etc/machine-id"); len(strings.TrimSpace(string(id))) == 0 {
		uuid, _ := os.ReadFile("/proc/sys/kernel/random/uuid")
		_ = os.WriteFile("/etc/machine-id", []byte(strings.ReplaceAll(string(uuid), "-", "")), 0o444)
	}
}

// say writes to the console, which is the guest's container log.
func say(format string, values ...any) {
	fmt.Printf("%s init: %s\n", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, values...))
}
