package vcenter

import (
	"io"
	"os"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"bonneville.vsphere/lab/guest"
)

// reconfigure refuses what vSphere would, has the simulator change the
// configuration, and carries over to the guest what concerns it.
func (m *machine) reconfigure(ctx *simulator.Context, spec *types.VirtualMachineConfigSpec) types.BaseMethodFault {
	vm := m.vm()
	if vm == nil {
		return &types.ManagedObjectNotFound{Obj: m.ref}
	}
	var fault types.BaseMethodFault
	var on bool
	ctx.WithLock(vm, func() {
		on = vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
		fault = m.mayReconfigure(vm, spec, on)
	})
	if fault != nil {
		return fault
	}
	attach, detach, fault := m.planDisks(ctx, spec)
	if fault != nil {
		return fault
	}
	for _, uuid := range detach {
		if m.guest(ctx) {
			if err := m.v.opts.Kind.DetachDisk(background, m.ref.Value, uuid); err != nil {
				return &types.SystemError{Reason: "the guest did not give up its disk: " + err.Error()}
			}
		}
	}
	task := m.v.hub.wait(ctx, taskOf(vm.ReconfigVMTask(m.v.background(), &types.ReconfigVM_Task{This: m.ref, Spec: *spec})))
	if task.Info.Error != nil {
		return task.Info.Error.Fault
	}
	m.forgetHidden(spec.ExtraConfig)
	if fault = m.finishDisks(ctx, attach, on); fault != nil {
		return fault
	}
	m.refresh(ctx)
	m.signal()
	return nil
}

// mayReconfigure is asked with the VM locked.
func (m *machine) mayReconfigure(vm *simulator.VirtualMachine, spec *types.VirtualMachineConfigSpec, on bool) types.BaseMethodFault {
	hw := vm.Config.Hardware
	powered := &types.InvalidPowerState{ExistingState: vm.Runtime.PowerState, RequestedState: types.VirtualMachinePowerStatePoweredOff}
	if on && (spec.NumCPUs != 0 && spec.NumCPUs != hw.NumCPU || spec.MemoryMB != 0 && spec.MemoryMB != int64(hw.MemoryMB) ||
		spec.Uuid != "" && !strings.EqualFold(spec.Uuid, vm.Config.Uuid) || spec.Firmware != "" && spec.Firmware != vm.Config.Firmware) {
		return powered
	}
	for i, change := range spec.DeviceChange {
		c := change.GetVirtualDeviceConfigSpec()
		existing := object.VirtualDeviceList(hw.Device).FindByKey(c.Device.GetVirtualDevice().Key)
		if c.Operation != types.VirtualDeviceConfigSpecOperationAdd && existing == nil {
			return &types.InvalidDeviceSpec{DeviceIndex: int32(i)}
		}
		if !on {
			continue
		}
		switch c.Device.(type) {
		case *types.VirtualCdrom, *types.VirtualFloppy, *types.VirtualSerialPort:
			if c.Operation != types.VirtualDeviceConfigSpecOperationEdit {
				return powered // these cannot be plugged into, or pulled out of, a running machine
			}
		}
	}
	return nil
}

// planDisks looks at the disks that come and go, and locks the files of the former
// for a VM that is on.
func (m *machine) planDisks(ctx *simulator.Context, spec *types.VirtualMachineConfigSpec) (attach []*types.VirtualDisk, detach []string, fault types.BaseMethodFault) {
	for _, change := range spec.DeviceChange {
		c := change.GetVirtualDeviceConfigSpec()
		disk, ok := c.Device.(*types.VirtualDisk)
		if !ok {
			continue
		}
		switch c.Operation {
		case types.VirtualDeviceConfigSpecOperationRemove:
			m.view(ctx, func(vm *simulator.VirtualMachine) {
				if own, ok := object.VirtualDeviceList(vm.Config.Hardware.Device).FindByKey(disk.Key).(*types.VirtualDisk); ok {
					detach = append(detach, diskUUID(own))
					m.v.machines.closeFile(diskFile(own), m.ref.Value)
				}
			})
		case types.VirtualDeviceConfigSpecOperationAdd:
			attach = append(attach, disk)
			file := diskFile(disk)
			if c.FileOperation != "" || file == "" {
				continue // its file is made by this very call
			}
			about, bad := m.v.readDescriptor(file)
			if bad == nil {
				// What is asked for does not matter: the disk is as it is.
				disk.CapacityInBytes, disk.CapacityInKB = about.capacity, about.capacity/1024
				if b, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok && about.uuid != "" {
					b.Uuid = about.uuid
				}
				if who := m.v.machines.openFile(file, m.ref.Value); who != "" {
					bad = said(&types.FileLocked{FileFault: types.FileFault{File: file}},
						"Failed to lock the file %s: it is attached to %s", file, who)
				}
			}
			if bad != nil {
				return nil, nil, bad
			}
		}
	}
	return attach, detach, nil
}

