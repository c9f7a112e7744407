package vcenter

import (
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// maxChain is how long a chain of disks may become.
const maxChain = 255

// checkInstantClone is what vSphere refuses of an instant clone, by the source and
// the specification alone. The source is locked.
func (v *VCenter) checkInstantClone(source *simulator.VirtualMachine, spec *types.VirtualMachineInstantCloneSpec) types.BaseMethodFault {
	switch {
	case spec.Name == "":
		return &types.InvalidArgument{InvalidProperty: "spec.name"}
	case source.Config.Template:
		return said(&types.NotSupported{}, "The operation is not supported on a template.")
	case source.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn:
		return &types.InvalidPowerState{ExistingState: source.Runtime.PowerState,
			RequestedState: types.VirtualMachinePowerStatePoweredOn}
	case source.Runtime.ConnectionState != types.VirtualMachineConnectionStateConnected:
		return said(&types.InvalidState{}, "The virtual machine is not connected to its host.")
	}
	for _, check := range []func() types.BaseMethodFault{
		func() types.BaseMethodFault { return checkLocation(&spec.Location) },
		func() types.BaseMethodFault { return v.checkPool(source, spec.Location.Pool) },
		func() types.BaseMethodFault { return v.checkFolder(spec.Location.Folder) },
		func() types.BaseMethodFault { return v.checkDatastore(source, spec.Location.Datastore) },
		func() types.BaseMethodFault { return checkSourceDevices(source) },
		func() types.BaseMethodFault { return v.checkEdits(source, spec.Location.DeviceChange) },
		func() types.BaseMethodFault { return checkChain(source) },
	} {
		if fault := check(); fault != nil {
			return fault
		}
	}
	return nil
}

// checkLocation lets pass folder, datastore, pool and device changes only. No host
// can be named: a clone lands where its source is.
func checkLocation(l *types.VirtualMachineRelocateSpec) types.BaseMethodFault {
	for _, unsupported := range []struct {
		set  bool
		name string
	}{
		{l.Host != nil, "host"},
		{l.Service != nil, "service"},
		{l.DiskMoveType != "", "diskMoveType"},
		{len(l.Disk) > 0, "disk"},
		{l.Transform != "", "transform"},
		{len(l.Profile) > 0, "profile"},
		{l.CryptoSpec != nil, "cryptoSpec"},
	} {
		if unsupported.set {
			return &types.InvalidArgument{InvalidProperty: "spec.location." + unsupported.name}
		}
	}
	return nil
}

// checkPool wants a pool of the compute resource that the source's host belongs to.
func (v *VCenter) checkPool(source *simulator.VirtualMachine, ref *types.ManagedObjectReference) types.BaseMethodFault {
	if ref == nil {
		return nil
	}
	pool, ok := v.registry().Get(*ref).(*simulator.ResourcePool)
	if !ok {
		return &types.ManagedObjectNotFound{Obj: *ref}
	}
	host, ok := v.registry().Get(*source.Runtime.Host).(*simulator.HostSystem)
	if !ok || pool.Owner != *host.Parent {
		return said(&types.InvalidArgument{InvalidProperty: "spec.location.pool"},
			"A specified parameter was not correct: spec.location.pool")
	}
	return nil
}

func (v *VCenter) checkFolder(ref *types.ManagedObjectReference) types.BaseMethodFault {
	if ref == nil {
		return nil
	}
	folder, ok := v.registry().Get(*ref).(*simulator.Folder)
	if !ok {
		return &types.ManagedObjectNotFound{Obj: *ref}
	}
	for _, kind := range folder.ChildType {
		if kind == "VirtualMachine" {
			return nil
		}
	}
	return &types.InvalidArgument{InvalidProperty: "spec.location.folder"}
}

func (v *VCenter) checkDatastore(source *simulator.VirtualMachine, ref *types.ManagedObjectReference) types.BaseMethodFault {
	if ref == nil {
		return nil
	}
	ds, ok := v.registry().Get(*ref).(*simulator.Datastore)
	if !ok {
		return &types.ManagedObjectNotFound{Obj: *ref}
	}
	for _, mount := range ds.Host {
		if mount.Key == *source.Runtime.Host {
			return nil
		}
	}
	return said(&types.InvalidDatastore{Datastore: ref, Name: ds.Name},
		"Datastore '%s' is not accessible from the host of the source.", ds.Name)
}

// checkSourceDevices refuses what cannot be carried over to a clone.
func checkSourceDevices(source *simulator.VirtualMachine) types.BaseMethodFault {
	for _, device := range source.Config.Hardware.Device {
		blocked := false
		switch d := device.(type) {
		case *types.VirtualSerialPort:
			_, file := d.Backing.(*types.VirtualSerialPortFileBackingInfo)
			blocked = !file
		case *types.VirtualParallelPort:
			_, file := d.Backing.(*types.VirtualParallelPortFileBackingInfo)
			blocked = !file
		case *types.VirtualCdrom:
			_, iso := d.Backing.(*types.VirtualCdromIsoBackingInfo)
			blocked = d.Connectable != nil && d.Connectable.Connected && !iso
		}
		if blocked {
			key := device.GetVirtualDevice().Key
			name := object.VirtualDeviceList(source.Config.Hardware.Device).Name(device)
			return said(&types.DisallowedMigrationDeviceAttached{Fault: types.LocalizedMethodFault{
				Fault: &types.MigrationFault{}, LocalizedMessage: name}},
				"Device '%s' (%d) prevents the operation.", name, key)
		}
	}
	return nil
}

// checkEdits lets pass edits of ethernet cards and of file-backed serial and
// parallel ports that the source has, and networks that its host has.
func (v *VCenter) checkEdits(source *simulator.VirtualMachine, changes []types.BaseVirtualDeviceConfigSpec) types.BaseMethodFault {
	for i, change := range changes {
		c := change.GetVirtualDeviceConfigSpec()
		invalid := &types.InvalidDeviceSpec{DeviceIndex: int32(i)}
		if c.Operation != types.VirtualDeviceConfigSpecOperationEdit {
			return said(&types.NotSupported{}, "The only device change that an instant clone supports is edit, not %q.", c.Operation)
		}
		old := object.VirtualDeviceList(source.Config.Hardware.Device).FindByKey(c.Device.GetVirtualDevice().Key)
		if old == nil {
			return invalid
		}
		ok := false
		switch d := c.Device.(type) {
		case types.BaseVirtualEthernetCard:
			_, ok = old.(types.BaseVirtualEthernetCard)
			if fault := v.checkBacking(source, d.GetVirtualEthernetCard().Backing); fault != nil {
				return fault
			}
		case *types.VirtualSerialPort:
			_, was := old.(*types.VirtualSerialPort)
			_, file := d.Backing.(*types.VirtualSerialPortFileBackingInfo)
			ok = was && file
		case *types.VirtualParallelPort:
			_, was := old.(*types.VirtualParallelPort)
			_, file := d.Backing.(*types.VirtualParallelPortFileBackingInfo)
			ok = was && file
		}
		if !ok {
			return said(invalid, "An instant clone supports edits of ethernet cards and file-backed ports only.")
		}
	}
	return nil
}

// checkBacking wants the network of an ethernet card to exist.
func (v *VCenter) checkBacking(source *simulator.VirtualMachine, backing types.BaseVirtualDeviceBackingInfo) types.BaseMethodFault {
	if backing == nil {
		return nil // as it was
	}
	if _, _, ok := v.networkOf(backing); !ok {
		return said(&types.InvalidDeviceBacking{}, "The network of the ethernet card is not available on the host.")
	}
	return nil
}

// networkOf is the network behind an ethernet card, and its name.
func (v *VCenter) networkOf(backing types.BaseVirtualDeviceBackingInfo) (types.ManagedObjectReference, string, bool) {
	switch b := backing.(type) {
	case *types.VirtualEthernetCardNetworkBackingInfo:
		if e := v.registry().FindByName(b.DeviceName, v.datacenter().Network); e != nil {
			return e.Reference(), b.DeviceName, true
		}
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		ref := types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: b.Port.PortgroupKey}
		if pg, ok := v.registry().Get(ref).(*simulator.DistributedVirtualPortgroup); ok {
			return ref, pg.Name, true
		}
	}
	return types.ManagedObjectReference{}, "", false
}

