package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"bonneville.vsphere/lab/ova"
)

// layer is one file of a disk: what differs from the layer below.
type layer struct {
	file   string
	format string // raw for the root, qcow2 for all others
	below  *layer
	users  int // disks that it is the top of, and layers on it; guarded by Kind.mu
}

// disk is a machine's first disk.
type disk struct {
	mu    sync.Mutex // of a change to the disk as a whole: power, copy, fork, delete
	blank bool       // not one of the lab's: powers on, and nothing happens
	top   *layer     // the one that its machine writes into
	mac   string     // of the machine that had it last, whose lease goes with it
}

// newLayer makes an empty layer on another, used once.
func (k *Kind) newLayer(ctx context.Context, below *layer) (*layer, error) {
	file := filepath.Join(k.o.Dir, fmt.Sprintf("disk-%d.qcow2", k.number()))
	err := image(ctx, "create", "-q", "-f", "qcow2", "-b", below.file, "-F", below.format, file)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	below.users++
	return &layer{file: file, format: "qcow2", below: below, users: 1}, nil
}

// drop gives up one use of a layer; what nothing uses any more is removed.
func (k *Kind) drop(l *layer) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var errs []error
	for ; l != nil; l = l.below {
		if l.users--; l.users > 0 || l == k.root {
			break
		}
		errs = append(errs, os.Remove(l.file))
	}
	return errors.Join(errs...)
}

// writable gives a disk a top that nothing is stacked on: clones see the disk as it
// was when they were made.
func (k *Kind) writable(ctx context.Context, d *disk) error {
	k.mu.Lock()
	alone := d.top.users == 1
	k.mu.Unlock()
	if alone {
		return nil
	}
	fresh, err := k.newLayer(ctx, d.top)
	if err != nil {
		return err
	}
	old := d.top
	d.top = fresh
	return k.drop(old)
}

func image(ctx context.Context, arguments ...string) error {
	if out, err := exec.CommandContext(ctx, "qemu-img", arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("qemu-img %s: %w: %s", arguments[0], err, bytes.TrimSpace(out))
	}
	return nil
}

// ImportDisk takes an uploaded disk. Only one that begins as the lab's own do can boot.
func (k *Kind) ImportDisk(ctx context.Context, diskID, file string) error {
	boots, err := ova.Boots(file)
	if err != nil {
		return err
	}
	if !boots {
		return k.AddDisk(diskID, &disk{blank: true})
	}
	top, err := k.newLayer(ctx, k.root)
	if err != nil {
		return err
	}
	return k.registerOrDrop(diskID, top)
}

// registerOrDrop gives a new layer a name as a disk.
func (k *Kind) registerOrDrop(id string, top *layer) error {
	if err := k.AddDisk(id, &disk{top: top}); err != nil {
		return errors.Join(err, k.drop(top))
	}
	return nil
}

// CopyDisk copies in full, down to the root: nothing that can change is shared.
func (k *Kind) CopyDisk(ctx context.Context, from, to string) error {
	source, err := k.Disk(from)
	if err != nil {
		return err
	}
	if source.blank {
		return k.AddDisk(to, &disk{blank: true})
	}
	source.mu.Lock()
	defer source.mu.Unlock()
	if m := k.poweredBy(source); m != nil {
		return fmt.Errorf("disk %s is in use by %s", from, m.spec.Name)
	}
	copied, err := k.newLayer(ctx, k.root)
	if err != nil {
		return err
	}
	err = image(ctx, "convert", "-q", "-O", "qcow2", "-B", k.root.file, "-F", k.root.format, source.top.file, copied.file)
	if err != nil {
		return errors.Join(err, k.drop(copied))
	}
	return k.registerOrDrop(to, copied)
}

// DeleteDisk forgets a disk at once. What clones are stacked on goes with the last of them.
func (k *Kind) DeleteDisk(_ context.Context, diskID string) error {
	d, err := k.Disk(diskID)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := k.poweredBy(d); m != nil {
		return fmt.Errorf("disk %s is in use by %s", diskID, m.spec.Name)
	}
	k.DropDisk(diskID)
	if d.blank {
		return nil
	}
	if d.mac != "" {
		k.network.dhcp.leases.Release(d.mac)
	}
	return k.drop(d.top)
}

// poweredBy gives the machine that runs from the disk.
func (k *Kind) poweredBy(d *disk) *machine {
	return k.Which(func(m *machine) bool { return m.disk == d })
}
