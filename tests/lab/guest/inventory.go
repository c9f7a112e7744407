package guest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Inventory is what a Kind knows by name: disks by their datastore paths, machines
// that are on by their ids, and the further disks that each machine has, on or off.
// D and M are a Kind's own, pointers both.
type Inventory[D, M comparable] struct {
	mu       sync.Mutex
	disks    map[string]D
	machines map[string]M
	further  map[string]map[string]Disk // by machine and uuid; they outlive a power-off
}

// NewInventory is an empty one.
func NewInventory[D, M comparable]() *Inventory[D, M] {
	return &Inventory[D, M]{
		disks: map[string]D{}, machines: map[string]M{}, further: map[string]map[string]Disk{},
	}
}

// Disk finds a disk.
func (v *Inventory[D, M]) Disk(id string) (D, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	d, ok := v.disks[id]
	if !ok {
		return d, fmt.Errorf("no disk %s", id)
	}
	return d, nil
}

// AddDisk gives a disk its name.
func (v *Inventory[D, M]) AddDisk(id string, d D) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, taken := v.disks[id]; taken {
		return fmt.Errorf("disk %s exists", id)
	}
	v.disks[id] = d
	return nil
}

// RenameDisk follows a datastore move: nothing but its name here knows where a disk is.
func (v *Inventory[D, M]) RenameDisk(_ context.Context, from, to string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	d, ok := v.disks[from]
	if !ok {
		return fmt.Errorf("no disk %s", from)
	}
	if _, taken := v.disks[to]; taken {
		return fmt.Errorf("disk %s exists", to)
	}
	delete(v.disks, from)
	v.disks[to] = d
	return nil
}

// DropDisk forgets a disk's name.
func (v *Inventory[D, M]) DropDisk(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.disks, id)
}

// Machine finds a machine that is on.
func (v *Inventory[D, M]) Machine(id string) (M, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	m, ok := v.machines[id]
	if !ok {
		return m, fmt.Errorf("%s is not powered on", id)
	}
	return m, nil
}

// Running lists the machines that are on, frozen ones too.
func (v *Inventory[D, M]) Running() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Collect(maps.Keys(v.machines))
}

// Which gives the machine of those that are on for which it is so, or none.
func (v *Inventory[D, M]) Which(is func(M) bool) (none M) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, m := range v.machines {
		if is(m) {
			return m
		}
	}
	return none
}

// On notes that a machine is on, and gives the further disks that it has.
func (v *Inventory[D, M]) On(spec Machine, m M) (map[string]Disk, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, on := v.machines[spec.ID]; on {
		return nil, fmt.Errorf("%s is powered on", spec.Name)
	}
	v.machines[spec.ID] = m
	return maps.Clone(v.further[spec.ID]), nil
}

// Off notes that a machine is off, unless another of its id is on by now.
func (v *Inventory[D, M]) Off(id string, m M) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.machines[id] == m {
		delete(v.machines, id)
	}
}

// Further lists a machine's further disks by their uuids.
func (v *Inventory[D, M]) Further(id string) map[string]Disk {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.further[id])
}

// Attach gives a machine a further disk: plug is called with the machine if it is on.
// Where that fails the machine does not have the disk.
func (v *Inventory[D, M]) Attach(id string, d Disk, plug func(M) error) error {
	v.mu.Lock()
	if _, have := v.further[id][d.UUID]; have {
		v.mu.Unlock()
		return fmt.Errorf("disk %s is attached already", d.UUID)
	}
	if v.further[id] == nil {
		v.further[id] = map[string]Disk{}
	}
	v.further[id][d.UUID] = d
	m, on := v.machines[id]
	v.mu.Unlock()
	if !on {
		return nil
	}
	err := plug(m)
	if err != nil {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.further[id], d.UUID)
	}
	return err
}

// Detach takes a further disk away: unplug is called with the machine if it is on.
func (v *Inventory[D, M]) Detach(id, uuid string, unplug func(M) error) error {
	v.mu.Lock()
	if _, have := v.further[id][uuid]; !have {
		v.mu.Unlock()
		return fmt.Errorf("no disk %s is attached to %s", uuid, id)
	}
	delete(v.further[id], uuid)
	m, on := v.machines[id]
	v.mu.Unlock()
	if !on {
		return nil
	}
	return unplug(m)
}
