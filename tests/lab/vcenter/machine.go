package vcenter

import (
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// machine is what a hypervisor knows of a VM and the API does not say.
type machine struct {
	v   *VCenter
	ref types.ManagedObjectReference

	// power is held for a change of the power state, and shared by clones that
	// need their source as it stands. An object's lock is held only for a moment,
	// so that reads and the guest's own calls pass meanwhile.
	power sync.RWMutex

	mu        sync.Mutex
	running   bool   // there is a machine of the Kind
	run       int    // counts power-ons; a guest of an earlier one is not listened to
	contact   bool   // the guest has spoken since it runs
	frozen    bool   // mirrors runtime.instantCloneFrozen
	reboot    bool   // power on again when the guest has ended
	importing bool   // an import's lease is open
	swap      int64  // bytes of its swap file
	parent    string // moid of the VM that it was instant-cloned from
	// hidden holds, for every key that the guest has set, the configured value
	// behind it: nil where there is none. It returns at power-off.
	hidden map[string]*string
	// changed is closed, and replaced, when the host changes the configuration.
	changed chan struct{}
}

// machines is the table of machines, of the disks that hold something to boot, and
// of the files that are open.
type machines struct {
	mu         sync.Mutex
	byID       map[string]*machine
	children   map[string]map[string]bool // parent's moid to its clones' that exist
	boot       map[string]bool            // datastore paths of disks that the Kind knows
	open       map[string]string          // datastore path of an open file to the moid of who has it
	violations []string
}

func (t *machines) init() {
	t.byID = map[string]*machine{}
	t.children = map[string]map[string]bool{}
	t.boot = map[string]bool{}
	t.open = map[string]string{}
}

// machine is the machine of a VM, made when it is first asked for.
func (v *VCenter) machine(ref types.ManagedObjectReference) *machine {
	t := &v.machines
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.byID[ref.Value]
	if m == nil {
		m = &machine{v: v, ref: ref, hidden: map[string]*string{}, changed: make(chan struct{})}
		t.byID[ref.Value] = m
	}
	return m
}

// known is the machine of a VM, nil where nobody has asked for one.
func (t *machines) known(moid string) *machine {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byID[moid]
}

func (t *machines) setBoot(disk string, boots bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if boots {
		t.boot[disk] = true
	} else {
		delete(t.boot, disk)
	}
}

func (t *machines) boots(disk string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.boot[disk]
}

// openFile locks a file for a VM and names who else has it, if anyone.
func (t *machines) openFile(file, moid string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if who := t.open[file]; who != "" && who != moid {
		return who
	}
	t.open[file] = moid
	return ""
}

func (t *machines) closeFile(file, moid string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[file] == moid {
		delete(t.open, file)
	}
}

func (t *machines) closeFiles(moid string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for file, who := range t.open {
		if who == moid {
			delete(t.open, file)
		}
	}
}

func (t *machines) addChild(parent, child string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.children[parent] == nil {
		t.children[parent] = map[string]bool{}
	}
	t.children[parent][child] = true
}

func (t *machines) childrenOf(parent string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []string
	for child := range t.children[parent] {
		out = append(out, child)
	}
	return out
}

// violate notes something that vSphere lets happen and that nobody should do.
func (t *machines) violate(what string) {
	t.mu.Lock()
	t.violations = append(t.violations, what)
	t.mu.Unlock()
}

// remove drops a machine that is no more.
func (t *machines) remove(moid string) *machine {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.byID[moid]
	delete(t.byID, moid)
	if m != nil && m.parent != "" {
		delete(t.children[m.parent], moid)
	}
	return m
}

// forget ends what is left of a VM that has gone from the inventory by whatever way.
func (v *VCenter) forget(ref types.ManagedObjectReference) {
	m := v.machines.remove(ref.Value)
	v.machines.closeFiles(ref.Value)
	if m != nil {
		m.stop()
	}
}

// vm is the simulator's object, nil when it is gone.
func (m *machine) vm() *simulator.VirtualMachine {
	vm, _ := m.v.registry().Get(m.ref).(*simulator.VirtualMachine)
	return vm
}

// update changes the VM under its lock. The change list may be made there.
func (m *machine) update(ctx *simulator.Context, changes func(vm *simulator.VirtualMachine) []types.PropertyChange) {
	vm := m.vm()
	if vm == nil {
		return
	}
	ctx.WithLock(vm, func() {
		if c := changes(vm); len(c) > 0 {
			ctx.Update(vm, c)
		}
	})
}

// view reads the VM under its lock.
func (m *machine) view(ctx *simulator.Context, read func(vm *simulator.VirtualMachine)) bool {
	vm := m.vm()
	if vm == nil {
		return false
	}
	ctx.WithLock(vm, func() { read(vm) })
	return true
}

// signal tells a guest that listens that the host has changed something.
func (m *machine) signal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.changed)
	m.changed = make(chan struct{})
}
