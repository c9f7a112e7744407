package vcenter

import (
	"strings"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// instantClone forks a running or frozen VM.
func (v *VCenter) instantClone(ctx *simulator.Context, sourceRef types.ManagedObjectReference, spec *types.VirtualMachineInstantCloneSpec) (types.AnyType, types.BaseMethodFault) {
	source := v.machine(sourceRef)
	source.power.RLock() // the source stays on and as it is
	defer source.power.RUnlock()
	if fault := v.hostReady(ctx, source); fault != nil {
		return nil, fault
	}

	folder, fault := v.cloneFolder(spec.Location.Folder)
	if fault != nil {
		return nil, fault
	}
	// The name is looked at again when the VM is registered; this spares the files.
	if fault = v.nameFree(ctx, folder, spec.Name); fault != nil {
		return nil, fault
	}
	var clone *simulator.VirtualMachine
	var boots bool
	var disks []string
	found := source.view(ctx, func(vm *simulator.VirtualMachine) {
		if fault = v.checkInstantClone(vm, spec); fault != nil {
			return
		}
		disks = diskFiles(vm)
		boots = v.machines.boots(firstDisk(vm))
		clone, fault = v.forkVM(ctx, vm, folder, spec)
	})
	switch {
	case !found:
		return nil, &types.ManagedObjectNotFound{Obj: sourceRef}
	case fault != nil:
		return nil, fault
	}

	child := v.machine(clone.Self)
	child.descend(source, clone, spec.Config)
	v.machines.addChild(sourceRef.Value, clone.Self.Value)
	v.machines.setBoot(firstDisk(clone), boots)
	if fault = v.register(ctx, clone, folder); fault != nil {
		v.discard(clone)
		return nil, fault
	}
	if fault = v.forkData(disks, clone); fault != nil {
		v.backOut(ctx, clone)
		return nil, fault
	}
	if fault = v.wake(ctx, sourceRef.Value, child, boots); fault != nil {
		v.backOut(ctx, clone)
		return nil, fault
	}
	return clone.Self, nil
}

// descend notes where a clone comes from. What it inherits of values that its
// source's guest has set lasts no longer than those the clone's own guest sets.
func (m *machine) descend(source *machine, clone *simulator.VirtualMachine, config []types.BaseOptionValue) {
	own := map[string]bool{}
	for _, o := range config {
		key, _ := option(o)
		own[key] = true
	}
	source.mu.Lock()
	runtime := make([]string, 0, len(source.hidden))
	for key := range source.hidden {
		runtime = append(runtime, key)
	}
	source.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parent = source.ref.Value
	for _, key := range runtime {
		if _, inherited := getExtra(clone, key); inherited && !own[key] {
			m.hidden[key] = nil
		}
	}
}

// forkVM makes the clone of a source that is locked, and gives a running source its
// new delta.
func (v *VCenter) forkVM(ctx *simulator.Context, source *simulator.VirtualMachine, folder *simulator.Folder, spec *types.VirtualMachineInstantCloneSpec) (*simulator.VirtualMachine, types.BaseMethodFault) {
	c := copySpec{name: spec.Name, folder: folder, pool: *source.ResourcePool, host: *source.Runtime.Host,
		store: vmDirectory(source).Datastore, biosUUID: strings.ToLower(spec.BiosUuid), linked: true,
		extra: merged(v.inherited(source.Config.ExtraConfig), spec.Config)}
	if spec.Location.Pool != nil {
		c.pool = *spec.Location.Pool
	}
	if spec.Location.Datastore != nil {
		c.store = v.nameOf(*spec.Location.Datastore)
	}
	if c.biosUUID == "" {
		c.biosUUID = uuid.NewString()
	}
	clone, fault := v.copyVM(source, c)
	if fault != nil {
		return nil, fault
	}
	for _, change := range spec.Location.DeviceChange {
		v.applyEdit(clone, change.GetVirtualDeviceConfigSpec().Device)
	}
	v.deriveNetworks(clone)
	if source.Runtime.InstantCloneFrozen == nil || !*source.Runtime.InstantCloneFrozen {
		v.growChain(ctx, source)
	}
	return clone, nil
}

// forkData gives the clone the content of its source's disks beside the first, which
// are plain files here.
func (v *VCenter) forkData(source []string, clone *simulator.VirtualMachine) types.BaseMethodFault {
	files := diskFiles(clone)
	for i := 1; i < len(files); i++ {
		if fault := v.copyDisk(source[i], files[i]); fault != nil {
			return fault
		}
	}
	return v.attachCopies(clone)
}

// cloneFolder is where the clone goes: as said, or the root VM folder.
func (v *VCenter) cloneFolder(ref *types.ManagedObjectReference) (*simulator.Folder, types.BaseMethodFault) {
	if ref == nil {
		root := v.datacenter().VmFolder
		ref = &root
	}
	folder, ok := v.registry().Get(*ref).(*simulator.Folder)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: *ref}
	}
	return folder, nil
}

