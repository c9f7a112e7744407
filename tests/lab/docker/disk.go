package docker

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"bonneville.vsphere/lab/ova"
)

// disk is a machine's first disk: everything of it that outlives a power-off.
type disk struct {
	mu        sync.Mutex // of a change to the disk as a whole: power, copy, delete
	dir       string     // on the host: the machine's rpc and run directories
	blank     bool       // not one of the lab's: powers on, and nothing happens
	image     string     // what the container is made from
	images    []string   // that have to be kept for it, see Kind.use
	container string     // holds the root; empty until the first power-on
	made      creation   // what the container was made with
	volume    volume     // /var/lib/docker
	parents   []volume   // volumes that hold layers which ours only link to

	// Guarded by Kind.mu: how many disks link into our volume, and whether we are
	// to vanish with the last of them.
	children int
	deleted  bool
	forkedOf *disk
}

// volume is a Docker volume and where its files are on the host.
type volume struct{ name, path string }

// newDisk prepares an empty disk without registering it.
func (k *Kind) newDisk(ctx context.Context, image string) (*disk, error) {
	k.mu.Lock()
	k.made++
	number := strconv.Itoa(k.made)
	k.mu.Unlock()
	d := &disk{dir: filepath.Join(k.dir, number), image: image}
	for _, dir := range []string{d.rpcDir(), d.runDir()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	var made struct{ Name, Mountpoint string }
	err := k.client.Call(ctx, "POST", "/volumes/create", nil, map[string]any{
		"Name": "bonneville-lab-" + k.mark + "-" + number, "Labels": map[string]string{label: k.mark},
	}, &made)
	d.volume = volume{made.Name, made.Mountpoint}
	return d, err
}

func (d *disk) rpcDir() string { return filepath.Join(d.dir, "rpc") }
func (d *disk) runDir() string { return filepath.Join(d.dir, "run") }

// ImportDisk takes an uploaded disk. Only one that begins as the lab's own do can boot.
func (k *Kind) ImportDisk(ctx context.Context, diskID, file string) error {
	boots, err := ova.Boots(file)
	if err != nil {
		return err
	}
	if !boots {
		return k.AddDisk(diskID, &disk{blank: true})
	}
	d, err := k.newDisk(ctx, k.image)
	if err == nil {
		err = k.AddDisk(diskID, d)
	}
	return err
}

// CopyDisk copies in full: the copy shares nothing with the source that can change.
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
	if k.poweredBy(source) != nil {
		return fmt.Errorf("disk %s is in use", from)
	}
	target, err := k.newDisk(ctx, source.image)
	if err != nil {
		return err
	}
	if source.container != "" {
		target.image, err = k.commit(ctx, source.container, target)
	} else {
		k.use(target, source.images...)
	}
	if err == nil {
		err = copyAll(ctx, source.volume.path, target.volume.path, source.parents)
	}
	if err == nil {
		err = k.AddDisk(to, target)
	}
	if err != nil {
		return errors.Join(err, k.discard(context.WithoutCancel(ctx), target))
	}
	return nil
}

// commit makes an image of a root as it stands, paused or stopped, which goes with the owner.
func (k *Kind) commit(ctx context.Context, container string, owner *disk) (string, error) {
	var made struct{ ID string }
	query := url.Values{"container": {container}, "pause": {"0"}}
	if err := k.client.Call(ctx, "POST", "/commit", query, nil, &made); err != nil {
		return "", err
	}
	k.use(owner, made.ID)
	return made.ID, nil
}

// use keeps images for as long as the disk is there.
func (k *Kind) use(d *disk, images ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, image := range images {
		d.images = append(d.images, image)
		k.users[image]++
	}
}

// unused gives up the disk's images, and lists those that nobody uses any more.
func (k *Kind) unused(d *disk) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var free []string
	for _, image := range d.images {
		if k.users[image]--; k.users[image] == 0 {
			delete(k.users, image)
			free = append(free, image)
		}
	}
	d.images = nil
	return free
}

// DeleteDisk forgets a disk at once. What clones still link to goes with the last of them.
func (k *Kind) DeleteDisk(ctx context.Context, diskID string) error {
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
	k.mu.Lock()
	d.deleted = true
	wanted := d.children > 0
	k.mu.Unlock()
	if d.blank || wanted {
		return nil
	}
	return k.discard(ctx, d)
}

// discard removes all that is the disk's, and its parent if that waited for it.
func (k *Kind) discard(ctx context.Context, d *disk) error {
	var errs []error
	if d.container != "" {
		errs = append(errs, remove(ctx, k.client, "/containers/"+d.container, url.Values{"force": {"1"}}))
		k.leases.Release(d.made.mac)
	}
	errs = append(errs, remove(ctx, k.client, "/volumes/"+d.volume.name, nil))
	for _, image := range k.unused(d) {
		// One that others are made from stays until the lab ends: it is a few files.
		// Unasked, the engine would take the parent's snapshot along.
		_ = remove(ctx, k.client, "/images/"+image, url.Values{"noprune": {"1"}})
	}
	errs = append(errs, os.RemoveAll(d.dir))
	if parent := d.forkedOf; parent != nil {
		k.mu.Lock()
		parent.children--
		last := parent.children == 0 && parent.deleted
		k.mu.Unlock()
		if last {
			errs = append(errs, k.discard(ctx, parent))
		}
	}
	return errors.Join(errs...)
}

// poweredBy gives the machine that runs from the disk.
func (k *Kind) poweredBy(d *disk) *machine {
	return k.Which(func(m *machine) bool { return m.disk == d })
}

// lineage is what a fork of d has to see of other volumes.
func (d *disk) lineage() []volume {
	return append(slices.Clone(d.parents), d.volume)
}

// hostPath finds where a link into a parent's volume leads on the host.
func hostPath(link string, parents []volume) (string, bool) {
	rest, ok := strings.CutPrefix(link, parentsDir+"/")
	if !ok {
		return "", false
	}
	name, inside, _ := strings.Cut(rest, "/")
	for _, v := range parents {
		if v.name == name {
			return filepath.Join(v.path, inside), true
		}
	}
	return "", false
}
