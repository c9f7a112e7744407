package vcenter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// Limits of guest RPC: one message, and all of a VM's guestinfo.
const (
	maxMessage   = 64 << 10
	maxGuestInfo = 1 << 20
)

// rpc answers a guest as the hypervisor does. It is made at each power-on and
// listens only as long as that power-on lasts.
type rpc struct {
	m   *machine
	run int
}

var errGone = errors.New("the virtual machine is not running")

// alive notes that the guest has spoken. A frozen guest cannot speak, and one of an
// earlier power-on must not.
func (r *rpc) alive() bool {
	r.m.mu.Lock()
	ok := r.m.running && r.m.run == r.run && !r.m.frozen
	first := ok && !r.m.contact
	if first {
		r.m.contact = true
	}
	r.m.mu.Unlock()
	if first {
		r.m.toolsRunning(r.m.v.background())
	}
	return ok
}

// InfoGet reads a guestinfo key, configured or set by the guest itself.
func (r *rpc) InfoGet(key string) (string, bool) {
	if !strings.HasPrefix(key, "guestinfo.") || !r.alive() {
		return "", false
	}
	return r.read(key)
}

// ExtraConfig reads any key of the VM's configuration. A real guest cannot: it is
// for scripted guests, which know of what is sealed only what the marks say.
func (r *rpc) ExtraConfig(key string) (string, bool) { return r.read(key) }

// Changed is closed when the host next changes the VM's configuration.
func (r *rpc) Changed() <-chan struct{} {
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	return r.m.changed
}

func (r *rpc) read(key string) (value string, ok bool) {
	r.m.view(r.m.v.background(), func(vm *simulator.VirtualMachine) { value, ok = getExtra(vm, key) })
	return value, ok
}

// InfoSet sets a value that lasts until power-off.
func (r *rpc) InfoSet(key, value string) error {
	switch {
	case !r.alive():
		return errGone
	case !strings.HasPrefix(key, "guestinfo."):
		return errors.New("Unknown command")
	case strings.Contains(key, "/"):
		return errors.New("Permission denied") // such keys are the host's
	case len(key)+len(value) > maxMessage:
		return fmt.Errorf("Message too long: %d bytes", len(key)+len(value))
	}
	var err error
	r.m.update(r.m.v.background(), func(vm *simulator.VirtualMachine) []types.PropertyChange {
		if off, _ := getExtra(vm, "isolation.tools.setinfo.disable"); strings.EqualFold(off, "true") {
			err = errors.New("Permission denied")
			return nil
		}
		if total := guestInfoSize(vm) + len(key) + len(value); total > maxGuestInfo {
			err = fmt.Errorf("guestinfo would take %d bytes", total)
			return nil
		}
		r.m.mu.Lock()
		if _, own := r.m.hidden[key]; !own {
			if configured, ok := getExtra(vm, key); ok {
				r.m.hidden[key] = &configured
			} else {
				r.m.hidden[key] = nil
			}
		}
		r.m.mu.Unlock()
		if value == "" {
			return setExtra(vm, []setting{{key, nil}})
		}
		return setExtra(vm, []setting{{key, &value}})
	})
	return err
}

func guestInfoSize(vm *simulator.VirtualMachine) int {
	total := 0
	for _, o := range vm.Config.ExtraConfig {
		if k, v := option(o); strings.HasPrefix(k, "guestinfo.") {
			total += len(k) + len(v)
		}
	}
	return total
}

// Freeze halts the guest where it stands.
func (r *rpc) Freeze() error {
	if !r.alive() {
		return errGone
	}
	// A power operation may be waiting for this very guest: give way to it.
	for deadline := time.Now().Add(5 * time.Second); !r.m.power.TryLock(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("another operation is in progress")
		}
	}
	defer r.m.power.Unlock()
	if !r.alive() {
		return errGone
	}
	if err := r.m.v.opts.Kind.Freeze(context.Background(), r.m.ref.Value); err != nil {
		return err
	}
	r.m.mu.Lock()
	r.m.frozen = true
	r.m.contact = false
	r.m.mu.Unlock()
	r.m.update(r.m.v.background(), func(vm *simulator.VirtualMachine) []types.PropertyChange {
		return append(frozenChanges(true), toolsChanges(false)...)
	})
	return nil
}

// Address reports the guest's addresses as Tools would.
func (r *rpc) Address(ips []string) {
	if !r.alive() {
		return
	}
	r.m.update(r.m.v.background(), func(vm *simulator.VirtualMachine) []types.PropertyChange {
		return addressChanges(vm, ips)
	})
}

// Exited is the guest's end by itself. It returns at once: the Kind may hold locks.
func (r *rpc) Exited(bool) {
	go r.m.exited(r.run)
}

func frozenChanges(frozen bool) []types.PropertyChange {
	return []types.PropertyChange{
		{Name: "runtime.instantCloneFrozen", Val: frozen},
		{Name: "summary.runtime.instantCloneFrozen", Val: frozen},
	}
}

// toolsRunning shows that the guest's Tools answer.
func (m *machine) toolsRunning(ctx *simulator.Context) {
	m.update(ctx, func(*simulator.VirtualMachine) []types.PropertyChange { return toolsChanges(true) })
}

func toolsChanges(running bool) []types.PropertyChange {
	status, run, state := types.VirtualMachineToolsStatusToolsNotRunning,
		types.VirtualMachineToolsRunningStatusGuestToolsNotRunning, types.VirtualMachineGuestStateNotRunning
	if running {
		status, run, state = types.VirtualMachineToolsStatusToolsOk,
			types.VirtualMachineToolsRunningStatusGuestToolsRunning, types.VirtualMachineGuestStateRunning
	}
	version := string(types.VirtualMachineToolsVersionStatusGuestToolsUnmanaged)
	return []types.PropertyChange{
		{Name: "guest.toolsStatus", Val: status},
		{Name: "guest.toolsRunningStatus", Val: string(run)},
		{Name: "guest.toolsVersionStatus2", Val: version},
		{Name: "guest.guestState", Val: string(state)},
		{Name: "guest.guestOperationsReady", Val: running},
		{Name: "summary.guest.toolsStatus", Val: status},
		{Name: "summary.guest.toolsRunningStatus", Val: string(run)},
		{Name: "summary.guest.toolsVersionStatus2", Val: version},
	}
}

// addressChanges shows addresses, or with none that there are none.
func addressChanges(vm *simulator.VirtualMachine, ips []string) []types.PropertyChange {
	first := ""
	if len(ips) > 0 {
		first = ips[0]
	}
	net := copied(vm.Guest.Net)
	if len(net) > 0 {
		net[0].IpAddress = ips
		net[0].IpConfig = nil
		if len(ips) > 0 {
			net[0].IpConfig = &types.NetIpConfigInfo{}
			for _, ip := range ips {
				net[0].IpConfig.IpAddress = append(net[0].IpConfig.IpAddress,
					types.NetIpConfigInfoIpAddress{IpAddress: ip, PrefixLength: 24, State: "preferred"})
			}
		}
	}
	return []types.PropertyChange{
		{Name: "guest.ipAddress", Val: first},
		{Name: "summary.guest.ipAddress", Val: first},
		{Name: "guest.net", Val: net},
	}
}
