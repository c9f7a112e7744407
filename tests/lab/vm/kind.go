// Package vm runs the lab's VMs as what they are: QEMU machines with a kernel of
// their own. An instant clone is the parent's memory, mapped copy-on-write, its
// devices' state, and an overlay on its disk, that goes on where the parent stood.
//
// A disk is a stack of files, each holding what differs from the one below it; all
// begin with the guest root. A frozen machine is no longer a process: its memory is
// kept in a file without a name, its devices' state in one with a name.
package vm

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"bonneville.vsphere/lab/guest"
	"bonneville.vsphere/lab/mark"
	"bonneville.vsphere/lab/vmroot"
)

// Options says what machines boot, and where they keep their files.
type Options struct {
	Root  vmroot.Root
	Dir   string
	Cache string // remembers whether KVM works
	// FrozenFor makes a machine that freezes look as if it had stood still for so long
	// when its clones go on: its clock is put back by it.
	FrozenFor time.Duration
	Progress  io.Writer
}

// Kind is guest.Kind for QEMU's machines.
type Kind struct {
	*guest.Inventory[*disk, *machine]

	o           Options
	mark        string
	accelerator string // kvm or tcg
	network     *network
	root        *layer

	mu   sync.Mutex
	made int
}

var _ guest.Kind = (*Kind)(nil)

// New finds out how machines run here, and makes the lab's bridge with its DHCP server.
func New(ctx context.Context, o Options) (*Kind, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("guests of kind vm need root (a bridge, tap devices and a DHCP server):" +
			" run the lab as root, or with --guests scripted")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	k := &Kind{
		Inventory: guest.NewInventory[*disk, *machine](),
		o:         o, mark: mark.Own(), root: &layer{file: o.Root.Disk, format: "raw", users: 1},
	}
	if k.accelerator, err = accelerator(ctx, o); err != nil {
		return nil, err
	}
	if k.network, err = newNetwork(k.mark, o.Progress); err != nil {
		return nil, err
	}
	return k, nil
}

// Accelerator is kvm where the processor runs guests itself, else tcg.
func (k *Kind) Accelerator() string { return k.accelerator }

// Gateway is the host's address on the lab's bridge.
func (k *Kind) Gateway() netip.Addr { return k.network.gateway }

// Subnet is the lab's bridge's: x.y.z.2 to 127 are free for static addresses, and
// x.y.z.128 to 254 are leased by DHCP.
func (k *Kind) Subnet() netip.Prefix { return k.network.subnet }

// SetDHCP makes DHCP answer, or not, machines whose name matches the glob.
func (k *Kind) SetDHCP(glob string, answering bool) {
	k.network.dhcp.leases.SetAnswering(glob, answering)
}

// machine finds a powered-on machine by its id, or its name.
func (k *Kind) machine(id string) (*machine, error) {
	if m := k.Which(func(m *machine) bool { return m.spec.Name == id }); m != nil {
		return m, nil
	}
	return k.Machine(id)
}

// number gives files and devices names that were not used before.
func (k *Kind) number() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.made++
	return k.made
}

// Close ends every machine and removes all that the Kind made.
func (k *Kind) Close() error {
	var errs []error
	for _, id := range k.Running() {
		errs = append(errs, k.PowerOff(context.Background(), id))
	}
	errs = append(errs, k.network.close(), os.RemoveAll(k.o.Dir))
	return errors.Join(errs...)
}
