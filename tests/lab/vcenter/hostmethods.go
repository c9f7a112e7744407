package vcenter

import (
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Between two looks whether a host's VMs are gone.
const evacuationPoll = 50 * time.Millisecond

// hostMethods stands in for a host.
type hostMethods struct{ override }

// EnterMaintenanceModeTask waits until no VM is powered on there, as vCenter does, whose
// DRS may move some meanwhile. Here nobody moves them but who has asked.
func (h *hostMethods) EnterMaintenanceModeTask(ctx *simulator.Context, req *types.EnterMaintenanceMode_Task) soap.HasFault {
	v := h.enter(ctx)
	task := v.run(taskSpec{method: "EnterMaintenanceMode_Task", entity: h.Self}, simple(func(ctx *simulator.Context) types.BaseMethodFault {
		host := ctx.Map.Get(h.Self).(*simulator.HostSystem)
		end := time.Now().Add(time.Duration(req.Timeout) * time.Second)
		for v.poweredOn(ctx, host) {
			if req.Timeout > 0 && time.Now().After(end) {
				return said(&types.Timedout{}, "Operation timed out.")
			}
			time.Sleep(evacuationPoll)
		}
		return v.maintain(ctx, host, true)
	}))
	return &methods.EnterMaintenanceMode_TaskBody{Res: &types.EnterMaintenanceMode_TaskResponse{Returnval: task}}
}

// ExitMaintenanceModeTask puts the host back into service.
func (h *hostMethods) ExitMaintenanceModeTask(ctx *simulator.Context, _ *types.ExitMaintenanceMode_Task) soap.HasFault {
	v := h.enter(ctx)
	task := v.run(taskSpec{method: "ExitMaintenanceMode_Task", entity: h.Self}, simple(func(ctx *simulator.Context) types.BaseMethodFault {
		return v.maintain(ctx, ctx.Map.Get(h.Self).(*simulator.HostSystem), false)
	}))
	return &methods.ExitMaintenanceMode_TaskBody{Res: &types.ExitMaintenanceMode_TaskResponse{Returnval: task}}
}

func (v *VCenter) poweredOn(ctx *simulator.Context, host *simulator.HostSystem) bool {
	var vms []types.ManagedObjectReference
	ctx.WithLock(host, func() { vms = append(vms, host.Vm...) })
	for _, ref := range vms {
		on := false
		v.machine(ref).view(ctx, func(vm *simulator.VirtualMachine) {
			on = vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff
		})
		if on {
			return true
		}
	}
	return false
}

func (v *VCenter) maintain(ctx *simulator.Context, host *simulator.HostSystem, on bool) types.BaseMethodFault {
	ctx.WithLock(host, func() {
		ctx.Update(host, []types.PropertyChange{
			{Name: "runtime.inMaintenanceMode", Val: on},
			{Name: "summary.runtime.inMaintenanceMode", Val: on}})
	})
	return nil
}
