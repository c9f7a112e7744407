package vcenter

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// relocate moves the VM to a host, and to a pool where one is named. The simulator's own
// leaves the hosts' lists of their VMs as they were.
func (m *machine) relocate(ctx *simulator.Context, spec *types.VirtualMachineRelocateSpec) types.BaseMethodFault {
	if spec.Datastore != nil || spec.Folder != nil || len(spec.DeviceChange) > 0 {
		return &types.NotSupported{}
	}
	m.mu.Lock()
	frozen := m.frozen
	m.mu.Unlock()
	if frozen {
		return said(&types.InvalidState{}, "The operation is not allowed in the current state: the virtual machine is frozen for instant clone.")
	}
	var from types.ManagedObjectReference
	if !m.view(ctx, func(vm *simulator.VirtualMachine) { from = *vm.Runtime.Host }) {
		return &types.ManagedObjectNotFound{Obj: m.ref}
	}
	var changes []types.PropertyChange
	if spec.Pool != nil {
		changes = append(changes, types.PropertyChange{Name: "resourcePool", Val: spec.Pool})
	}
	if to := spec.Host; to != nil && *to != from {
		host, ok := ctx.Map.Get(*to).(*simulator.HostSystem)
		if !ok {
			return &types.ManagedObjectNotFound{Obj: *to}
		}
		if host.Runtime.InMaintenanceMode {
			return said(&types.InvalidState{}, "The operation is not allowed in the current state of the host.")
		}
		before := ctx.Map.Get(from).(*simulator.HostSystem)
		ctx.Map.RemoveReference(ctx, before, &before.Vm, m.ref)
		ctx.Map.AddReference(ctx, host, &host.Vm, m.ref)
		changes = append(changes,
			types.PropertyChange{Name: "runtime.host", Val: to},
			types.PropertyChange{Name: "summary.runtime.host", Val: to})
	}
	m.update(ctx, func(*simulator.VirtualMachine) []types.PropertyChange { return changes })
	return nil
}
