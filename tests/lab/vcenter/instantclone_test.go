package vcenter_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/task"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"bonneville.vsphere/lab/vcenter"
)

// faultOf is the type of the fault behind an error.
func faultOf(err error) string {
	var failed task.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &failed):
		return reflect.TypeOf(failed.Fault()).Elem().Name()
	case soap.IsSoapFault(err):
		return strings.TrimPrefix(fmt.Sprintf("%T", soap.ToSoapFault(err).VimFault()), "types.")
	}
	return err.Error()
}

func edit(d types.BaseVirtualDevice) []types.BaseVirtualDeviceConfigSpec {
	return []types.BaseVirtualDeviceConfigSpec{&types.VirtualDeviceConfigSpec{
		Operation: types.VirtualDeviceConfigSpecOperationEdit, Device: d}}
}

func TestInstantCloneLimits(t *testing.T) {
	b := newBench(t)
	source := b.template("source", true)
	host, other := b.find("/DC0/host/DC0_C0/DC0_C0_H1"), b.find("/DC0/host/DC0_C1/Resources")
	own := b.find("/DC0/host/DC0_C0/Resources")
	store := b.find("/DC0/datastore/LocalDS_0")
	devices := object.VirtualDeviceList(b.vm(source).Config.Hardware.Device)
	nic := devices.SelectByType((*types.VirtualEthernetCard)(nil))[0]
	disk := devices.SelectByType((*types.VirtualDisk)(nil))[0]
	nowhere := &types.VirtualVmxnet3{}
	nowhere.Key = nic.GetVirtualDevice().Key
	nowhere.Backing = &types.VirtualEthernetCardNetworkBackingInfo{
		VirtualDeviceDeviceBackingInfo: types.VirtualDeviceDeviceBackingInfo{DeviceName: "no such network"}}
	absent := &types.VirtualVmxnet3{}
	absent.Key = 9999
	gone := types.ManagedObjectReference{Type: "Folder", Value: "group-v99999"}
	hostFolder := b.find("/DC0/host")

	for name, c := range map[string]struct {
		location types.VirtualMachineRelocateSpec
		name     string
		want     string
	}{
		"nothing said":          {want: ""},
		"own pool and store":    {location: types.VirtualMachineRelocateSpec{Pool: &own, Datastore: &store}, want: ""},
		"edit of a card":        {location: types.VirtualMachineRelocateSpec{DeviceChange: edit(nic)}, want: ""},
		"a host":                {location: types.VirtualMachineRelocateSpec{Host: &host}, want: "InvalidArgument"},
		"another pool":          {location: types.VirtualMachineRelocateSpec{Pool: &other}, want: "InvalidArgument"},
		"how disks move":        {location: types.VirtualMachineRelocateSpec{DiskMoveType: "moveAllDiskBackingsAndAllowSharing"}, want: "InvalidArgument"},
		"a disk's place":        {location: types.VirtualMachineRelocateSpec{Disk: []types.VirtualMachineRelocateSpecDiskLocator{{DiskId: 1, Datastore: store}}}, want: "InvalidArgument"},
		"a profile":             {location: types.VirtualMachineRelocateSpec{Profile: []types.BaseVirtualMachineProfileSpec{&types.VirtualMachineDefaultProfileSpec{}}}, want: "InvalidArgument"},
		"edit of a disk":        {location: types.VirtualMachineRelocateSpec{DeviceChange: edit(disk)}, want: "InvalidDeviceSpec"},
		"edit of what is not":   {location: types.VirtualMachineRelocateSpec{DeviceChange: edit(absent)}, want: "InvalidDeviceSpec"},
		"an unknown network":    {location: types.VirtualMachineRelocateSpec{DeviceChange: edit(nowhere)}, want: "InvalidDeviceBacking"},
		"a new device":          {location: types.VirtualMachineRelocateSpec{DeviceChange: []types.BaseVirtualDeviceConfigSpec{&types.VirtualDeviceConfigSpec{Operation: "add", Device: nic}}}, want: "NotSupported"},
		"a folder that is gone": {location: types.VirtualMachineRelocateSpec{Folder: &gone}, want: "ManagedObjectNotFound"},
		"a folder of hosts":     {location: types.VirtualMachineRelocateSpec{Folder: &hostFolder}, want: "InvalidArgument"},
		"a taken name":          {name: "source", want: "DuplicateName"},
	} {
		spec := named("clone of " + name)
		if c.name != "" {
			spec.Name = c.name
		}
		spec.Location = c.location
		before := len(b.vc.State().VMs)
		_, err := b.instantClone(source, spec)
		if got := faultOf(err); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
		made := len(b.vc.State().VMs) - before
		if (made == 1) != (c.want == "") {
			t.Errorf("%s: %d VMs made", name, made)
		}
	}
	if left := b.vc.State().OrphanFiles; len(left) > 0 {
		t.Error("files left by refused clones:", left)
	}
}

