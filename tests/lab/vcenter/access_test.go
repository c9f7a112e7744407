package vcenter_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"net/url"

	"bonneville.vsphere/lab/vcenter"
)

// file makes a request for a datastore's file, with the session unless told not to.
func (b *bench) file(method, path, rang string, body []byte, loggedIn bool) (int, string) {
	b.Helper()
	u := *b.client.URL()
	u.Path, u.RawQuery = "/folder/"+path, "dcPath=DC0&dsName=LocalDS_0"
	req, err := http.NewRequestWithContext(b.ctx, method, u.String(), bytes.NewReader(body))
	b.must(err)
	if rang != "" {
		req.Header.Set("Range", rang)
	}
	client := b.client.Client.Client
	if !loggedIn {
		client = http.Client{Transport: client.Transport}
	}
	res, err := client.Do(req)
	b.must(err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	b.must(err)
	return res.StatusCode, string(text)
}

func TestDatastoreFiles(t *testing.T) {
	b := newBench(t)
	b.importOVA("home")
	if status, _ := b.file("PUT", "home/file", "", []byte("0123456789"), false); status != http.StatusUnauthorized {
		t.Error("without a session:", status)
	}
	if status, _ := b.file("PUT", "home/file", "", []byte("0123456789"), true); status != http.StatusCreated {
		t.Error("upload:", status)
	}
	for _, c := range []struct {
		path, rang string
		status     int
		body       string
	}{
		{"home/file", "", 200, "0123456789"},
		{"home/file", "bytes=-3", 206, "789"},
		{"home/file", "bytes=2-4", 206, "234"},
		{"home/file", "bytes=-100", 206, "0123456789"},
		{"home/none", "", 404, ""},
		{"home", "", 404, ""},
	} {
		status, body := b.file("GET", c.path, c.rang, nil, true)
		if status != c.status || (status < 300 && body != c.body) {
			t.Errorf("%s %s: %d %q", c.path, c.rang, status, body)
		}
	}
	if status, _ := b.file("PUT", "nowhere/file", "", nil, true); status != http.StatusNotFound {
		t.Error("into a directory that is not there:", status)
	}
	if status, _ := b.file("GET", "home/file", "", nil, false); status != http.StatusUnauthorized {
		t.Error("without a session:", status)
	}
}

func TestDiskIsAttachedOnce(t *testing.T) {
	b := newBench(t)
	source := b.template("source", true)
	var clones []types.ManagedObjectReference
	for _, name := range []string{"one", "two"} {
		clone, err := b.instantClone(source, named(name))
		b.must(err)
		clones = append(clones, clone)
	}
	attach := func(ref types.ManagedObjectReference, operation types.VirtualDeviceConfigSpecFileOperation) error {
		devices := object.VirtualDeviceList(b.vm(ref).Config.Hardware.Device)
		controller := devices.PickController((*types.VirtualSCSIController)(nil)).(types.BaseVirtualController)
		disk := devices.CreateDisk(controller, types.ManagedObjectReference{}, "[LocalDS_0] one/data.vmdk")
		disk.CapacityInKB = 1024
		return b.reconfigure(ref, types.VirtualMachineConfigSpec{DeviceChange: []types.BaseVirtualDeviceConfigSpec{
			&types.VirtualDeviceConfigSpec{Operation: "add", FileOperation: operation, Device: disk}}})
	}
	b.must(attach(clones[0], "create"))
	if status, body := b.file("GET", "one/data-flat.vmdk", "", nil, true); status != 200 || len(body) != 1<<20 {
		t.Errorf("the new disk: %d, %d bytes", status, len(body))
	}
	if err := attach(clones[1], ""); faultOf(err) != "FileLocked" {
		t.Error("attached twice:", err)
	}
	devices := object.VirtualDeviceList(b.vm(clones[0]).Config.Hardware.Device).SelectByType((*types.VirtualDisk)(nil))
	b.must(b.reconfigure(clones[0], types.VirtualMachineConfigSpec{DeviceChange: []types.BaseVirtualDeviceConfigSpec{
		&types.VirtualDeviceConfigSpec{Operation: "remove", Device: devices[1]}}}))
	b.must(attach(clones[1], ""))
	b.must(b.power(clones[1], false))
	destroyed, err := object.NewVirtualMachine(b.client, clones[1]).Destroy(b.ctx)
	b.must(err)
	b.must(destroyed.Wait(b.ctx))
	if status, _ := b.file("GET", "one/data-flat.vmdk", "", nil, true); status != http.StatusNotFound {
		t.Error("the attached disk has outlived its VM:", status)
	}
}

func TestLoginIsChecked(t *testing.T) {
	b := newBench(t)
	err := session.NewManager(login(t, b.ctx, b.vc)).Login(b.ctx, url.UserPassword(vcenter.User, "wrong"))
	if faultOf(err) != "InvalidLogin" {
		t.Error(err)
	}
}

func TestSessionsEnd(t *testing.T) {
	b := newBench(t)
	now := func() error { _, err := methods.GetCurrentTime(b.ctx, b.client); return err }
	b.must(now())
	b.vc.ExpireSessions()
	if got := faultOf(now()); got != "NotAuthenticated" {
		t.Error("after expiry:", got)
	}
	if s := b.vc.State(); s.Sessions != 0 || s.Views != 0 || s.Collectors != 0 {
		t.Errorf("%+v", s)
	}
	b.client = login(t, b.ctx, b.vc)
	b.must(now())
	b.must(b.vc.Restart(50 * time.Millisecond))
	b.client = login(t, b.ctx, b.vc) // at the same address
	b.must(now())
}

func TestDeniedPrivilege(t *testing.T) {
	b := newBench(t)
	folder := object.NewFolder(b.client, b.find("/DC0/vm"))
	b.vc.Switch(vcenter.Switches{Deny: &[]string{"Folder.Create"}})
	if _, err := folder.CreateFolder(b.ctx, "refused"); faultOf(err) != "NoPermission" {
		t.Error(err)
	}
	b.vc.Switch(vcenter.Switches{Deny: &[]string{}})
	_, err := folder.CreateFolder(b.ctx, "granted")
	b.must(err)
	b.vc.Switch(vcenter.Switches{Grant: &[]string{"Folder.Delete"}})
	if _, err := folder.CreateFolder(b.ctx, "refused"); faultOf(err) != "NoPermission" {
		t.Error(err)
	}
	b.vc.Switch(vcenter.Switches{Grant: &[]string{}})
	_, err = folder.CreateFolder(b.ctx, "granted again")
	b.must(err)
}

func TestEachChangeOfAVMNeedsItsOwnPrivilege(t *testing.T) {
	b := newBench(t)
	vm := object.NewVirtualMachine(b.client, b.template("source", false))
	b.vc.Switch(vcenter.Switches{Grant: &[]string{"VirtualMachine.Config.Rename"}})
	change := func(spec types.VirtualMachineConfigSpec) error {
		task, err := vm.Reconfigure(b.ctx, spec)
		if err != nil {
			return err
		}
		return task.Wait(b.ctx)
	}
	b.must(change(types.VirtualMachineConfigSpec{Name: "renamed"}))
	for _, refused := range []types.VirtualMachineConfigSpec{
		{Annotation: "changed"}, {NumCPUs: 2}, {MemoryMB: 8}, {MemoryAllocation: &types.ResourceAllocationInfo{}},
		{ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: "a", Value: "b"}}},
	} {
		if err := change(refused); faultOf(err) != "NoPermission" {
			t.Errorf("%+v: %v", refused, err)
		}
	}
}

