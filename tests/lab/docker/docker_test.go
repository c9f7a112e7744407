package docker

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bonneville.vsphere/lab/guest"
)

func TestGuests(t *testing.T) {
	b := newBench(t)
	b.template()
	for _, one := range []struct {
		name string
		test func(*bench)
	}{
		{"clones run the images that their parent had", clonesRunImages},
		{"a clone is shut down and booted again", shutDownAndBoot},
		{"a static address is taken", staticAddress},
		{"a DHCP server that does not answer", silentDHCP},
		{"a disk is plugged in and out", furtherDisk},
		{"a copy of a disk boots on its own", copyBoots},
		{"a clone survives its parent", cloneSurvivesParent},
		{"the guest is told what the vCenter refuses", refusals},
		{"a process is killed by name", killedProcess},
		{"a reboot from inside", rebootFromInside},
		{"a blank disk powers on", blankDisk},
		{"what a crashed lab left is removed", abandonedThings},
	} {
		t.Run(one.name, func(t *testing.T) {
			of := *b
			of.T = t
			one.test(&of)
		})
	}
}

func clonesRunImages(b *bench) {
	pulls := b.registry.Pulls()
	count := 4
	if os.Getenv("LAB_MANY") != "" {
		count = 10
	}
	start := time.Now()
	clones := make([]*rpc, count)
	var all sync.WaitGroup
	for i := range clones {
		all.Go(func() { clones[i], _ = b.clone() })
	}
	all.Wait()
	b.Logf("%d clones: forked after %.2f s", count, time.Since(start).Seconds())
	hosts := map[any]bool{}
	for _, c := range clones {
		c.wait(b.T, "guestinfo.phase", "running")
		hosts[b.get(c.address(), "/")["hostname"]] = true
	}
	b.Logf("%d clones: HTTP 200 after %.2f s", count, time.Since(start).Seconds())
	if len(hosts) != count {
		b.Errorf("%d clones answered with %d hostnames", count, len(hosts))
	}
	if now := b.registry.Pulls(); fmt.Sprint(now) != fmt.Sprint(pulls) {
		b.Errorf("clones pulled: %v, before %v", now, pulls)
	}
	for _, c := range clones {
		b.end(c)
	}
}

func shutDownAndBoot(b *bench) {
	r, m := b.clone()
	r.wait(b.T, "guestinfo.phase", "running")
	check(b.T, b.kind.Shutdown(b.Context(), m.ID))
	if clean := <-r.exited; !clean {
		b.Error("a shutdown did not end cleanly")
	}
	m.MAC = "00:50:56:00:0a:0a" // edited while off: the container has to be made anew
	check(b.T, b.kind.PowerOn(b.Context(), m))
	r.wait(b.T, "guestinfo.phase", "rebooted")
	b.get(r.address(), "/")
	if mac := b.inside(m.ID, "cat /sys/class/net/eth0/address"); mac != m.MAC {
		b.Errorf("the MAC is %s", mac)
	}
	b.end(r)
}

func staticAddress(b *bench) {
	r, m := b.clone()
	r.wait(b.T, "guestinfo.phase", "running")
	prefix := b.kind.Subnet()
	address := prefix.Addr().Next().Next().String()
	b.inside(m.ID, fmt.Sprintf("mkdir -p /etc/systemd/network; printf '[Match]\nName=eth0\n[Network]\nAddress=%s/%d\n"+
		"Gateway=%s\nDNS=192.0.2.1\n' >/etc/systemd/network/05-bonneville.network; systemctl restart systemd-networkd",
		address, prefix.Bits(), b.kind.Gateway()))
	if r.address() != address {
		b.Errorf("the address told is %s", r.address())
	}
	b.get(address, "/")
	if resolver := b.inside(m.ID, "cat /etc/resolv.conf"); resolver != "nameserver 192.0.2.1" {
		b.Errorf("resolv.conf is %q", resolver)
	}
	b.end(r)
}

