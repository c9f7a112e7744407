package vcenter

import (
	"context"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// background is for calls to the Kind: what it began it shall end, whoever waits.
var background = context.Background()

// vmMethods stands in for a virtual machine.
type vmMethods struct{ override }

func (m *vmMethods) start(v *VCenter, method, newName string, work job) types.ManagedObjectReference {
	return v.run(taskSpec{method: method, entity: m.Self, newName: newName}, work)
}

// simple is a job without result or progress.
func simple(f func(ctx *simulator.Context) types.BaseMethodFault) job {
	return func(ctx *simulator.Context, _ func(int32)) (types.AnyType, types.BaseMethodFault) { return nil, f(ctx) }
}

// InstantCloneTask forks the VM.
func (m *vmMethods) InstantCloneTask(ctx *simulator.Context, req *types.InstantClone_Task) soap.HasFault {
	v := m.enter(ctx)
	task := m.start(v, "InstantClone_Task", req.Spec.Name, func(ctx *simulator.Context, _ func(int32)) (types.AnyType, types.BaseMethodFault) {
		return v.instantClone(ctx, m.Self, &req.Spec)
	})
	return &methods.InstantClone_TaskBody{Res: &types.InstantClone_TaskResponse{Returnval: task}}
}

// CloneVMTask copies the VM.
func (m *vmMethods) CloneVMTask(ctx *simulator.Context, req *types.CloneVM_Task) soap.HasFault {
	v := m.enter(ctx)
	task := m.start(v, "CloneVM_Task", req.Name, func(ctx *simulator.Context, _ func(int32)) (types.AnyType, types.BaseMethodFault) {
		return v.fullClone(ctx, req)
	})
	return &methods.CloneVM_TaskBody{Res: &types.CloneVM_TaskResponse{Returnval: task}}
}

// PowerOnVMTask boots the VM.
func (m *vmMethods) PowerOnVMTask(ctx *simulator.Context, _ *types.PowerOnVM_Task) soap.HasFault {
	v := m.enter(ctx)
	task := m.start(v, "PowerOnVM_Task", "", simple(v.machine(m.Self).powerOn))
	return &methods.PowerOnVM_TaskBody{Res: &types.PowerOnVM_TaskResponse{Returnval: task}}
}

// PowerOffVMTask pulls the plug.
func (m *vmMethods) PowerOffVMTask(ctx *simulator.Context, _ *types.PowerOffVM_Task) soap.HasFault {
	v := m.enter(ctx)
	task := m.start(v, "PowerOffVM_Task", "", simple(v.machine(m.Self).powerOff))
	return &methods.PowerOffVM_TaskBody{Res: &types.PowerOffVM_TaskResponse{Returnval: task}}
}

// ResetVMTask is the reset button.
func (m *vmMethods) ResetVMTask(ctx *simulator.Context, _ *types.ResetVM_Task) soap.HasFault {
	v := m.enter(ctx)
	task := m.start(v, "ResetVM_Task", "", simple(v.machine(m.Self).reset))
	return &methods.ResetVM_TaskBody{Res: &types.ResetVM_TaskResponse{Returnval: task}}
}

// ReconfigVMTask changes the VM's configuration.
func (m *vmMethods) ReconfigVMTask(ctx *simulator.Context, req *types.ReconfigVM_Task) soap.HasFault {
	v := m.enter(ctx)
	task := m.start(v, "ReconfigVM_Task", "", simple(func(ctx *simulator.Context) types.BaseMethodFault {
		return v.machine(m.Self).reconfigure(ctx, &req.Spec)
	}))
	return &methods.ReconfigVM_TaskBody{Res: &types.ReconfigVM_TaskResponse{Returnval: task}}
}

// RelocateVMTask moves the VM to another host; its files stay where they are.
func (m *vmMethods) RelocateVMTask(ctx *simulator.Context, req *types.RelocateVM_Task) soap.HasFault {
	v := m.enter(ctx)
	task := m.start(v, "RelocateVM_Task", "", simple(func(ctx *simulator.Context) types.BaseMethodFault {
		return v.machine(m.Self).relocate(ctx, &req.Spec)
	}))
	return &methods.RelocateVM_TaskBody{Res: &types.RelocateVM_TaskResponse{Returnval: task}}
}

// DestroyTask removes the VM and its files.
func (m *vmMethods) DestroyTask(ctx *simulator.Context, _ *types.Destroy_Task) soap.HasFault {
	v := m.enter(ctx)
	task := m.start(v, "Destroy_Task", "", simple(func(ctx *simulator.Context) types.BaseMethodFault {
		return v.destroy(ctx, m.Self)
	}))
	return &methods.Destroy_TaskBody{Res: &types.Destroy_TaskResponse{Returnval: task}}
}

// ShutdownGuest asks the guest to end, which it can only if its Tools answer.
func (m *vmMethods) ShutdownGuest(ctx *simulator.Context, _ *types.ShutdownGuest) soap.HasFault {
	v := m.enter(ctx)
	if fault := v.machine(m.Self).shutdown(ctx, false); fault != nil {
		return faulted{simulator.Fault(message(fault), fault)}
	}
	return &methods.ShutdownGuestBody{Res: new(types.ShutdownGuestResponse)}
}

// RebootGuest asks the guest to end and starts it again.
func (m *vmMethods) RebootGuest(ctx *simulator.Context, _ *types.RebootGuest) soap.HasFault {
	v := m.enter(ctx)
	if fault := v.machine(m.Self).shutdown(ctx, true); fault != nil {
		return faulted{simulator.Fault(message(fault), fault)}
	}
	return &methods.RebootGuestBody{Res: new(types.RebootGuestResponse)}
}

func (m *machine) shutdown(ctx *simulator.Context, reboot bool) types.BaseMethodFault {
	var state types.VirtualMachinePowerState
	m.view(ctx, func(vm *simulator.VirtualMachine) { state = vm.Runtime.PowerState })
	if state != types.VirtualMachinePowerStatePoweredOn {
		return &types.InvalidPowerState{ExistingState: state, RequestedState: types.VirtualMachinePowerStatePoweredOn}
	}
	m.mu.Lock()
	tools := m.running && m.contact && !m.frozen
	m.reboot = tools && reboot
	m.mu.Unlock()
	if !tools {
		return said(&types.ToolsUnavailable{}, "Cannot complete operation because VMware Tools is not running in this virtual machine.")
	}
	if err := m.v.opts.Kind.Shutdown(background, m.ref.Value); err != nil {
		return &types.SystemError{Reason: err.Error()}
	}
	return nil
}

// checkerMethods stands in for the provisioning checker.
type checkerMethods struct{ override }

// CheckInstantCloneTask tells what an instant clone would be refused for.
func (m *checkerMethods) CheckInstantCloneTask(ctx *simulator.Context, req *types.CheckInstantClone_Task) soap.HasFault {
	v := m.enter(ctx)
	task := v.run(taskSpec{method: "CheckInstantClone_Task", entity: req.Vm, newName: req.Spec.Name},
		func(ctx *simulator.Context, _ func(int32)) (types.AnyType, types.BaseMethodFault) {
			source := v.machine(req.Vm)
			if source.vm() == nil {
				v.machines.remove(req.Vm.Value)
				return nil, &types.ManagedObjectNotFound{Obj: req.Vm}
			}
			result := types.CheckResult{Vm: &req.Vm}
			note := func(fault types.BaseMethodFault) {
				if fault != nil {
					result.Error = append(result.Error, types.LocalizedMethodFault{Fault: fault, LocalizedMessage: message(fault)})
				}
			}
			folder, fault := v.cloneFolder(req.Spec.Location.Folder)
			note(fault)
			if folder != nil {
				note(v.nameFree(ctx, folder, req.Spec.Name))
			}
			note(v.hostReady(ctx, source))
			source.view(ctx, func(vm *simulator.VirtualMachine) {
				result.Host = vm.Runtime.Host
				note(v.checkInstantClone(vm, &req.Spec))
			})
			return types.ArrayOfCheckResult{CheckResult: []types.CheckResult{result}}, nil
		})
	return &methods.CheckInstantClone_TaskBody{Res: &types.CheckInstantClone_TaskResponse{Returnval: task}}
}
