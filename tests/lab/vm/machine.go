package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"bonneville.vsphere/lab/guest"
	"bonneville.vsphere/lab/guestroot/wire"
)

// machine is a VM that is powered on.
type machine struct {
	spec    guest.Machine
	disk    *disk
	dir     string
	memory  *os.File // the guest's; a clone writes into copies of its pages
	private bool

	// state is held for reading by clones being made, for writing by whatever halts,
	// wakes or ends the machine.
	state   sync.RWMutex
	process *process // nil when frozen, or blank
	frozen  bool
	pending string // id of the freeze request, which is answered in each clone

	stopping atomic.Bool
	gone     chan struct{} // closed when a machine that ended by itself has been dealt with
	further  map[int]guest.Disk

	toolsMu sync.Mutex
	asked   int
	waiting map[int]chan wire.Tools
}

// PowerOn boots a machine from its disk.
func (k *Kind) PowerOn(ctx context.Context, spec guest.Machine) error {
	d, err := k.Disk(spec.DiskID)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := k.poweredBy(d); m != nil {
		return fmt.Errorf("disk %s is in use by %s", spec.DiskID, m.spec.Name)
	}
	m, err := k.newMachine(spec, d)
	if err != nil || d.blank {
		return err
	}
	if err = k.writable(ctx, d); err == nil {
		m.memory, err = memoryOf(spec)
	}
	if err == nil {
		err = k.run(ctx, m, func(*process) error { return nil })
	}
	if err != nil {
		return errors.Join(err, k.forget(m))
	}
	return nil
}

// newMachine notes a machine as powered on.
func (k *Kind) newMachine(spec guest.Machine, d *disk) (*machine, error) {
	m := &machine{
		spec: spec, disk: d, dir: filepath.Join(k.o.Dir, fmt.Sprintf("%s-%d", filepath.Base(spec.ID), k.number())),
		gone: make(chan struct{}), further: map[int]guest.Disk{}, waiting: map[int]chan wire.Tools{},
	}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return nil, err
	}
	further, err := k.On(spec, m)
	if err != nil {
		return nil, errors.Join(err, os.Remove(m.dir))
	}
	for _, d := range further {
		m.further[m.free()] = d
	}
	d.mac = strings.ToLower(spec.MAC)
	k.network.dhcp.know(d.mac, spec.Name)
	return m, nil
}

// guestMemory is what the kernel calls a guest's memory in its lists.
const guestMemory = "guest-memory"

// memoryOf makes a guest's memory: a file without a name, gone with its last user.
func memoryOf(spec guest.Machine) (*os.File, error) {
	file, err := unix.MemfdCreate(guestMemory, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	memory := os.NewFile(uintptr(file), guestMemory)
	return memory, memory.Truncate(spec.MemoryMB << 20)
}

// run starts QEMU, prepares it, and lets the guest go.
func (k *Kind) run(ctx context.Context, m *machine, prepare func(*process) error) error {
	b := build{
		accelerator: k.accelerator, root: k.o.Root, spec: m.spec, disk: m.disk.top, further: m.further,
		tap: fmt.Sprintf("bvt%s-%d", k.network.tag, k.number()), dir: m.dir, private: m.private, incoming: m.private,
	}
	p, err := start(ctx, b.arguments(), m.memory, m.dir)
	if err != nil {
		return err
	}
	m.process = p
	if err = k.network.plug(b.tap); err == nil {
		err = prepare(p)
	}
	if err != nil {
		p.kill()
		return errors.Join(err, lastWords(m.dir))
	}
	go k.serveRPC(m, p)
	go m.serveTools(p)
	if err = p.qmp.do(ctx, "cont", nil); err != nil {
		p.kill()
		return err
	}
	go k.watch(m, p)
	return nil
}

// watch waits for the machine's end, and tells of one that nobody asked us for.
func (k *Kind) watch(m *machine, p *process) {
	<-p.ended
	if m.stopping.Load() {
		return
	}
	m.state.Lock()
	defer m.state.Unlock()
	if m.stopping.Load() { // frozen, or powered off, meanwhile
		return
	}
	_ = k.forget(m)
	m.spec.RPC.Exited(p.qmp.shutdownReason() == "guest-shutdown")
}

// forget takes a machine that has ended out of the list, with what it had.
func (k *Kind) forget(m *machine) error {
	k.Off(m.spec.ID, m)
	if m.memory != nil && !m.private {
		_ = m.memory.Close() // clones that map it keep it
	}
	return os.RemoveAll(m.dir)
}

// PowerOff ends a machine as pulling the plug does. One that is off already is as good.
func (k *Kind) PowerOff(_ context.Context, id string) error {
	m, err := k.machine(id)
	if err != nil {
		return nil
	}
	m.state.Lock()
	defer m.state.Unlock()
	if m.stopping.Swap(true) && !m.frozen {
		return nil
	}
	if m.process != nil {
		m.process.kill()
	}
	m.frozen = false
	return k.forget(m)
}

// Shutdown presses the power button, which the guest's systemd obeys.
func (k *Kind) Shutdown(ctx context.Context, id string) error {
	m, err := k.machine(id)
	if err != nil {
		return err
	}
	m.state.RLock()
	defer m.state.RUnlock()
	if m.process == nil {
		return fmt.Errorf("nothing in %s answers", m.spec.Name)
	}
	return m.process.qmp.do(ctx, "system_powerdown", nil)
}

// KillProcess kills every process of the guest, and of the containers in it, that is
// called by name: by its program, or one of its arguments' file names.
func (k *Kind) KillProcess(ctx context.Context, id, name string) error {
	code, _, err := k.Run(ctx, id, "pkill", "-KILL", "-f", "(^|[/ ])"+regexp.QuoteMeta(name)+"( |$)")
	if err == nil && code != 0 {
		err = fmt.Errorf("no process %q runs in %s", name, id)
	}
	return err
}

// Console is what the guest's kernel and systemd have printed.
func (k *Kind) Console(id string) string {
	m, err := k.machine(id)
	if err != nil {
		return ""
	}
	raw, _ := os.ReadFile(consoleFile(m.dir))
	return strings.ToValidUTF8(string(raw), "?")
}