// checkChain refuses what would make a chain of disks too long. Each clone of a
// running source adds a link to the source's own chain; a frozen one's stays as it is.
func checkChain(source *simulator.VirtualMachine) types.BaseMethodFault {
	if chainDepth(source) >= maxChain {
		return &types.SystemError{Reason: "A general system error occurred: Unable to prepare migration"}
	}
	return nil
}

// chainDepth is how many disks the longest chain of the VM has.
func chainDepth(vm *simulator.VirtualMachine) int {
	longest := 0
	for _, d := range vm.Config.Hardware.Device {
		if disk, ok := d.(*types.VirtualDisk); ok {
			depth := 0
			for b, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok && b != nil; b = b.Parent {
				depth++
			}
			longest = max(longest, depth)
		}
	}
	return longest
}

// hostReady is whether the VM's host can run one more VM.
func (v *VCenter) hostReady(ctx *simulator.Context, m *machine) (fault types.BaseMethodFault) {
	var ref *types.ManagedObjectReference
	m.view(ctx, func(vm *simulator.VirtualMachine) { ref = vm.Runtime.Host })
	if ref == nil {
		return &types.ManagedObjectNotFound{Obj: m.ref} // it is being removed
	}
	host, ok := v.registry().Get(*ref).(*simulator.HostSystem)
	if !ok {
		return &types.ManagedObjectNotFound{Obj: *ref}
	}
	ctx.WithLock(host, func() {
		switch {
		case host.Runtime.ConnectionState != types.HostSystemConnectionStateConnected:
			fault = &types.HostNotConnected{}
		case host.Runtime.InMaintenanceMode:
			fault = said(&types.InvalidState{}, "Host %s is in maintenance mode.", host.Name)
		}
	})
	return fault
}
