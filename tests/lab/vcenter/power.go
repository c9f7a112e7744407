package vcenter

import (
	"context"
	"path"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"bonneville.vsphere/lab/guest"
)

// powerOn boots the VM.
func (m *machine) powerOn(ctx *simulator.Context) types.BaseMethodFault {
	m.power.Lock()
	defer m.power.Unlock()
	return m.boot(ctx)
}

// boot is powerOn with the power lock held.
func (m *machine) boot(ctx *simulator.Context) types.BaseMethodFault {
	var fault types.BaseMethodFault
	if !m.view(ctx, func(vm *simulator.VirtualMachine) { fault = m.mayPowerOn(vm) }) {
		return &types.ManagedObjectNotFound{Obj: m.ref}
	}
	if fault != nil {
		return fault
	}
	if fault = m.v.hostReady(ctx, m); fault != nil {
		return fault
	}
	description, fault := m.start(ctx)
	if fault != nil {
		return fault
	}
	if m.guest(ctx) {
		if err := m.v.opts.Kind.PowerOn(context.Background(), description); err != nil {
			m.end(ctx)
			return &types.SystemError{Reason: "the guest did not start: " + err.Error()}
		}
	}
	m.show(ctx, types.VirtualMachinePowerStatePoweredOn)
	return nil
}

// mayPowerOn is asked with the VM locked.
func (m *machine) mayPowerOn(vm *simulator.VirtualMachine) types.BaseMethodFault {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case vm.Config.Template:
		return said(&types.NotSupported{}, "The operation is not supported on a template.")
	case m.importing:
		return said(&types.InvalidState{}, "The operation is not allowed in the current state: the virtual machine is being imported.")
	case vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff:
		return &types.InvalidPowerState{ExistingState: vm.Runtime.PowerState,
			RequestedState: types.VirtualMachinePowerStatePoweredOn}
	}
	return nil
}

// guest is whether something runs inside the VM: its first disk can be booted.
func (m *machine) guest(ctx *simulator.Context) (boots bool) {
	m.view(ctx, func(vm *simulator.VirtualMachine) { boots = m.v.machines.boots(firstDisk(vm)) })
	return boots
}

// start opens the VM's files and takes its resources, before its guest runs.
func (m *machine) start(ctx *simulator.Context) (guest.Machine, types.BaseMethodFault) {
	d := guest.Machine{ID: m.ref.Value}
	select {
	case <-m.v.closing:
		return d, said(&types.InvalidState{}, "The lab is ending.")
	default:
	}
	var files, logs []string
	var swap int64
	m.view(ctx, func(vm *simulator.VirtualMachine) {
		d.Name, d.BiosUUID, d.DiskID = vm.Config.Name, vm.Config.Uuid, firstDisk(vm)
		d.CPUs, d.MemoryMB = vm.Config.Hardware.NumCPU, int64(vm.Config.Hardware.MemoryMB)
		for _, device := range vm.Config.Hardware.Device {
			switch x := device.(type) {
			case types.BaseVirtualEthernetCard:
				if d.MAC == "" {
					d.MAC = x.GetVirtualEthernetCard().MacAddress
				}
			case *types.VirtualDisk:
				files = append(files, diskFile(x))
			case *types.VirtualSerialPort:
				if b, ok := x.Backing.(*types.VirtualSerialPortFileBackingInfo); ok {
					logs = append(logs, b.FileName)
				}
			}
		}
		swap = d.MemoryMB * mib
		if a := vm.Config.MemoryAllocation; a != nil && a.Reservation != nil {
			swap -= *a.Reservation * mib
		}
	})
	for _, file := range append(files, logs...) {
		if who := m.v.machines.openFile(file, m.ref.Value); who != "" {
			m.v.machines.closeFiles(m.ref.Value)
			return d, said(&types.FileLocked{FileFault: types.FileFault{File: file}},
				"Unable to access file %s since it is locked by %s", file, who)
		}
	}
	for i, log := range logs {
		host, fault := m.v.touchFile(log)
		if fault != nil {
			m.v.machines.closeFiles(m.ref.Value)
			return d, fault
		}
		if i == 0 {
			d.LogFile = host
		}
	}
	if fault := m.takeSwap(ctx, swap); fault != nil {
		m.v.machines.closeFiles(m.ref.Value)
		return d, fault
	}
	m.mu.Lock()
	m.running, m.frozen, m.contact = true, false, false
	m.run++
	d.RPC = &rpc{m: m, run: m.run}
	m.mu.Unlock()
	return d, nil
}

