package vcenter

import (
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// First Class Disks: disks with a name and a life of their own. The simulator's have
// no content, and attaching one changes no VM.

const fcdDirectory = "fcd"

// fcds holds the disks of all datastores.
type fcds struct {
	mu  sync.Mutex
	all []*types.VStorageObject
}

// find gives a copy of a disk, of any datastore if none is named.
func (f *fcds) find(datastore, id string) *types.VStorageObject {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.all {
		at := one.Config.Backing.GetBaseConfigInfoBackingInfo().Datastore.Value
		if one.Config.Id.Id == id && (datastore == "" || at == datastore) {
			found := copied(*one)
			return &found
		}
	}
	return nil
}

// at finds a disk by its file.
func (f *fcds) at(file string) *types.VStorageObject {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.all {
		if fcdFile(one) == file {
			found := copied(*one)
			return &found
		}
	}
	return nil
}

func (f *fcds) add(one types.VStorageObject) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, &one)
}

func (f *fcds) remove(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = slices.DeleteFunc(f.all, func(one *types.VStorageObject) bool { return one.Config.Id.Id == id })
}

func (f *fcds) of(datastore string) []types.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []types.ID
	for _, one := range f.all {
		if one.Config.Backing.GetBaseConfigInfoBackingInfo().Datastore.Value == datastore {
			ids = append(ids, one.Config.Id)
		}
	}
	return ids
}

// names lists all disks by their names, which need not differ.
func (f *fcds) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := []string{}
	for _, one := range f.all {
		names = append(names, one.Config.Name)
	}
	return sorted(names)
}

func fcdFile(one *types.VStorageObject) string {
	return one.Config.Backing.(types.BaseBaseConfigInfoFileBackingInfo).GetBaseConfigInfoFileBackingInfo().FilePath
}

func fcdID(disk *types.VirtualDisk) string {
	if disk.VDiskId == nil {
		return ""
	}
	return disk.VDiskId.Id
}

// holder is the VM that has a disk attached, running or not; nil for none.
func (v *VCenter) holder(ctx *simulator.Context, id string) (holder *simulator.VirtualMachine) {
	for _, e := range v.registry().All("VirtualMachine") {
		vm, ok := e.(*simulator.VirtualMachine)
		if !ok {
			continue
		}
		ctx.WithLock(vm, func() {
			if vm.Config != nil && fcdDevice(vm, id) != nil {
				holder = vm
			}
		})
	}
	return holder
}

func fcdDevice(vm *simulator.VirtualMachine, id string) *types.VirtualDisk {
	for _, d := range vm.Config.Hardware.Device {
		if disk, ok := d.(*types.VirtualDisk); ok && fcdID(disk) == id {
			return disk
		}
	}
	return nil
}

// createFCD makes an empty disk.
func (v *VCenter) createFCD(spec *types.VslmCreateSpec) (*types.VStorageObject, types.BaseMethodFault) {
	backing := spec.BackingSpec.GetVslmCreateSpecBackingSpec()
	ds, ok := v.registry().Get(backing.Datastore).(*simulator.Datastore)
	if !ok {
		return nil, &types.InvalidDatastore{Datastore: &backing.Datastore}
	}
	if spec.Name == "" || spec.CapacityInMB < 1 {
		return nil, &types.InvalidArgument{InvalidProperty: "spec"}
	}
	id := uuid.NewString()
	file := object.DatastorePath{Datastore: ds.Name, Path: backing.Path}
	if file.Path == "" {
		file.Path = path.Join(fcdDirectory, id+".vmdk")
		home, fault := v.hostFile(object.DatastorePath{Datastore: ds.Name, Path: fcdDirectory})
		if fault != nil {
			return nil, fault
		}
		if err := os.MkdirAll(home, 0o755); err != nil {
			return nil, fileFault(err, file.String())
		}
	}
	if fault := v.writeDisk(file.String(), spec.CapacityInMB<<20); fault != nil {
		return nil, fault
	}
	// A disk's own uuid is not the object's id.
	host, _ := v.hostPath(file.String())
	if err := appendLine(host, "ddb.uuid = \""+descriptorUUID()+"\""); err != nil {
		return nil, fileFault(err, file.String())
	}
	keep := spec.KeepAfterDeleteVm != nil && *spec.KeepAfterDeleteVm
	one := types.VStorageObject{Config: types.VStorageObjectConfigInfo{
		BaseConfigInfo: types.BaseConfigInfo{
			Id: types.ID{Id: id}, Name: spec.Name, CreateTime: time.Now(), KeepAfterDeleteVm: &keep,
			RelocationDisabled: types.NewBool(false), NativeSnapshotSupported: types.NewBool(false),
			ChangedBlockTrackingEnabled: types.NewBool(false),
			Backing: &types.BaseConfigInfoDiskFileBackingInfo{
				BaseConfigInfoFileBackingInfo: types.BaseConfigInfoFileBackingInfo{
					BaseConfigInfoBackingInfo: types.BaseConfigInfoBackingInfo{Datastore: ds.Self},
					FilePath:                  file.String(),
				},
				ProvisioningType: string(types.BaseConfigInfoDiskFileBackingInfoProvisioningTypeThin),
			},
		},
		CapacityInMB: spec.CapacityInMB, ConsumptionType: []string{"disk"},
	}}
	v.volumes.add(one)
	return &one, nil
}

