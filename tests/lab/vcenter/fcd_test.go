package vcenter_test

import (
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

func (b *bench) createFCD(name string, keep bool) types.VStorageObject {
	b.Helper()
	res, err := methods.CreateDisk_Task(b.ctx, b.client, &types.CreateDisk_Task{
		This: *b.client.ServiceContent.VStorageObjectManager,
		Spec: types.VslmCreateSpec{Name: name, KeepAfterDeleteVm: &keep, CapacityInMB: 8,
			BackingSpec: &types.VslmCreateSpecDiskFileBackingSpec{
				VslmCreateSpecBackingSpec: types.VslmCreateSpecBackingSpec{Datastore: b.find("/DC0/datastore/LocalDS_0")}}}})
	b.must(err)
	made, err := b.wait(res.Returnval)
	b.must(err)
	return made.(types.VStorageObject)
}

func (b *bench) attachFCD(vm types.ManagedObjectReference, disk types.VStorageObject) error {
	b.Helper()
	res, err := methods.AttachDisk_Task(b.ctx, b.client, &types.AttachDisk_Task{
		This: vm, DiskId: disk.Config.Id, Datastore: disk.Config.Backing.GetBaseConfigInfoBackingInfo().Datastore})
	b.must(err)
	_, err = b.wait(res.Returnval)
	return err
}

func (b *bench) detachFCD(vm types.ManagedObjectReference, disk types.VStorageObject) error {
	b.Helper()
	res, err := methods.DetachDisk_Task(b.ctx, b.client, &types.DetachDisk_Task{This: vm, DiskId: disk.Config.Id})
	b.must(err)
	_, err = b.wait(res.Returnval)
	return err
}

func (b *bench) deleteFCD(disk types.VStorageObject) error {
	b.Helper()
	res, err := methods.DeleteVStorageObject_Task(b.ctx, b.client, &types.DeleteVStorageObject_Task{
		This: *b.client.ServiceContent.VStorageObjectManager, Id: disk.Config.Id,
		Datastore: disk.Config.Backing.GetBaseConfigInfoBackingInfo().Datastore})
	b.must(err)
	_, err = b.wait(res.Returnval)
	return err
}

func (b *bench) consumers(disk types.VStorageObject) []types.ID {
	b.Helper()
	res, err := methods.RetrieveVStorageObject(b.ctx, b.client, &types.RetrieveVStorageObject{
		This: *b.client.ServiceContent.VStorageObjectManager, Id: disk.Config.Id,
		Datastore: disk.Config.Backing.GetBaseConfigInfoBackingInfo().Datastore})
	b.must(err)
	return res.Returnval.Config.ConsumerId
}

func (b *bench) destroyed(vm types.ManagedObjectReference) {
	b.Helper()
	b.must(b.power(vm, false))
	task, err := object.NewVirtualMachine(b.client, vm).Destroy(b.ctx)
	b.must(err)
	b.must(task.Wait(b.ctx))
}

func TestFirstClassDiskHasOneHolderAtATime(t *testing.T) {
	b := newBench(t)
	source := b.template("source", true)
	one, err := b.instantClone(source, named("one"))
	b.must(err)
	two, err := b.instantClone(source, named("two"))
	b.must(err)
	disk := b.createFCD("data", true)
	b.must(b.attachFCD(one, disk))
	devices := object.VirtualDeviceList(b.vm(one).Config.Hardware.Device).SelectByType((*types.VirtualDisk)(nil))
	attached := devices[len(devices)-1].(*types.VirtualDisk)
	backing := attached.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	if attached.VDiskId == nil || *attached.VDiskId != disk.Config.Id || attached.CapacityInBytes != 8<<20 || backing.Uuid == "" {
		t.Errorf("attached as %+v with %+v", attached, backing)
	}
	if backing.Uuid == disk.Config.Id.Id {
		t.Error("a disk's uuid is not the object's id")
	}
	if who := b.consumers(disk); len(who) != 1 || who[0].Id != b.vm(one).Config.InstanceUuid {
		t.Error("held by", who)
	}
	if err := b.attachFCD(two, disk); faultOf(err) != "ResourceInUse" {
		t.Error("attached twice:", err)
	}
	b.must(b.power(one, false))
	if err := b.attachFCD(two, disk); faultOf(err) != "ResourceInUse" {
		t.Error("a VM that is off holds its disks, too:", err)
	}
	if err := b.deleteFCD(disk); faultOf(err) != "InvalidState" {
		t.Error("deleted while attached:", err)
	}
	b.must(b.detachFCD(one, disk))
	if err := b.detachFCD(one, disk); faultOf(err) != "NotFound" {
		t.Error("detached twice:", err)
	}
	b.must(b.attachFCD(two, disk))
	b.must(b.detachFCD(two, disk))
	b.must(b.deleteFCD(disk))
	if err := b.attachFCD(two, disk); faultOf(err) != "NotFound" {
		t.Error("attached after it was deleted:", err)
	}
	if s := b.vc.State(); len(s.Volumes) > 0 {
		t.Error("left:", s.Volumes)
	}
}

func TestFirstClassDiskOutlivesItsVMIfItIsTo(t *testing.T) {
	b := newBench(t)
	source := b.template("source", true)
	vm, err := b.instantClone(source, named("one"))
	b.must(err)
	kept, lost := b.createFCD("kept", true), b.createFCD("lost", false)
	b.must(b.attachFCD(vm, kept))
	b.must(b.attachFCD(vm, lost))
	b.destroyed(vm)
	if s := b.vc.State(); len(s.Volumes) != 1 || s.Volumes[0] != "kept" {
		t.Error("left:", s.Volumes)
	}
	if status, _ := b.file("GET", "fcd/"+kept.Config.Id.Id+"-flat.vmdk", "", nil, true); status != 200 {
		t.Error("its content is gone:", status)
	}
	if who := b.consumers(kept); len(who) > 0 {
		t.Error("still held by", who)
	}
}
