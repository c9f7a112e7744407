// Package scripted answers the guest protocol itself, without anything that runs:
// for inventories of thousands of VMs, and for guests that misbehave as told.
package scripted

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"bonneville.vsphere/lab/guest"
)

// Kind runs scripted guests.
type Kind struct {
	mu       sync.Mutex
	rules    []Rule
	disks    map[string]*disk
	machines map[string]*machine
	attached map[string]map[string]string // files, by machine and disk; it outlives a power-off
	nextIP   uint32
	serial   int
}

// disk is what lasts of a guest over a power cycle.
type disk struct {
	container bool    // an agent has run a container from it
	primed    []image // that were put in when it was primed
	token     string  // the start order that it followed last
	ended     *status // how the container ended by itself, if it did
}

// host is what the lab's RPC offers beside what a real guest can reach.
type host interface {
	guest.RPC
	// ExtraConfig reads any key: the marks hold the nonce that a real agent reads
	// out of the sealed specification.
	ExtraConfig(key string) (string, bool)
	// Changed is closed when the host next changes the configuration.
	Changed() <-chan struct{}
}

var (
	errNoDisk    = errors.New("there is no such disk")
	errNoMachine = errors.New("there is no such machine")
)

// New makes a Kind without guests.
func New() *Kind {
	return &Kind{disks: map[string]*disk{}, machines: map[string]*machine{}, attached: map[string]map[string]string{}}
}

// ImportDisk takes any disk: its content is not looked at.
func (k *Kind) ImportDisk(_ context.Context, diskID, _ string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.disks[diskID] = &disk{}
	return nil
}

// CopyDisk copies what lasts.
func (k *Kind) CopyDisk(_ context.Context, from, to string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	source := k.disks[from]
	if source == nil {
		return fmt.Errorf("%s: %w", from, errNoDisk)
	}
	c := *source
	k.disks[to] = &c
	return nil
}

// RenameDisk follows a move.
func (k *Kind) RenameDisk(_ context.Context, from, to string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.disks[from] == nil {
		return fmt.Errorf("%s: %w", from, errNoDisk)
	}
	k.disks[to] = k.disks[from]
	delete(k.disks, from)
	return nil
}

// DeleteDisk forgets a disk.
func (k *Kind) DeleteDisk(_ context.Context, diskID string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.disks, diskID)
	return nil
}

// PowerOn boots: as what the disk says, a template or a container's VM.
func (k *Kind) PowerOn(_ context.Context, m guest.Machine) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.disks[m.DiskID]
	if d == nil {
		return fmt.Errorf("%s: %w", m.DiskID, errNoDisk)
	}
	machine, err := k.add(m, d)
	if err != nil {
		return err
	}
	if d.container {
		go machine.runContainer(false)
	} else {
		go machine.runTemplate()
	}
	return nil
}

// InstantClone forks. A clone of a frozen template finds itself behind the freeze; a
// clone of a running one goes on preparing, and is of no use, as in vSphere.
func (k *Kind) InstantClone(_ context.Context, parentID string, child guest.Machine) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	parent := k.machines[parentID]
	if parent == nil {
		return fmt.Errorf("%s: %w", parentID, errNoMachine)
	}
	parent.mu.Lock()
	frozen := parent.frozen
	parent.mu.Unlock()
	copied := *parent.disk
	copied.container = frozen
	k.disks[child.DiskID] = &copied
	machine, err := k.add(child, &copied)
	if err != nil {
		return err
	}
	if frozen {
		go machine.runContainer(true)
	} else {
		go machine.runTemplate()
	}
	return nil
}

// add makes a machine. The Kind is locked.
func (k *Kind) add(m guest.Machine, d *disk) (*machine, error) {
	if k.machines[m.ID] != nil {
		return nil, fmt.Errorf("machine %s is running", m.ID)
	}
	rpc, ok := m.RPC.(host)
	if !ok {
		return nil, errors.New("scripted guests need the lab's own RPC")
	}
	k.nextIP++
	k.serial++
	machine := &machine{Machine: m, kind: k, rpc: rpc, disk: d, boot: fmt.Sprintf("%08x", uint32(k.serial)*2654435761),
		ip:   fmt.Sprintf("198.18.%d.%d", k.nextIP/250%256, k.nextIP%250+2),
		stop: make(chan struct{}), shutdown: make(chan struct{}, 1), exit: make(chan int, 1)}
	k.machines[m.ID] = machine
	return machine, nil
}

func (k *Kind) machine(id string) (*machine, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m := k.machines[id]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("%s: %w", id, errNoMachine)
}

// Freeze halts the machine: it says nothing any more.
func (k *Kind) Freeze(_ context.Context, id string) error {
	m, err := k.machine(id)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.frozen = true
	m.mu.Unlock()
	return nil
}

// Shutdown asks the guest to stop its container and end.
func (k *Kind) Shutdown(_ context.Context, id string) error {
	m, err := k.machine(id)
	if err != nil {
		return err
	}
	select {
	case m.shutdown <- struct{}{}:
	default: // asked before
	}
	return nil
}

// PowerOff ends the machine at once.
func (k *Kind) PowerOff(_ context.Context, id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m := k.machines[id]; m != nil {
		close(m.stop)
		delete(k.machines, id)
	}
	return nil
}

// KillProcess has the container's process end as by SIGKILL, whatever its name.
func (k *Kind) KillProcess(_ context.Context, id, _ string) error { return k.ExitContainer(id, 137) }

// ExitContainer has the container's process end by itself.
func (k *Kind) ExitContainer(id string, code int) error {
	m, err := k.machine(id)
	if err != nil {
		return err
	}
	select {
	case m.exit <- code:
		return nil
	default:
		return fmt.Errorf("machine %s: its container is ending already", id)
	}
}

// AttachDisk notes a disk, refusing one that is there.
func (k *Kind) AttachDisk(_ context.Context, id string, d guest.Disk) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, have := k.attached[id][d.UUID]; have {
		return fmt.Errorf("disk %s is attached", d.UUID)
	}
	if k.attached[id] == nil {
		k.attached[id] = map[string]string{}
	}
	k.attached[id][d.UUID] = d.File
	return nil
}

// DetachDisk forgets a disk, refusing one that is not there.
func (k *Kind) DetachDisk(_ context.Context, id, uuid string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, have := k.attached[id][uuid]; !have {
		return fmt.Errorf("disk %s is not attached", uuid)
	}
	delete(k.attached[id], uuid)
	if len(k.attached[id]) == 0 {
		delete(k.attached, id)
	}
	return nil
}

// fileOf is the file behind a disk that is attached to a machine.
func (k *Kind) fileOf(id, uuid string) (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	file, ok := k.attached[id][uuid]
	return file, ok
}

// Running lists the machines that exist.
func (k *Kind) Running() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	ids := make([]string, 0, len(k.machines))
	for id := range k.machines {
		ids = append(ids, id)
	}
	return ids
}

// Close ends every machine.
func (k *Kind) Close() error {
	for _, id := range k.Running() {
		_ = k.PowerOff(context.Background(), id)
	}
	return nil
}