// takeSwap makes the VM's swap file, or faults where the datastore is too full.
func (m *machine) takeSwap(ctx *simulator.Context, size int64) types.BaseMethodFault {
	ds := m.home(ctx)
	if ds == nil || size <= 0 {
		return nil
	}
	short := false
	m.v.changeFree(ctx, ds, func(free int64) int64 {
		if short = free < size; short {
			return free
		}
		return free - size
	})
	if short {
		return &types.NoDiskSpace{FileFault: types.FileFault{File: m.ref.Value + ".vswp"}, Datastore: ds.Name}
	}
	m.mu.Lock()
	m.swap = size
	m.mu.Unlock()
	return nil
}

// home is the datastore of the VM's own files.
func (m *machine) home(ctx *simulator.Context) *simulator.Datastore {
	var p object.DatastorePath
	m.view(ctx, func(vm *simulator.VirtualMachine) { p.FromString(vm.Config.Files.VmPathName) })
	return m.v.datastoreByName(p.Datastore)
}

// end gives back what start took, after the guest is gone.
func (m *machine) end(ctx *simulator.Context) {
	m.mu.Lock()
	swap := m.swap
	m.swap, m.running, m.frozen, m.contact = 0, false, false, false
	m.mu.Unlock()
	m.v.machines.closeFiles(m.ref.Value)
	if ds := m.home(ctx); ds != nil && swap > 0 {
		m.v.changeFree(ctx, ds, func(free int64) int64 { return free + swap })
	}
}

// show sets what the API says after a change of the power state.
func (m *machine) show(ctx *simulator.Context, state types.VirtualMachinePowerState) {
	on := state == types.VirtualMachinePowerStatePoweredOn
	var host types.ManagedObjectReference
	var memory int64
	m.update(ctx, func(vm *simulator.VirtualMachine) []types.PropertyChange {
		host, memory = *vm.Runtime.Host, m.footprint(int64(vm.Config.Hardware.MemoryMB))
		devices := copied(vm.Config.Hardware.Device)
		for _, d := range devices {
			if c := d.GetVirtualDevice().Connectable; c != nil {
				c.Connected = on && c.StartConnected
			}
		}
		var boot types.AnyType // unset while off
		if on {
			boot = time.Now()
		}
		changes := []types.PropertyChange{
			{Name: "runtime.powerState", Val: state},
			{Name: "summary.runtime.powerState", Val: state},
			{Name: "runtime.bootTime", Val: boot},
			{Name: "summary.runtime.bootTime", Val: boot},
			{Name: "config.hardware.device", Val: devices},
		}
		changes = append(changes, frozenChanges(false)...)
		if !on {
			changes = append(changes, toolsChanges(false)...)
			changes = append(changes, addressChanges(vm, nil)...)
			changes = append(changes, m.restore(vm)...)
		}
		return changes
	})
	if !on {
		memory = -memory
	}
	m.v.useHost(ctx, host, memory)
}

// footprint is what a VM takes of its host's memory: an instant clone shares most
// of it with its source.
func (m *machine) footprint(memoryMB int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.parent != "" {
		return memoryMB / 8
	}
	return memoryMB
}

// restore ends the values that the guest has set. The VM is locked.
func (m *machine) restore(vm *simulator.VirtualMachine) []types.PropertyChange {
	m.mu.Lock()
	hidden := m.hidden
	m.hidden = map[string]*string{}
	m.mu.Unlock()
	var settings []setting
	for key, configured := range hidden {
		settings = append(settings, setting{key, configured})
	}
	return setExtra(vm, settings)
}

// powerOff pulls the plug.
func (m *machine) powerOff(ctx *simulator.Context) types.BaseMethodFault {
	m.power.Lock()
	defer m.power.Unlock()
	return m.halt(ctx)
}