func appendLine(file, line string) error {
	out, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = fmt.Fprintln(out, line)
	return err
}

// descriptorUUID makes a disk's uuid as a descriptor writes it.
func descriptorUUID() string {
	raw := uuid.New()
	copy(raw[:3], []byte{0x60, 0x00, 0xc2}) // VMware's
	var pairs []string
	for i := range raw {
		pairs = append(pairs, hex.EncodeToString(raw[i:i+1]))
	}
	return strings.Join(pairs[:8], " ") + "-" + strings.Join(pairs[8:], " ")
}

// attachFCD gives a VM a disk that no other VM has.
func (m *machine) attachFCD(ctx *simulator.Context, req *types.AttachDisk_Task) types.BaseMethodFault {
	one := m.v.volumes.find(req.Datastore.Value, req.DiskId.Id)
	if one == nil {
		return said(&types.NotFound{}, "The object %s was not found on the datastore", req.DiskId.Id)
	}
	if other := m.v.holder(ctx, req.DiskId.Id); other != nil {
		return said(&types.ResourceInUse{Type: "VirtualDisk", Name: one.Config.Name},
			"The resource '%s' is in use: it is attached to %s.", one.Config.Name, other.Name)
	}
	disk := &types.VirtualDisk{
		VirtualDevice: types.VirtualDevice{Key: -1, Backing: &types.VirtualDiskFlatVer2BackingInfo{
			VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: fcdFile(one), Datastore: &req.Datastore},
			DiskMode:                     string(types.VirtualDiskModePersistent), ThinProvisioned: types.NewBool(true),
		}},
		VDiskId: &types.ID{Id: req.DiskId.Id},
	}
	var fault types.BaseMethodFault = &types.InvalidArgument{InvalidProperty: "controllerKey"}
	m.view(ctx, func(vm *simulator.VirtualMachine) {
		devices := object.VirtualDeviceList(vm.Config.Hardware.Device)
		controller, err := devices.FindDiskController("")
		if err == nil {
			devices.AssignController(disk, controller)
			fault = nil
		}
	})
	if fault != nil {
		return fault
	}
	return m.reconfigure(ctx, &types.VirtualMachineConfigSpec{DeviceChange: []types.BaseVirtualDeviceConfigSpec{
		&types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: disk},
	}})
}

// detachFCD takes a disk from a VM and leaves it as it is.
func (m *machine) detachFCD(ctx *simulator.Context, id string) types.BaseMethodFault {
	var disk *types.VirtualDisk
	m.view(ctx, func(vm *simulator.VirtualMachine) { disk = fcdDevice(vm, id) })
	if disk == nil {
		return said(&types.NotFound{}, "The disk %s is not attached to this virtual machine", id)
	}
	return m.reconfigure(ctx, &types.VirtualMachineConfigSpec{DeviceChange: []types.BaseVirtualDeviceConfigSpec{
		&types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationRemove, Device: disk},
	}})
}