// applyEdit carries an edit that checkEdits let pass over to the clone's device.
func (v *VCenter) applyEdit(vm *simulator.VirtualMachine, edit types.BaseVirtualDevice) {
	device := object.VirtualDeviceList(vm.Config.Hardware.Device).FindByKey(edit.GetVirtualDevice().Key)
	if device == nil {
		return
	}
	to, from := device.GetVirtualDevice(), copied(edit.GetVirtualDevice())
	if from.Backing != nil {
		to.Backing = from.Backing
		if b, ok := to.Backing.(*types.VirtualEthernetCardNetworkBackingInfo); ok {
			if ref, _, found := v.networkOf(b); found {
				b.Network = &ref
			}
		}
	}
	if from.Connectable != nil {
		to.Connectable = from.Connectable
		if from.Connectable.MigrateConnect == string(types.VirtualDeviceConnectInfoMigrateConnectOpDisconnect) {
			to.Connectable.StartConnected = false
		}
	}
	if card, ok := edit.(types.BaseVirtualEthernetCard); ok {
		if mac := card.GetVirtualEthernetCard().MacAddress; mac != "" {
			own := device.(types.BaseVirtualEthernetCard).GetVirtualEthernetCard()
			own.MacAddress = mac
			own.AddressType = string(types.VirtualEthernetCardMacTypeManual)
		}
	}
}

// growChain puts a new delta on top of each disk of a running source: what it
// wrote so far is shared with the clone from now on. The source is locked.
func (v *VCenter) growChain(ctx *simulator.Context, source *simulator.VirtualMachine) {
	devices := copied(source.Config.Hardware.Device)
	for _, device := range devices {
		if disk, ok := device.(*types.VirtualDisk); ok {
			if backing, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
				top := copied(backing)
				// The delta keeps the disk's name here; vSphere would number it.
				top.Parent, top.Uuid = backing, uuid.NewString()
				disk.Backing = top
			}
		}
	}
	ctx.Update(source, []types.PropertyChange{{Name: "config.hardware.device", Val: devices}})
}

// wake starts the clone's guest where its source stands.
func (v *VCenter) wake(ctx *simulator.Context, parent string, child *machine, boots bool) types.BaseMethodFault {
	child.power.Lock()
	defer child.power.Unlock()
	description, fault := child.start(ctx)
	if fault != nil {
		return fault
	}
	if boots {
		if err := v.opts.Kind.InstantClone(background, parent, description); err != nil {
			child.end(ctx)
			return &types.SystemError{Reason: "the guest did not fork: " + err.Error()}
		}
	}
	child.show(ctx, types.VirtualMachinePowerStatePoweredOn)
	return nil
}

// discard removes the files of a VM that never came into the inventory.
func (v *VCenter) discard(vm *simulator.VirtualMachine) {
	v.machines.setBoot(firstDisk(vm), false)
	v.machines.remove(vm.Self.Value)
	v.removeDirectory(vmDirectory(vm))
}

// backOut undoes a clone that failed after it was registered.
func (v *VCenter) backOut(ctx *simulator.Context, vm *simulator.VirtualMachine) {
	dir := vmDirectory(vm)
	_ = v.unregister(ctx, vm)
	if disk := firstDisk(vm); v.machines.boots(disk) {
		_ = v.opts.Kind.DeleteDisk(background, disk)
		v.machines.setBoot(disk, false)
	}
	v.removeDirectory(dir)
}
