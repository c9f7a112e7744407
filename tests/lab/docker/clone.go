package docker

import (
	"context"
	"errors"
	"fmt"

	"bonneville.vsphere/lab/guest"
)

// InstantClone forks a machine: its root by a commit, its images by links, and its
// volatile state as it stands. Clones of one parent are made side by side.
func (k *Kind) InstantClone(ctx context.Context, parentID string, spec guest.Machine) error {
	parent, err := k.Machine(parentID)
	if err != nil {
		return err
	}
	if parent.disk.blank {
		if err := k.AddDisk(spec.DiskID, &disk{blank: true}); err != nil {
			return err
		}
		return k.PowerOn(ctx, spec)
	}
	image, release, err := k.hold(ctx, parent)
	if err != nil {
		return err
	}
	defer release()
	d, err := k.forkDisk(ctx, parent.disk, image)
	if err != nil {
		return err
	}
	m := &machine{spec: spec, disk: d, gone: make(chan struct{}), resumed: true}
	m.thawing.Store(true)
	if err = k.AddDisk(spec.DiskID, d); err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		if err = k.run(ctx, m); err == nil {
			return nil
		}
		k.DropDisk(spec.DiskID)
	}
	return errors.Join(fmt.Errorf("clone %s: %w", spec.Name, err), k.discard(context.WithoutCancel(ctx), d))
}

// hold gives the image of a halted parent's root, and sees that it stays halted
// until release is called. A frozen parent's image is made once; a running one is
// halted for the time of the clone.
func (k *Kind) hold(ctx context.Context, parent *machine) (image string, release func(), err error) {
	parent.state.RLock()
	if parent.frozen && parent.snapshot != "" {
		return parent.snapshot, parent.state.RUnlock, nil
	}
	parent.state.RUnlock()

	parent.state.Lock()
	if parent.frozen {
		if parent.snapshot == "" {
			parent.snapshot, err = k.commit(ctx, parent.disk.container, parent.disk)
		}
		image = parent.snapshot
		parent.state.Unlock()
		if err != nil {
			return "", nil, err
		}
		parent.state.RLock()
		return image, parent.state.RUnlock, nil
	}
	path := "/containers/" + parent.disk.container
	if err := k.post(ctx, path+"/pause", nil); err != nil {
		parent.state.Unlock()
		return "", nil, err
	}
	release = func() {
		_ = k.post(context.WithoutCancel(ctx), path+"/unpause", nil) // one that has ended needs no waking
		parent.state.Unlock()
	}
	if image, err = k.commit(ctx, parent.disk.container, parent.disk); err != nil {
		release()
		return "", nil, err
	}
	return image, release, nil
}

// forkDisk makes the clone's disk and volatile state.
func (k *Kind) forkDisk(ctx context.Context, parent *disk, image string) (*disk, error) {
	d, err := k.newDisk(ctx, image)
	if err != nil {
		return nil, err
	}
	d.parents = parent.lineage()
	if err = fork(parent.volume, d.volume); err == nil {
		err = copyTree(ctx, parent.runDir(), d.runDir())
	}
	k.mu.Lock()
	d.forkedOf = parent
	parent.children++
	k.mu.Unlock()
	if err != nil {
		return nil, errors.Join(err, k.discard(ctx, d))
	}
	return d, nil
}