// halt is powerOff with the power lock held.
func (m *machine) halt(ctx *simulator.Context) types.BaseMethodFault {
	var state types.VirtualMachinePowerState
	if !m.view(ctx, func(vm *simulator.VirtualMachine) { state = vm.Runtime.PowerState }) {
		return &types.ManagedObjectNotFound{Obj: m.ref}
	}
	if state == types.VirtualMachinePowerStatePoweredOff {
		return &types.InvalidPowerState{ExistingState: state, RequestedState: state}
	}
	if err := m.kill(ctx); err != nil {
		return &types.SystemError{Reason: "the guest did not end: " + err.Error()}
	}
	m.end(ctx)
	m.show(ctx, types.VirtualMachinePowerStatePoweredOff)
	return nil
}

// kill ends the guest, if there is one.
func (m *machine) kill(ctx *simulator.Context) error {
	m.mu.Lock()
	running := m.running
	m.run++ // what the guest says from now on is not heard
	m.mu.Unlock()
	if !running || !m.guest(ctx) {
		return nil
	}
	return m.v.opts.Kind.PowerOff(context.Background(), m.ref.Value)
}

// stop ends the guest of a VM that is no longer in the inventory.
func (m *machine) stop() {
	m.power.Lock()
	defer m.power.Unlock()
	m.mu.Lock()
	running := m.running
	m.running = false
	m.mu.Unlock()
	if running && m.v.opts.Kind != nil {
		_ = m.v.opts.Kind.PowerOff(context.Background(), m.ref.Value)
	}
}

// exited follows a guest that ended by itself.
func (m *machine) exited(run int) {
	m.power.Lock()
	defer m.power.Unlock()
	m.mu.Lock()
	mine := m.running && m.run == run
	reboot := m.reboot
	m.reboot = false
	m.mu.Unlock()
	if !mine {
		return
	}
	ctx := m.v.background()
	_ = m.halt(ctx)
	if reboot {
		_ = m.boot(ctx)
	}
}

// reset is the reset button: the guest starts anew, and a frozen one thaws by it.
// The monitor goes on, and with it what the guest has set.
func (m *machine) reset(ctx *simulator.Context) types.BaseMethodFault {
	m.power.Lock()
	defer m.power.Unlock()
	var state types.VirtualMachinePowerState
	m.view(ctx, func(vm *simulator.VirtualMachine) { state = vm.Runtime.PowerState })
	if state != types.VirtualMachinePowerStatePoweredOn {
		return &types.InvalidPowerState{ExistingState: state, RequestedState: types.VirtualMachinePowerStatePoweredOn}
	}
	m.mu.Lock()
	hidden := m.hidden
	m.mu.Unlock()
	values := map[string]string{}
	m.view(ctx, func(vm *simulator.VirtualMachine) {
		for key := range hidden {
			values[key], _ = getExtra(vm, key)
		}
	})
	if fault := m.halt(ctx); fault != nil {
		return fault
	}
	m.update(ctx, func(vm *simulator.VirtualMachine) []types.PropertyChange {
		var settings []setting
		for key, value := range values {
			settings = append(settings, setting{key, &value})
		}
		return setExtra(vm, settings)
	})
	m.mu.Lock()
	m.hidden = hidden
	m.mu.Unlock()
	return m.boot(ctx)
}

// firstDisk is the datastore path of the VM's first disk, by its key: the simulator
// moves a device that is edited to the end of the list.
func firstDisk(vm *simulator.VirtualMachine) string {
	var first *types.VirtualDisk
	for _, d := range vm.Config.Hardware.Device {
		if disk, ok := d.(*types.VirtualDisk); ok && (first == nil || disk.Key < first.Key) {
			first = disk
		}
	}
	if first == nil {
		return ""
	}
	return diskFile(first)
}

func diskFile(disk *types.VirtualDisk) string {
	if b, ok := disk.Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
		return b.GetVirtualDeviceFileBackingInfo().FileName
	}
	return ""
}

// vmDirectory is the datastore path of the directory of the VM's own files.
func vmDirectory(vm *simulator.VirtualMachine) object.DatastorePath {
	var p object.DatastorePath
	p.FromString(vm.Config.Files.VmPathName)
	p.Path = path.Dir(p.Path)
	return p
}