func TestInstantCloneNeedsASourceThatIsOn(t *testing.T) {
	b := newBench(t)
	source := b.importOVA("off")
	if _, err := b.instantClone(source, named("clone")); faultOf(err) != "InvalidPowerState" {
		t.Error(err)
	}
	b.must(b.power(source, true))
	if _, err := b.instantClone(source, named("clone")); faultOf(err) != "DisallowedMigrationDeviceAttached" {
		t.Error("with the OVA's CD-ROM connected:", err)
	}
}

func TestInstantCloneIsACopyWithItsOwnIdentity(t *testing.T) {
	b := newBench(t)
	ref := b.template("source", true)
	spec := named("clone")
	spec.BiosUuid = "12345678-ABCD-1234-cdef-123456789abc"
	clone, err := b.instantClone(ref, spec)
	b.must(err)
	source, got := b.vm(ref), b.vm(clone)
	if got.Config.Uuid != "12345678-abcd-1234-cdef-123456789abc" || got.Config.InstanceUuid == source.Config.InstanceUuid {
		t.Error("uuids:", got.Config.Uuid, got.Config.InstanceUuid)
	}
	if got.Guest.Net[0].MacAddress == source.Guest.Net[0].MacAddress {
		t.Error("the clone has its source's MAC")
	}
	if *got.Runtime.Host != *source.Runtime.Host || got.Runtime.PowerState != "poweredOn" || *got.Runtime.InstantCloneFrozen {
		t.Errorf("runtime: %+v", got.Runtime)
	}
	if *source.Runtime.InstantCloneFrozen != true || source.Guest.ToolsRunningStatus != "guestToolsNotRunning" {
		t.Error("the source has thawed")
	}
	b.eventually("the clone speaks", func() bool {
		status, _ := b.extra(clone, "guestinfo.bonneville.status")
		return strings.Contains(status, `"phase":"running"`) && strings.Contains(status, "1111111")
	})
	if err := object.NewVirtualMachine(b.client, ref).ShutdownGuest(b.ctx); faultOf(err) != "ToolsUnavailable" {
		t.Error("a frozen guest was asked to shut down:", err)
	}
}

func TestChainsGrowOnlyOverRunningSources(t *testing.T) {
	b := newBench(t)
	frozen, running := b.template("frozen", true), b.template("running", false)
	depths := func() map[string]int {
		out := map[string]int{}
		for _, vm := range b.vc.State().VMs {
			out[vm.Name] = vm.ChainDepth
		}
		return out
	}
	for i := range 3 {
		for name, source := range map[string]types.ManagedObjectReference{"frozen": frozen, "running": running} {
			_, err := b.instantClone(source, named(fmt.Sprintf("%s-%d", name, i)))
			b.must(err)
		}
	}
	want := map[string]int{"frozen": 1, "frozen-0": 2, "frozen-1": 2, "frozen-2": 2,
		"running": 4, "running-0": 2, "running-1": 3, "running-2": 4}
	if got := depths(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}

func TestClonesRunBesideEachOther(t *testing.T) {
	b := newBench(t)
	source := b.template("source", true)
	_, err := b.vc.AddRule(vcenter.Rule{Method: "InstantClone_Task", Task: true, DelayMS: 200, Times: -1})
	b.must(err)
	begin := time.Now()
	var all sync.WaitGroup
	for i := range 25 {
		all.Go(func() {
			if _, err := b.instantClone(source, named(fmt.Sprintf("clone-%d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("25 clones of 0.2 s each took %v", took)
	}
}

func TestTwoClonesOfOneNameMakeOne(t *testing.T) {
	b := newBench(t)
	source := b.template("source", true)
	var all sync.WaitGroup
	var mu sync.Mutex
	faults := map[string]int{}
	for range 8 {
		all.Go(func() {
			_, err := b.instantClone(source, named("same"))
			mu.Lock()
			faults[faultOf(err)]++
			mu.Unlock()
		})
	}
	all.Wait()
	if faults[""] != 1 || faults["DuplicateName"] != 7 {
		t.Error(faults)
	}
	if s := b.vc.State(); len(s.VMs) != 2 || len(s.OrphanFiles) > 0 || s.Guests != 2 {
		t.Errorf("%d VMs, %d guests, files %v", len(s.VMs), s.Guests, s.OrphanFiles)
	}
}

func TestCheckTellsWhatWouldBeRefused(t *testing.T) {
	b := newBench(t)
	source := b.template("source", true)
	check := func(spec types.VirtualMachineInstantCloneSpec) int {
		res, err := methods.CheckInstantClone_Task(b.ctx, b.client, &types.CheckInstantClone_Task{
			This: *b.client.ServiceContent.VmProvisioningChecker, Vm: source, Spec: spec})
		b.must(err)
		result, err := b.wait(res.Returnval)
		b.must(err)
		return len(result.(types.ArrayOfCheckResult).CheckResult[0].Error)
	}
	if n := check(named("fine")); n != 0 {
		t.Errorf("%d errors for a fine clone", n)
	}
	if n := check(named("source")); n != 1 {
		t.Errorf("%d errors for a taken name", n)
	}
	if n := len(b.vc.State().VMs); n != 1 {
		t.Errorf("a check has made something: %d VMs", n)
	}
}
