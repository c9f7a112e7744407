package vcenter_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
)

const uploadedDescriptor = `# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="vmfs"

# Extent description
RW 2048 VMFS "data-flat.vmdk"

# The Disk Data Base
#DDB

ddb.uuid = "60 00 c2 9a 00 00 11 11-22 22 33 33 44 44 55 55"
`

// attachUploaded attaches [LocalDS_0] home/data.vmdk, whatever it is.
func (b *bench) attachUploaded(ref types.ManagedObjectReference) error {
	b.Helper()
	devices := object.VirtualDeviceList(b.vm(ref).Config.Hardware.Device)
	controller := devices.PickController((*types.VirtualSCSIController)(nil)).(types.BaseVirtualController)
	disk := devices.CreateDisk(controller, types.ManagedObjectReference{}, "[LocalDS_0] home/data.vmdk")
	disk.CapacityInKB = 4
	return b.reconfigure(ref, types.VirtualMachineConfigSpec{DeviceChange: []types.BaseVirtualDeviceConfigSpec{
		&types.VirtualDeviceConfigSpec{Operation: "add", Device: disk}}})
}

func (b *bench) put(path string, content []byte) {
	b.Helper()
	if status, body := b.file("PUT", path, "", content, true); status != http.StatusCreated {
		b.Fatal("upload:", status, body)
	}
}

func TestUploadedDiskIsWhatItsDescriptorSays(t *testing.T) {
	b := newBench(t)
	vm := b.importOVA("home")
	if err := b.attachUploaded(vm); faultOf(err) != "FileNotFound" {
		t.Error("a disk that is not there:", err)
	}
	b.put("home/data.vmdk", []byte("no descriptor\n"))
	if err := b.attachUploaded(vm); faultOf(err) != "InvalidDiskFormat" {
		t.Error("a file that is no descriptor:", err)
	}
	b.put("home/data.vmdk", []byte(uploadedDescriptor))
	b.put("home/data-flat.vmdk", []byte("too short"))
	if err := b.attachUploaded(vm); faultOf(err) != "FileNotFound" {
		t.Error("a disk whose content is too short:", err)
	}
	b.put("home/data-flat.vmdk", bytes.Repeat([]byte{'x'}, 1<<20))
	b.must(b.attachUploaded(vm))
	disks := object.VirtualDeviceList(b.vm(vm).Config.Hardware.Device).SelectByType((*types.VirtualDisk)(nil))
	disk := disks[1].(*types.VirtualDisk)
	if disk.CapacityInBytes != 1<<20 {
		t.Errorf("its capacity is %d", disk.CapacityInBytes)
	}
	if uuid := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo).Uuid; uuid != "6000c29a-0000-1111-2222-333344445555" {
		t.Errorf("its uuid is %s", uuid)
	}
	b.must(b.reconfigure(vm, types.VirtualMachineConfigSpec{DeviceChange: []types.BaseVirtualDeviceConfigSpec{
		&types.VirtualDeviceConfigSpec{Operation: "remove", FileOperation: "destroy", Device: disk}}}))
	for _, file := range []string{"home/data.vmdk", "home/data-flat.vmdk"} {
		if status, _ := b.file("GET", file, "", nil, true); status != http.StatusNotFound {
			t.Errorf("%s has outlived the disk: %d", file, status)
		}
	}
}

func TestDestroyLeavesFilesThatAreNotTheVMs(t *testing.T) {
	b := newBench(t)
	vm := b.importOVA("home")
	b.put("home/data.vmdk", []byte(uploadedDescriptor))
	b.put("home/data-flat.vmdk", bytes.Repeat([]byte{'x'}, 1<<20))
	b.put("home/notes.txt", []byte("not a disk"))
	b.must(b.attachUploaded(vm))
	destroyed, err := object.NewVirtualMachine(b.client, vm).Destroy(b.ctx)
	b.must(err)
	b.must(destroyed.Wait(b.ctx))
	if status, _ := b.file("GET", "home/data-flat.vmdk", "", nil, true); status != http.StatusNotFound {
		t.Error("the attached disk has outlived its VM:", status)
	}
	if orphans := b.vc.State().OrphanFiles; len(orphans) != 1 || orphans[0] != "[LocalDS_0] home" {
		t.Error("left behind:", orphans)
	}
	if status, _ := b.file("DELETE", "home/notes.txt", "", nil, true); status != http.StatusNoContent {
		t.Error("a file that someone put there is gone:", status)
	}
}