// AttachDiskTask attaches a First Class Disk.
func (m *vmMethods) AttachDiskTask(ctx *simulator.Context, req *types.AttachDisk_Task) soap.HasFault {
	v := m.enter(ctx)
	task := m.start(v, "AttachDisk_Task", "", simple(func(ctx *simulator.Context) types.BaseMethodFault {
		return v.machine(m.Self).attachFCD(ctx, req)
	}))
	return &methods.AttachDisk_TaskBody{Res: &types.AttachDisk_TaskResponse{Returnval: task}}
}

// DetachDiskTask detaches a First Class Disk.
func (m *vmMethods) DetachDiskTask(ctx *simulator.Context, req *types.DetachDisk_Task) soap.HasFault {
	v := m.enter(ctx)
	task := m.start(v, "DetachDisk_Task", "", simple(func(ctx *simulator.Context) types.BaseMethodFault {
		return v.machine(m.Self).detachFCD(ctx, req.DiskId.Id)
	}))
	return &methods.DetachDisk_TaskBody{Res: &types.DetachDisk_TaskResponse{Returnval: task}}
}

// fcdMethods stands in for the manager of First Class Disks.
type fcdMethods struct{ override }

// CreateDiskTask makes a disk.
func (m *fcdMethods) CreateDiskTask(ctx *simulator.Context, req *types.CreateDisk_Task) soap.HasFault {
	v := m.enter(ctx)
	spec := taskSpec{method: "CreateDisk_Task", entity: m.Self, newName: req.Spec.Name}
	task := v.run(spec, func(*simulator.Context, func(int32)) (types.AnyType, types.BaseMethodFault) {
		one, fault := v.createFCD(&req.Spec)
		if fault != nil {
			return nil, fault
		}
		return *one, nil
	})
	return &methods.CreateDisk_TaskBody{Res: &types.CreateDisk_TaskResponse{Returnval: task}}
}

// DeleteVStorageObjectTask removes a disk that no VM has.
func (m *fcdMethods) DeleteVStorageObjectTask(ctx *simulator.Context, req *types.DeleteVStorageObject_Task) soap.HasFault {
	v := m.enter(ctx)
	spec := taskSpec{method: "DeleteVStorageObject_Task", entity: m.Self}
	task := v.run(spec, simple(func(ctx *simulator.Context) types.BaseMethodFault {
		one := v.volumes.find(req.Datastore.Value, req.Id.Id)
		if one == nil {
			return said(&types.NotFound{}, "The object %s was not found on the datastore", req.Id.Id)
		}
		if holder := v.holder(ctx, req.Id.Id); holder != nil {
			return said(&types.InvalidState{}, "%s is attached to %s", one.Config.Name, holder.Name)
		}
		v.removeDisk(fcdFile(one))
		v.volumes.remove(req.Id.Id)
		return nil
	}))
	return &methods.DeleteVStorageObject_TaskBody{Res: &types.DeleteVStorageObject_TaskResponse{Returnval: task}}
}

// ListVStorageObject lists a datastore's disks.
func (m *fcdMethods) ListVStorageObject(ctx *simulator.Context, req *types.ListVStorageObject) soap.HasFault {
	v := m.enter(ctx)
	return &methods.ListVStorageObjectBody{Res: &types.ListVStorageObjectResponse{Returnval: v.volumes.of(req.Datastore.Value)}}
}

// RetrieveVStorageObject tells of a disk, and who has it.
func (m *fcdMethods) RetrieveVStorageObject(ctx *simulator.Context, req *types.RetrieveVStorageObject) soap.HasFault {
	v := m.enter(ctx)
	one := v.volumes.find(req.Datastore.Value, req.Id.Id)
	if one == nil {
		return faulted{simulator.Fault("The object was not found on the datastore", &types.NotFound{})}
	}
	if holder := v.holder(v.background(), req.Id.Id); holder != nil {
		one.Config.ConsumerId = []types.ID{{Id: holder.Config.InstanceUuid}}
	}
	return &methods.RetrieveVStorageObjectBody{Res: &types.RetrieveVStorageObjectResponse{Returnval: *one}}
}
