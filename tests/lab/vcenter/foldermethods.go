package vcenter

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// folderMethods stands in for a folder. The simulator's own leaves the VMs of a
// destroyed folder behind, and lets names meet that may not.
type folderMethods struct{ override }

// DestroyTask removes a folder with all that is in it.
func (m *folderMethods) DestroyTask(ctx *simulator.Context, _ *types.Destroy_Task) soap.HasFault {
	v := m.enter(ctx)
	task := v.run(taskSpec{method: "Destroy_Task", entity: m.Self}, simple(func(ctx *simulator.Context) types.BaseMethodFault {
		return v.destroyFolder(ctx, m.Self)
	}))
	return &methods.Destroy_TaskBody{Res: &types.Destroy_TaskResponse{Returnval: task}}
}

func (v *VCenter) destroyFolder(ctx *simulator.Context, ref types.ManagedObjectReference) types.BaseMethodFault {
	folder, ok := v.registry().Get(ref).(*simulator.Folder)
	if !ok {
		return &types.ManagedObjectNotFound{Obj: ref}
	}
	var children []types.ManagedObjectReference
	ctx.WithLock(folder, func() { children = append(children, folder.ChildEntity...) })
	for _, child := range children {
		var fault types.BaseMethodFault
		switch child.Type {
		case "VirtualMachine":
			fault = v.destroy(ctx, child)
		case "Folder":
			fault = v.destroyFolder(ctx, child)
		default:
			fault = &types.NotSupported{}
		}
		if fault != nil {
			return fault
		}
	}
	task := v.hub.wait(ctx, taskOf(folder.DestroyTask(v.background(), &types.Destroy_Task{This: ref})))
	if task.Info.Error != nil {
		return task.Info.Error.Fault
	}
	return nil
}

// MoveIntoFolderTask moves entities, whose names must be free where they go.
func (m *folderMethods) MoveIntoFolderTask(ctx *simulator.Context, req *types.MoveIntoFolder_Task) soap.HasFault {
	v := m.enter(ctx)
	task := v.run(taskSpec{method: "MoveIntoFolder_Task", entity: m.Self}, simple(func(ctx *simulator.Context) types.BaseMethodFault {
		folder, ok := v.registry().Get(m.Self).(*simulator.Folder)
		if !ok {
			return &types.ManagedObjectNotFound{Obj: m.Self}
		}
		for _, ref := range req.List {
			if v.registry().Get(ref) == nil {
				return &types.ManagedObjectNotFound{Obj: ref}
			}
			if fault := v.nameFree(ctx, folder, v.nameOf(ref)); fault != nil {
				return fault
			}
		}
		done := v.hub.wait(ctx, taskOf(folder.MoveIntoFolderTask(v.background(), req)))
		if done.Info.Error != nil {
			return done.Info.Error.Fault
		}
		return nil
	}))
	return &methods.MoveIntoFolder_TaskBody{Res: &types.MoveIntoFolder_TaskResponse{Returnval: task}}
}

// RenameTask renames the VM.
func (m *vmMethods) RenameTask(ctx *simulator.Context, req *types.Rename_Task) soap.HasFault {
	v := m.enter(ctx)
	task := m.start(v, "Rename_Task", req.NewName, simple(func(ctx *simulator.Context) types.BaseMethodFault {
		return v.machine(m.Self).rename(ctx, req.NewName)
	}))
	return &methods.Rename_TaskBody{Res: &types.Rename_TaskResponse{Returnval: task}}
}

// rename gives a VM another name. Its files keep theirs.
func (m *machine) rename(ctx *simulator.Context, name string) types.BaseMethodFault {
	vm := m.vm()
	if vm == nil {
		return &types.ManagedObjectNotFound{Obj: m.ref}
	}
	if folder, ok := m.v.registry().Get(*vm.Parent).(*simulator.Folder); ok {
		if fault := m.v.nameFree(ctx, folder, name); fault != nil {
			return fault
		}
	}
	m.update(ctx, func(*simulator.VirtualMachine) []types.PropertyChange {
		return []types.PropertyChange{{Name: "name", Val: name},
			{Name: "config.name", Val: name}, {Name: "summary.config.name", Val: name}}
	})
	return nil
}