func silentDHCP(b *bench) {
	b.kind.SetDHCP("clone-*", false)
	r, m := b.clone()
	r.wait(b.T, "guestinfo.phase", "running")
	if out := b.inside(m.ID, "ip -4 -o address show dev eth0"); out != "" || r.address() != "" {
		b.Errorf("the guest has an address: %s", out)
	}
	b.kind.SetDHCP("clone-*", true)
	b.inside(m.ID, "systemctl restart systemd-networkd")
	b.get(r.address(), "/")
	b.end(r)
}

func furtherDisk(b *bench) {
	r, m := b.clone()
	file := filepath.Join(b.TempDir(), "data.img")
	check(b.T, os.WriteFile(file, []byte("content of the disk"+strings.Repeat("\x00", 1<<20-19)), 0o600))
	uuid := "6000C29a-0000-1111-2222-333344445555"
	check(b.T, b.kind.AttachDisk(b.Context(), m.ID, guest.Disk{UUID: uuid, File: file}))
	read := "head -c 19 /dev/disk/by-id/wwn-0x6000c29a000011112222333344445555"
	if content := b.inside(m.ID, read); content != "content of the disk" {
		b.Errorf("the guest reads %q", content)
	}
	check(b.T, b.kind.PowerOff(b.Context(), m.ID))
	check(b.T, b.kind.PowerOn(b.Context(), m))
	if content := b.inside(m.ID, read); content != "content of the disk" {
		b.Errorf("after a power cycle the guest reads %q", content)
	}
	check(b.T, b.kind.DetachDisk(b.Context(), m.ID, uuid))
	if left := b.inside(m.ID, "ls /dev/disk/by-id"); left != "" {
		b.Errorf("left in the guest: %s", left)
	}
	if out, _ := exec.Command("losetup", "-j", file).Output(); len(out) > 0 {
		b.Errorf("left on the host: %s", out)
	}
	b.end(r)
}

func copyBoots(b *bench) {
	r, m := b.clone()
	r.wait(b.T, "guestinfo.phase", "running")
	b.inside(m.ID, "echo kept >/opt/bonneville/kept")
	check(b.T, b.kind.PowerOff(b.Context(), m.ID))
	check(b.T, b.kind.CopyDisk(b.Context(), m.DiskID, "[ds] copy"))
	b.end(r)
	c, copied := b.machine("[ds] copy")
	check(b.T, b.kind.PowerOn(b.Context(), copied))
	c.wait(b.T, "guestinfo.phase", "rebooted")
	b.get(c.address(), "/")
	if kept := b.inside(copied.ID, "cat /opt/bonneville/kept"); kept != "kept" {
		b.Errorf("the root was not copied: %q", kept)
	}
	b.end(c)
}

func cloneSurvivesParent(b *bench) {
	parent, m := b.clone()
	parent.wait(b.T, "guestinfo.phase", "running")
	child, of := b.machine("[ds] grandchild")
	check(b.T, b.kind.InstantClone(b.Context(), m.ID, of))
	child.wait(b.T, "guestinfo.phase", "rebooted")
	b.end(parent)
	check(b.T, b.kind.PowerOff(b.Context(), of.ID))
	child.change(func() { delete(child.values, "guestinfo.phase") })
	check(b.T, b.kind.PowerOn(b.Context(), of))
	child.wait(b.T, "guestinfo.phase", "rebooted")
	b.get(child.address(), "/")
	b.end(child)
	volumes, err := listedVolumes(b.Context(), b.kind.client, label+"="+b.kind.mark)
	check(b.T, err)
	if len(volumes) != 1 {
		b.Errorf("%d volumes are left beside the template's", len(volumes)-1)
	}
}