func TestCallsAreCounted(t *testing.T) {
	b := newBench(t)
	b.vc.ResetCalls()
	for range 3 {
		_, err := methods.GetCurrentTime(b.ctx, b.client)
		b.must(err)
	}
	if calls := b.vc.Calls(); calls["CurrentTime"] != 3 || len(calls) != 1 {
		t.Error(calls)
	}
}

func TestFullDatastoreRefusesAClone(t *testing.T) {
	b := newBench(t)
	source := b.template("source", true)
	free := 3.0 // a clone's swap file takes two
	b.vc.Switch(vcenter.Switches{DatastoreFreeGB: &free})
	_, err := b.instantClone(source, named("fits"))
	b.must(err)
	if _, err = b.instantClone(source, named("does not")); faultOf(err) != "NoDiskSpace" {
		t.Error(err)
	}
	b.must(b.power(b.find("/DC0/vm/fits"), false))
	_, err = b.instantClone(source, named("fits now"))
	b.must(err)
}

func TestSessionCountsFromItsLogin(t *testing.T) {
	b := newBench(t)
	before := b.vc.State().Sessions
	idle := session.NewManager(login(t, b.ctx, b.vc))
	if n := b.vc.State().Sessions; n != before+1 {
		t.Errorf("%d sessions after a login, %d before it", n, before)
	}
	b.vc.ExpireSessions()
	if n := b.vc.State().Sessions; n != 0 {
		t.Errorf("%d sessions after all have expired", n)
	}
	if err := idle.Logout(b.ctx); faultOf(err) != "NotAuthenticated" {
		t.Error("a session that made no call has outlived its end:", err)
	}
}

func TestWithoutTheRightToReadOnlyNamesAreTold(t *testing.T) {
	b := newBench(t)
	ref := b.importOVA("seen")
	b.vc.Switch(vcenter.Switches{Deny: &[]string{"System.Read"}})
	spec := types.PropertyFilterSpec{
		PropSet:   []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"name", "config.uuid"}}},
		ObjectSet: []types.ObjectSpec{{Obj: ref}},
	}
	res, err := methods.RetrievePropertiesEx(b.ctx, b.client, &types.RetrievePropertiesEx{
		This: b.client.ServiceContent.PropertyCollector, SpecSet: []types.PropertyFilterSpec{spec}})
	b.must(err)
	object := res.Returnval.Objects[0]
	if len(object.PropSet) != 1 || object.PropSet[0].Val != "seen" {
		t.Error("told:", object.PropSet)
	}
	if len(object.MissingSet) != 1 || object.MissingSet[0].Path != "config.uuid" {
		t.Fatal("not told:", object.MissingSet)
	}
	if fault, ok := object.MissingSet[0].Fault.Fault.(*types.NoPermission); !ok || fault.PrivilegeId != "System.Read" {
		t.Error(object.MissingSet[0].Fault.Fault)
	}
}
