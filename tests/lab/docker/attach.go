package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"bonneville.vsphere/lab/guest"
)

// loopMajor is the kernel's device number of loop devices.
const loopMajor = 7

// attachment is a further disk in a running machine.
type attachment struct {
	loop string // the host's device
	node string // the guest's, in the guest's /dev
	link string // by which the guest finds it
}

// AttachDisk gives a machine a further disk, at once if it runs, else when it does.
func (k *Kind) AttachDisk(ctx context.Context, id string, d guest.Disk) error {
	return k.Attach(id, d, func(m *machine) error {
		if m.disk.blank {
			return nil
		}
		m.state.Lock()
		defer m.state.Unlock()
		return k.plug(ctx, m, d)
	})
}

// DetachDisk takes a further disk away.
func (k *Kind) DetachDisk(_ context.Context, id, uuid string) error {
	return k.Detach(id, uuid, func(m *machine) error {
		m.state.Lock()
		defer m.state.Unlock()
		a, plugged := m.attached[uuid]
		if !plugged {
			return nil
		}
		delete(m.attached, uuid)
		return a.unplug()
	})
}

// attachAll plugs in what was attached while the machine was off.
func (k *Kind) attachAll(ctx context.Context, m *machine) error {
	for _, d := range k.Further(m.spec.ID) {
		if err := k.plug(ctx, m, d); err != nil {
			return err
		}
	}
	return nil
}

// detachAll frees the host's loop devices of a machine that has ended.
func (k *Kind) detachAll(m *machine) {
	for uuid, a := range m.attached {
		_ = a.unplug() // its /dev is gone; the loop device is what matters
		delete(m.attached, uuid)
	}
}

// plug makes a loop device of the disk's file and a node for it in the guest's own
// /dev, which the host reaches by way of process 1's root. Guests share the kernel's
// block devices: the link is the only name by which one may look for its disk.
func (k *Kind) plug(ctx context.Context, m *machine, d guest.Disk) error {
	pid, err := k.pid(ctx, m)
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "losetup", "--find", "--show", "--nooverlap", d.File).CombinedOutput()
	if err != nil {
		return fmt.Errorf("losetup %s: %w: %s", d.File, err, out)
	}
	loop := strings.TrimSpace(string(out))
	dev := fmt.Sprintf("/proc/%d/root/dev", pid)
	wwn := "wwn-0x" + strings.ToLower(strings.ReplaceAll(d.UUID, "-", ""))
	a := &attachment{
		loop: loop, node: filepath.Join(dev, filepath.Base(loop)), link: filepath.Join(dev, "disk/by-id", wwn),
	}
	if err := a.appear(); err != nil {
		return errors.Join(err, a.unplug())
	}
	if m.attached == nil {
		m.attached = map[string]*attachment{}
	}
	m.attached[d.UUID] = a
	return nil
}

func (a *attachment) appear() error {
	var stat syscall.Stat_t
	if err := syscall.Stat(a.loop, &stat); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(a.link), 0o755); err != nil {
		return err
	}
	if err := syscall.Mknod(a.node, syscall.S_IFBLK|0o660, int(stat.Rdev)); err != nil {
		return fmt.Errorf("mknod: %w", err)
	}
	return os.Symlink("../../"+filepath.Base(a.node), a.link)
}

func (a *attachment) unplug() error {
	_, _ = os.Remove(a.link), os.Remove(a.node)
	if out, err := exec.Command("losetup", "--detach", a.loop).CombinedOutput(); err != nil {
		return fmt.Errorf("losetup --detach %s: %w: %s", a.loop, err, out)
	}
	return nil
}

// pid is the host's number of the guest's process 1.
func (k *Kind) pid(ctx context.Context, m *machine) (int, error) {
	var about struct{ State struct{ Pid int } }
	if err := k.client.Call(ctx, "GET", "/containers/"+m.disk.container+"/json", nil, nil, &about); err != nil {
		return 0, err
	}
	if about.State.Pid == 0 {
		return 0, fmt.Errorf("%s has ended", m.spec.Name)
	}
	return about.State.Pid, nil
}
