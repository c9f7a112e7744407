package vcenter

import (
	"strings"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"bonneville.vsphere/lab/guest"
)

// fullClone makes an independent copy of a VM, disks and all.
func (v *VCenter) fullClone(ctx *simulator.Context, req *types.CloneVM_Task) (types.AnyType, types.BaseMethodFault) {
	source := v.machine(req.This)
	source.power.RLock()
	defer source.power.RUnlock()

	folder, ok := v.registry().Get(req.Folder).(*simulator.Folder)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: req.Folder}
	}
	var clone *simulator.VirtualMachine
	var fault types.BaseMethodFault
	var disks [][2]string
	found := source.view(ctx, func(vm *simulator.VirtualMachine) {
		var spec copySpec
		if spec, fault = v.planClone(vm, req); fault != nil {
			return
		}
		spec.folder = folder
		spec.extra = source.configured(vm)
		if clone, fault = v.copyVM(vm, spec); fault != nil {
			return
		}
		from, to := diskFiles(vm), diskFiles(clone)
		for i := range to {
			disks = append(disks, [2]string{from[i], to[i]})
		}
	})
	switch {
	case !found:
		return nil, &types.ManagedObjectNotFound{Obj: req.This}
	case fault != nil:
		return nil, fault
	}
	for _, d := range disks {
		if fault = v.copyDisk(d[0], d[1]); fault != nil {
			v.discard(clone)
			return nil, fault
		}
	}
	if fault = v.register(ctx, clone, folder); fault != nil {
		for _, d := range disks {
			v.removeDisk(d[1])
		}
		v.discard(clone)
		return nil, fault
	}
	if fault = v.attachCopies(clone); fault == nil {
		fault = v.customise(ctx, clone, req)
	}
	if fault != nil {
		v.backOut(ctx, clone)
		return nil, fault
	}
	return clone.Self, nil
}

// planClone decides where the clone goes. The source is locked.
func (v *VCenter) planClone(source *simulator.VirtualMachine, req *types.CloneVM_Task) (copySpec, types.BaseMethodFault) {
	spec := copySpec{name: req.Name, host: *source.Runtime.Host, store: vmDirectory(source).Datastore, biosUUID: uuid.NewString()}
	if v.machines.boots(firstDisk(source)) && source.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff {
		// vSphere would clone it by a snapshot, which the lab's guests do not have.
		return spec, &types.InvalidPowerState{ExistingState: source.Runtime.PowerState,
			RequestedState: types.VirtualMachinePowerStatePoweredOff}
	}
	location := req.Spec.Location
	switch {
	case req.Name == "":
		return spec, &types.InvalidArgument{InvalidProperty: "name"}
	case location.Pool == nil && (source.Config.Template || source.ResourcePool == nil):
		return spec, &types.InvalidArgument{InvalidProperty: "spec.location.pool"}
	case location.Pool != nil:
		spec.pool = *location.Pool
	default:
		spec.pool = *source.ResourcePool
	}
	pool, ok := v.registry().Get(spec.pool).(*simulator.ResourcePool)
	if !ok {
		return spec, &types.ManagedObjectNotFound{Obj: spec.pool}
	}
	if location.Host != nil {
		spec.host = *location.Host
	}
	host, ok := v.registry().Get(spec.host).(*simulator.HostSystem)
	switch {
	case !ok:
		return spec, &types.ManagedObjectNotFound{Obj: spec.host}
	case pool.Owner != *host.Parent && location.Host != nil:
		return spec, &types.InvalidArgument{InvalidProperty: "spec.location.pool"}
	case pool.Owner != *host.Parent:
		spec.host = v.computeResource(pool.Owner).Host[0] // as DRS would choose one
	case host.Runtime.ConnectionState != types.HostSystemConnectionStateConnected:
		return spec, &types.HostNotConnected{}
	}
	if location.Datastore != nil {
		ds, ok := v.registry().Get(*location.Datastore).(*simulator.Datastore)
		if !ok {
			return spec, &types.ManagedObjectNotFound{Obj: *location.Datastore}
		}
		spec.store = ds.Name
	}
	if c := req.Spec.Config; c != nil && c.Uuid != "" {
		spec.biosUUID = strings.ToLower(c.Uuid)
	}
	return spec, nil
}

// customise applies what the request says of the clone beyond its place.
func (v *VCenter) customise(ctx *simulator.Context, clone *simulator.VirtualMachine, req *types.CloneVM_Task) types.BaseMethodFault {
	spec := types.VirtualMachineConfigSpec{}
	if req.Spec.Config != nil {
		spec = *req.Spec.Config
		spec.Name, spec.Files = "", nil
	}
	spec.DeviceChange = append(append([]types.BaseVirtualDeviceConfigSpec{}, req.Spec.Location.DeviceChange...), spec.DeviceChange...)
	m := v.machine(clone.Self)
	if fault := m.reconfigure(ctx, &spec); fault != nil {
		return fault
	}
	switch {
	case req.Spec.Template:
		m.update(ctx, func(vm *simulator.VirtualMachine) []types.PropertyChange {
			return []types.PropertyChange{{Name: "config.template", Val: true},
				{Name: "summary.config.template", Val: true}, {Name: "resourcePool", Val: nil}}
		})
	case req.Spec.PowerOn:
		return m.powerOn(ctx)
	}
	return nil
}

// attachCopies tells the clone's guest of the disks beside its first.
func (v *VCenter) attachCopies(clone *simulator.VirtualMachine) types.BaseMethodFault {
	files, uuids := diskFiles(clone), dataDisks(clone)
	if len(files) == 0 || !v.machines.boots(files[0]) {
		return nil
	}
	for i, uuid := range uuids {
		flat, fault := v.hostPath(flatOf(files[i+1]))
		if fault != nil {
			return fault
		}
		if err := v.opts.Kind.AttachDisk(background, clone.Self.Value, guest.Disk{UUID: uuid, File: flat}); err != nil {
			return &types.SystemError{Reason: err.Error()}
		}
	}
	return nil
}

// configured is the VM's extraConfig as configured, without what its guest has set.
// The VM is locked.
func (m *machine) configured(vm *simulator.VirtualMachine) []types.BaseOptionValue {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []types.BaseOptionValue
	for _, o := range vm.Config.ExtraConfig {
		key, value := option(o)
		if configured, own := m.hidden[key]; own {
			if configured == nil {
				continue
			}
			value = *configured
		}
		out = append(out, &types.OptionValue{Key: key, Value: value})
	}
	return out
}

// copyDisk copies a disk's content: the Kind's where it is known to it, else the file's.
func (v *VCenter) copyDisk(from, to string) types.BaseMethodFault {
	if v.machines.boots(from) {
		if err := v.opts.Kind.CopyDisk(background, from, to); err != nil {
			return fileFault(err, from)
		}
		v.machines.setBoot(to, true)
		return nil
	}
	source, fault := v.hostPath(flatOf(from))
	if fault != nil {
		return fault
	}
	target, fault := v.hostPath(flatOf(to))
	if fault != nil {
		return fault
	}
	return fileFault(copySparse(source, target), from)
}

func diskFiles(vm *simulator.VirtualMachine) []string {
	var out []string
	for _, d := range vm.Config.Hardware.Device {
		if disk, ok := d.(*types.VirtualDisk); ok {
			out = append(out, diskFile(disk))
		}
	}
	return out
}
