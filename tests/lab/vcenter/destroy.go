package vcenter

import (
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// destroy removes a VM with its files and every disk that is attached to it, but for
// First Class Disks that are to be kept. That
// others' disks stand on its disks does not keep vSphere from it: it is noted, so
// that a test can show that it never happens.
func (v *VCenter) destroy(ctx *simulator.Context, ref types.ManagedObjectReference) types.BaseMethodFault {
	m := v.machine(ref)
	m.power.Lock()
	defer m.power.Unlock()
	vm := m.vm()
	if vm == nil {
		v.machines.remove(ref.Value)
		return &types.ManagedObjectNotFound{Obj: ref}
	}
	var fault types.BaseMethodFault
	var disks, attached []string
	dir := vmDirectory(vm)
	ctx.WithLock(vm, func() {
		if state := vm.Runtime.PowerState; state != types.VirtualMachinePowerStatePoweredOff {
			fault = &types.InvalidPowerState{ExistingState: state, RequestedState: types.VirtualMachinePowerStatePoweredOff}
			return
		}
		disks, attached = diskFiles(vm), dataDisks(vm)
		dir = vmDirectory(vm)
	})
	if fault != nil {
		return fault
	}
	for _, file := range disks {
		if who := v.machines.openFile(file, ref.Value); who != "" {
			v.machines.closeFiles(ref.Value)
			return said(&types.FileLocked{FileFault: types.FileFault{File: file}},
				"Unable to access file %s since it is locked by %s", file, who)
		}
	}
	for _, child := range v.machines.childrenOf(ref.Value) {
		if v.registry().Get(types.ManagedObjectReference{Type: "VirtualMachine", Value: child}) != nil {
			v.machines.violate(fmt.Sprintf("parent %s destroyed while its disks are in use by %s", ref.Value, child))
		}
	}
	if fault = v.unregister(ctx, vm); fault != nil {
		return fault
	}
	if len(disks) > 0 && v.machines.boots(disks[0]) {
		for _, uuid := range attached {
			_ = v.opts.Kind.DetachDisk(background, ref.Value, uuid)
		}
	}
	for _, file := range disks {
		if one := v.volumes.at(file); one != nil {
			if *one.Config.KeepAfterDeleteVm {
				continue
			}
			v.volumes.remove(one.Config.Id.Id)
		}
		v.removeDisk(file)
	}
	v.removeDirectory(dir)
	return nil
}

// unregister takes a VM out of the inventory and leaves its files.
func (v *VCenter) unregister(ctx *simulator.Context, vm *simulator.VirtualMachine) (fault types.BaseMethodFault) {
	ctx.WithLock(vm, func() {
		res := vm.UnregisterVM(ctx, &types.UnregisterVM{This: vm.Self}).(*methods.UnregisterVMBody)
		if res.Fault_ != nil {
			fault = res.Fault_.VimFault().(types.BaseMethodFault)
		}
	})
	if fault == nil {
		v.machines.remove(vm.Self.Value)
		v.machines.closeFiles(vm.Self.Value)
	}
	return fault
}
