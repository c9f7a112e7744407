package vcenter

import (
	"crypto/rand"
	"fmt"
	"path"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// The simulator clones by making a VM anew from some of the source's settings. Here
// a clone begins as a copy of all of them, and what has to differ is changed.

// copySpec says what a copy of a VM shall be.
type copySpec struct {
	name     string
	folder   *simulator.Folder
	pool     types.ManagedObjectReference
	host     types.ManagedObjectReference
	store    string // name of the datastore of its files
	biosUUID string
	extra    []types.BaseOptionValue
	linked   bool // disks are deltas of the source's, not copies
}

// copyVM makes an unregistered, powered-off copy of a source that is locked. Its
// files are made, but for the content of disks.
func (v *VCenter) copyVM(source *simulator.VirtualMachine, spec copySpec) (*simulator.VirtualMachine, types.BaseMethodFault) {
	dir, fault := v.makeDirectory(spec.store, spec.name)
	if fault != nil {
		return nil, fault
	}
	vmx, fault := v.writeVM(dir, spec.name)
	if fault != nil {
		v.removeDirectory(dir)
		return nil, fault
	}
	vm := &simulator.VirtualMachine{}
	vm.Self = types.ManagedObjectReference{Type: "VirtualMachine", Value: fmt.Sprintf("vm-%d", v.ids.Add(1))}
	vm.Name = spec.name
	vm.Capability = source.Capability
	vm.EnvironmentBrowser = source.EnvironmentBrowser
	vm.ResourcePool = &spec.pool
	vm.ResourceConfig = copied(source.ResourceConfig)
	vm.Config = copied(source.Config)
	vm.Config.Name, vm.Config.ExtraConfig = spec.name, spec.extra
	vm.Config.Template = false
	vm.Config.Uuid, vm.Config.InstanceUuid = spec.biosUUID, uuid.NewString()
	vm.Config.CreateDate, vm.Config.Modified = types.NewTime(time.Now()), time.Now()
	vm.Config.ChangeVersion = time.Now().UTC().Format(time.RFC3339Nano)
	vm.Config.Files = types.VirtualMachineFileInfo{VmPathName: vmx, SnapshotDirectory: dir.String(),
		SuspendDirectory: dir.String(), LogDirectory: dir.String()}
	vm.Layout, vm.LayoutEx = &types.VirtualMachineFileLayout{}, &types.VirtualMachineFileLayoutEx{Timestamp: time.Now()}
	vm.Storage = &types.VirtualMachineStorageInfo{Timestamp: time.Now()}
	vm.Datastore = append(vm.Datastore, v.datastoreByName(spec.store).Self)

	vm.Runtime = types.VirtualMachineRuntimeInfo{Host: &spec.host, PowerState: types.VirtualMachinePowerStatePoweredOff,
		ConnectionState: types.VirtualMachineConnectionStateConnected}
	vm.Summary = copied(source.Summary)
	vm.Summary.Vm = &vm.Self
	vm.Summary.Runtime = vm.Runtime
	vm.Summary.Config.Name, vm.Summary.Config.VmPathName = spec.name, vmx
	vm.Summary.Config.Uuid, vm.Summary.Config.InstanceUuid = vm.Config.Uuid, vm.Config.InstanceUuid
	vm.Summary.Config.Template = false
	vm.Summary.Guest = &types.VirtualMachineGuestSummary{GuestId: vm.Config.GuestId,
		ToolsStatus: types.VirtualMachineToolsStatusToolsNotRunning}
	vm.Guest = &types.GuestInfo{GuestFamily: "linuxGuest", ToolsVersion: "2147483647",
		ToolsStatus:        types.VirtualMachineToolsStatusToolsNotRunning,
		ToolsRunningStatus: string(types.VirtualMachineToolsRunningStatusGuestToolsNotRunning),
		GuestState:         string(types.VirtualMachineGuestStateNotRunning)}
	mendRuntime(vm)

	if fault = v.copyDevices(vm, dir, spec); fault != nil {
		v.removeDirectory(dir)
		return nil, fault
	}
	v.deriveNetworks(vm)
	return vm, nil
}

// copyDevices gives the copy's cards new addresses and its disks new files.
func (v *VCenter) copyDevices(vm *simulator.VirtualMachine, dir object.DatastorePath, spec copySpec) types.BaseMethodFault {
	disks := 0
	for _, device := range vm.Config.Hardware.Device {
		switch d := device.(type) {
		case types.BaseVirtualEthernetCard:
			card := d.GetVirtualEthernetCard()
			card.MacAddress, card.AddressType = newMAC(), string(types.VirtualEthernetCardMacTypeAssigned)
			card.ExternalId = uuid.NewString()
		case *types.VirtualDisk:
			backing, ok := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
			if !ok {
				return said(&types.NotSupported{}, "The lab copies flat disks only.")
			}
			file := object.DatastorePath{Datastore: dir.Datastore, Path: path.Join(dir.Path, numbered(spec.name, disks))}
			disks++
			next := copied(backing)
			next.FileName, next.Uuid, next.Parent = file.String(), uuid.NewString(), nil
			next.Datastore = &vm.Datastore[0]
			if spec.linked {
				next.Parent = backing
			}
			d.Backing = next
			if fault := v.writeDisk(file.String(), d.CapacityInBytes); fault != nil {
				return fault
			}
		}
	}
	return nil
}

func numbered(name string, disk int) string {
	if disk == 0 {
		return name + ".vmdk"
	}
	return fmt.Sprintf("%s_%d.vmdk", name, disk)
}

// newMAC is an address of the range that vCenter assigns from. Random, for a
// counter would give the same addresses in every lab.
func newMAC() string {
	b := make([]byte, 3)
	_, _ = rand.Read(b)
	return fmt.Sprintf("00:50:56:%02x:%02x:%02x", 0x80|b[0]&0x3f, b[1], b[2])
}

// deriveNetworks sets what follows from the VM's ethernet cards.
func (v *VCenter) deriveNetworks(vm *simulator.VirtualMachine) {
	vm.Network, vm.Guest.Net = nil, nil
	cards := int32(0)
	for _, device := range vm.Config.Hardware.Device {
		d, ok := device.(types.BaseVirtualEthernetCard)
		if !ok {
			continue
		}
		card := d.GetVirtualEthernetCard()
		cards++
		ref, name, ok := v.networkOf(card.Backing)
		if ok {
			vm.Network = append(vm.Network, ref)
		}
		connected := card.Connectable == nil || card.Connectable.StartConnected
		vm.Guest.Net = append(vm.Guest.Net, types.GuestNicInfo{Network: name, MacAddress: card.MacAddress,
			Connected: connected, DeviceConfigId: card.Key})
	}
	vm.Summary.Config.NumEthernetCards = cards
}

// register puts a VM into the inventory, where its name must be free.
func (v *VCenter) register(ctx *simulator.Context, vm *simulator.VirtualMachine, folder *simulator.Folder) (fault types.BaseMethodFault) {
	ctx.WithLock(folder, func() {
		if other := v.childNamed(folder, vm.Name); other != nil {
			fault = &types.DuplicateName{Name: vm.Name, Object: *other}
			return
		}
		parent := folder.Self
		vm.Parent = &parent
		folder.ChildEntity = append(folder.ChildEntity, vm.Self)
		ctx.WithLock(vm, func() { ctx.Map.Put(vm) })
	})
	if fault != nil {
		return fault
	}
	host := ctx.Map.Get(*vm.Runtime.Host).(*simulator.HostSystem)
	ctx.Map.AppendReference(ctx, host, &host.Vm, vm.Self)
	if pool, ok := ctx.Map.Get(*vm.ResourcePool).(*simulator.ResourcePool); ok {
		ctx.Map.AppendReference(ctx, pool, &pool.Vm, vm.Self)
	}
	for _, ref := range vm.Datastore {
		ds := ctx.Map.Get(ref).(*simulator.Datastore)
		ctx.Map.AppendReference(ctx, ds, &ds.Vm, vm.Self)
	}
	return nil
}

// childNamed finds a folder's child by name. The folder is locked.
func (v *VCenter) childNamed(folder *simulator.Folder, name string) *types.ManagedObjectReference {
	for _, ref := range folder.ChildEntity {
		if v.nameOf(ref) == name {
			return &ref
		}
	}
	return nil
}

// nameFree is nil where a folder has no child of the name. No VM is locked by the
// caller: the simulator locks a folder before its VMs.
func (v *VCenter) nameFree(ctx *simulator.Context, folder *simulator.Folder, name string) types.BaseMethodFault {
	var taken *types.ManagedObjectReference
	ctx.WithLock(folder, func() { taken = v.childNamed(folder, name) })
	if taken == nil {
		return nil
	}
	return &types.DuplicateName{Name: name, Object: *taken}
}