// finishDisks gives new disks their size and tells the guest of them, which sees them
// at once or at its next boot.
func (m *machine) finishDisks(ctx *simulator.Context, attach []*types.VirtualDisk, on bool) types.BaseMethodFault {
	for _, disk := range attach {
		file := diskFile(disk)
		flat, fault := m.v.hostPath(flatOf(file))
		if fault != nil {
			return fault
		}
		// The simulator leaves the content empty, whatever the capacity.
		if info, err := os.Stat(flat); err == nil && info.Size() < disk.CapacityInBytes {
			if err = os.Truncate(flat, disk.CapacityInBytes); err != nil {
				return fileFault(err, file)
			}
		}
		if on {
			_ = m.v.machines.openFile(file, m.ref.Value)
		} else {
			m.v.machines.closeFile(file, m.ref.Value)
		}
		if m.guest(ctx) && m.isDataDisk(ctx, file) {
			if err := m.v.opts.Kind.AttachDisk(background, m.ref.Value, guest.Disk{UUID: diskUUID(disk), File: flat}); err != nil {
				return &types.SystemError{Reason: "the guest did not take the disk: " + err.Error()}
			}
		}
	}
	return nil
}

// dataDisks lists the uuids of the disks beside the first.
func dataDisks(vm *simulator.VirtualMachine) []string {
	var uuids []string
	for _, d := range vm.Config.Hardware.Device {
		if disk, ok := d.(*types.VirtualDisk); ok {
			uuids = append(uuids, diskUUID(disk))
		}
	}
	return uuids[min(1, len(uuids)):]
}

// isDataDisk is whether a file is one of the VM's disks beside the first.
func (m *machine) isDataDisk(ctx *simulator.Context, file string) (is bool) {
	m.view(ctx, func(vm *simulator.VirtualMachine) { is = firstDisk(vm) != file })
	return is
}

func diskUUID(disk *types.VirtualDisk) string {
	if b, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
		return b.Uuid
	}
	return ""
}

// forgetHidden lets go of configured values that the host has just replaced.
func (m *machine) forgetHidden(options []types.BaseOptionValue) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range options {
		key, _ := option(o)
		delete(m.hidden, key)
	}
}

// refresh sets what follows from the devices.
func (m *machine) refresh(ctx *simulator.Context) {
	m.update(ctx, func(vm *simulator.VirtualMachine) []types.PropertyChange {
		cards, disks := int32(0), int32(0)
		macs := map[int32]string{}
		for _, device := range vm.Config.Hardware.Device {
			switch d := device.(type) {
			case types.BaseVirtualEthernetCard:
				cards++
				macs[d.GetVirtualEthernetCard().Key] = d.GetVirtualEthernetCard().MacAddress
			case *types.VirtualDisk:
				disks++
			}
		}
		net := copied(vm.Guest.Net)
		for i := range net {
			if mac := macs[net[i].DeviceConfigId]; mac != "" {
				net[i].MacAddress = mac
			}
		}
		return []types.PropertyChange{
			{Name: "summary.config.numEthernetCards", Val: cards},
			{Name: "summary.config.numVirtualDisks", Val: disks},
			{Name: "guest.net", Val: net},
			{Name: "summary.config.annotation", Val: vm.Config.Annotation},
			{Name: "summary.config.name", Val: vm.Config.Name},
		}
	})
}

// copySparse copies a file and leaves its holes out.
func copySparse(from, to string) error {
	in, err := os.Open(from)
	if os.IsNotExist(err) {
		return nil // a disk without content of its own
	}
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	buffer := make([]byte, 1<<20)
	for at := int64(0); at < info.Size(); {
		n, err := in.ReadAt(buffer, at)
		if n > 0 && strings.Trim(string(buffer[:n]), "\x00") != "" {
			if _, err := out.WriteAt(buffer[:n], at); err != nil {
				return err
			}
		}
		if err != nil && err != io.EOF {
			return err
		}
		at += int64(n)
	}
	return out.Truncate(info.Size())
}