func refusals(b *bench) {
	r, m := b.clone()
	r.wait(b.T, "guestinfo.phase", "running")
	// In this order: what is set is got.
	for _, one := range [][2]string{
		{`vmtoolsd --cmd "info-get guestinfo.none"`, "No value found 1"},
		{`vmware-rpctool "info-get guestinfo.none" x`, "No value found 1"},
		{`vmtoolsd --cmd "info-set guestinfo.refused 1"`, "Permission denied 1"},
		{`vmtoolsd --cmd "info-set guestinfo.a b  c"`, "0"},
		{`vmtoolsd --cmd "info-get guestinfo.a"`, "b  c 0"},
		{`systemctl is-active bonneville-agent.service`, "active 0"},
		{`systemctl start nothing`, "Failed to start nothing.service: Unit nothing.service not found. 5"},
		{`echo bad >/run/vmware/x; vmtoolsd --cmd nothing`, "Unknown command 1"},
	} {
		command, wanted := one[0], one[1]
		if said := b.inside(m.ID, command+" 2>&1; echo $?"); strings.Join(strings.Fields(said), " ") !=
			strings.Join(strings.Fields(wanted), " ") {
			b.Errorf("%s: %q, wanted %q", command, said, wanted)
		}
	}
	r.refuseFreeze = true
	if said := b.inside(m.ID, `vmtoolsd --cmd instantclone.freeze 2>&1; echo $?`); said != "not now\n1" {
		b.Errorf("a refused freeze said %q", said)
	}
	b.end(r)
}

func killedProcess(b *bench) {
	r, m := b.clone()
	r.wait(b.T, "guestinfo.phase", "running")
	check(b.T, b.kind.KillProcess(b.Context(), m.ID, "web"))
	if b.kind.KillProcess(b.Context(), m.ID, "no-such") == nil {
		b.Error("a process that there is not was killed")
	}
	check(b.T, b.kind.KillProcess(b.Context(), m.ID, "init"))
	if clean := <-r.exited; clean {
		b.Error("a crash was told as a clean end")
	}
	b.end(r)
}

func rebootFromInside(b *bench) {
	r, m := b.clone()
	r.wait(b.T, "guestinfo.phase", "running")
	b.inside(m.ID, "systemctl reboot")
	r.wait(b.T, "guestinfo.phase", "rebooted")
	b.end(r)
}

func blankDisk(b *bench) {
	file := filepath.Join(b.TempDir(), "other.vmdk")
	check(b.T, os.WriteFile(file, []byte("KDMV"), 0o600))
	check(b.T, b.kind.ImportDisk(b.Context(), "[ds] other", file))
	r, m := b.machine("[ds] other")
	check(b.T, b.kind.PowerOn(b.Context(), m))
	if b.kind.Shutdown(b.Context(), m.ID) == nil {
		b.Error("a machine without a system answered")
	}
	b.end(r)
}

func abandonedThings(b *bench) {
	c, dead := b.kind.client, "1-0-DEAD" // process 1 did not start at tick 0
	labels := map[string]string{label: dead}
	check(b.T, c.Call(b.Context(), "POST", "/volumes/create", nil, map[string]any{"Name": "abandoned", "Labels": labels}, nil))
	check(b.T, c.Call(b.Context(), "POST", "/containers/create", nil, map[string]any{
		"Image": b.kind.image, "Labels": labels,
		"HostConfig": map[string]any{"Mounts": []any{map[string]any{"Type": "volume", "Source": "abandoned", "Target": "/x"}}},
	}, nil))
	check(b.T, removeAbandoned(b.Context(), c, io.Discard))
	for _, sort := range sorts {
		left, err := sort.ids(b.Context(), c, label)
		check(b.T, err)
		for id, mark := range left {
			if mark == dead {
				b.Errorf("left: %s%s", sort.remove, id)
			}
		}
	}
	if len(b.kind.Running()) == 0 {
		b.Error("the living lab's machines are gone")
	}
}

// inside runs a shell command in a guest and gives what it printed.
func (b *bench) inside(id, command string) string {
	b.Helper()
	m, err := b.kind.Machine(id)
	check(b.T, err)
	encoded := base64.StdEncoding.EncodeToString([]byte(command))
	pid, err := b.kind.pid(context.Background(), m)
	check(b.T, err)
	out, err := exec.Command("nsenter", "-t", fmt.Sprint(pid), "-a", "sh", "-c", "echo "+encoded+" | base64 -d | sh").CombinedOutput()
	if err != nil {
		b.Fatalf("%s: %v: %s", command, err, out)
	}
	return strings.TrimSpace(string(out))
}
