package vcenter_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmware/govmomi/nfc"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/ovf"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"bonneville.vsphere/lab/ova"
	"bonneville.vsphere/lab/vcenter"
)

func readStatus(text string) (boot string, ready bool) {
	var s struct{ Boot, Phase string }
	_ = json.Unmarshal([]byte(text), &s)
	return s.Boot, s.Phase == "ready"
}

// members unpacks the lab's OVA.
func members(t *testing.T) map[string][]byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "lab.ova")
	if err := ova.Build(file, "scripted"); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string][]byte{}
	for archive := tar.NewReader(f); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if out[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}

// lease begins an import.
func (b *bench) lease(name string) (*nfc.Lease, *types.OvfCreateImportSpecResult) {
	b.Helper()
	pool := object.NewResourcePool(b.client, b.find("/DC0/host/DC0_C0/Resources"))
	host := object.NewHostSystem(b.client, b.find("/DC0/host/DC0_C0/DC0_C0_H0"))
	folder := object.NewFolder(b.client, b.find("/DC0/vm"))
	ref := host.Reference()
	spec, err := ovf.NewManager(b.client).CreateImportSpec(b.ctx, string(members(b.T)["photon-lab.ovf"]), pool,
		object.NewDatastore(b.client, b.find("/DC0/datastore/LocalDS_0")),
		&types.OvfCreateImportSpecParams{EntityName: name, DiskProvisioning: "thin", HostSystem: &ref})
	b.must(err)
	if len(spec.Error) > 0 {
		b.Fatal(spec.Error[0].LocalizedMessage)
	}
	lease, err := pool.ImportVApp(b.ctx, spec.ImportSpec, folder, host)
	b.must(err)
	return lease, spec
}

func (b *bench) importOVA(name string) types.ManagedObjectReference {
	b.Helper()
	lease, spec := b.lease(name)
	info, err := lease.Wait(b.ctx, spec.FileItem)
	b.must(err)
	updater := lease.StartUpdater(b.ctx, info) // it reads the uploads' progress
	defer updater.Done()
	for _, item := range info.Items {
		disk := members(b.T)[item.Path]
		b.must(lease.Upload(b.ctx, item, bytes.NewReader(disk), soap.Upload{ContentLength: int64(len(disk))}))
	}
	b.must(lease.Complete(b.ctx))
	return info.Entity
}

func TestImportGivesPhotonsHardware(t *testing.T) {
	b := newBench(t)
	vm := b.vm(b.importOVA("imported"))
	if vm.Config.Firmware != "efi" || vm.Config.Hardware.NumCPU != 2 || vm.Config.Hardware.MemoryMB != 2048 {
		t.Errorf("firmware %s, %d CPUs, %d MB", vm.Config.Firmware, vm.Config.Hardware.NumCPU, vm.Config.Hardware.MemoryMB)
	}
	devices := object.VirtualDeviceList(vm.Config.Hardware.Device)
	for _, kind := range []types.BaseVirtualDevice{(*types.VirtualCdrom)(nil), (*types.VirtualFloppy)(nil),
		(*types.VirtualUSBController)(nil), (*types.VirtualAHCIController)(nil), (*types.VirtualVmxnet3)(nil), (*types.VirtualDisk)(nil)} {
		if len(devices.SelectByType(kind)) != 1 {
			t.Errorf("%d devices of type %T", len(devices.SelectByType(kind)), kind)
		}
	}
	if len(b.vc.State().OrphanFiles) > 0 {
		t.Error(b.vc.State().OrphanFiles)
	}
}

func TestAbortedImportLeavesNothing(t *testing.T) {
	b := newBench(t)
	lease, spec := b.lease("partial")
	info, err := lease.Wait(b.ctx, spec.FileItem)
	b.must(err)
	if err = b.power(info.Entity, true); err == nil {
		t.Error("a VM that is being imported was powered on")
	}
	b.must(lease.Abort(b.ctx, nil))
	s := b.vc.State()
	if len(s.VMs) > 0 || len(s.OrphanFiles) > 0 || s.Leases > 0 {
		t.Errorf("left: %+v", s)
	}
}

func TestImportWithoutItsDiskFails(t *testing.T) {
	b := newBench(t)
	lease, spec := b.lease("diskless")
	_, err := lease.Wait(b.ctx, spec.FileItem)
	b.must(err)
	if err = lease.Complete(b.ctx); err == nil || !strings.Contains(err.Error(), "was not uploaded") {
		t.Error(err)
	}
	if n := len(b.vc.State().VMs); n > 0 {
		t.Errorf("%d VMs left", n)
	}
}

// upload sends a lease's first disk, and returns the status or 0 for no answer. The
// library's own upload does not survive a broken one.
func (b *bench) upload(info *nfc.LeaseInfo) int {
	b.Helper()
	disk := members(b.T)[info.Items[0].Path]
	req, err := http.NewRequestWithContext(b.ctx, http.MethodPost, info.DeviceUrl[0].Url, bytes.NewReader(disk))
	b.must(err)
	client := b.client.Client.Client
	res, err := client.Do(req)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

func TestBrokenUploads(t *testing.T) {
	b := newBench(t)
	for _, fault := range []string{"http500", "reset"} {
		lease, spec := b.lease("broken")
		info, err := lease.Wait(b.ctx, spec.FileItem)
		b.must(err)
		_, err = b.vc.AddRule(vcenter.Rule{Method: "upload", Fault: fault, Entity: "broken"})
		b.must(err)
		if status := b.upload(info); status == http.StatusCreated {
			t.Errorf("%s: the upload succeeded", fault)
		}
		if err = lease.Complete(b.ctx); err == nil {
			t.Errorf("%s: an import without its disk was completed", fault)
		}
		if s := b.vc.State(); len(s.VMs) > 0 || s.Leases > 0 {
			t.Errorf("%s: left: %+v", fault, s)
		}
	}
}

func TestExpiredLeaseRemovesItsVM(t *testing.T) {
	b := newBench(t)
	lease, spec := b.lease("forgotten")
	_, err := lease.Wait(b.ctx, spec.FileItem)
	b.must(err)
	b.vc.ExpireLeases()
	if err = lease.Progress(b.ctx, 50); faultOf(err) != "InvalidState" {
		t.Error("a lease that is over was prolonged:", err)
	}
	if s := b.vc.State(); len(s.VMs) > 0 || s.Leases > 0 {
		t.Errorf("left: %+v", s)
	}
}

func TestImportThatFailsLeavesItsLeaseInError(t *testing.T) {
	b := newBench(t)
	for _, after := range []bool{false, true} {
		_, err := b.vc.AddRule(vcenter.Rule{Method: "ImportVApp", Task: true, After: after, Fault: "InsufficientResourcesFault"})
		b.must(err)
		lease, spec := b.lease("refused")
		if _, err = lease.Wait(b.ctx, spec.FileItem); err == nil {
			t.Error("the lease became ready")
		}
		if s := b.vc.State(); len(s.VMs) > 0 || s.Leases > 0 {
			t.Errorf("left: %+v", s)
		}
	}
}

// pull imports a VM whose host gets the disk from a web server by itself.
func (b *bench) pull(name, url, thumbprint string) (*nfc.Lease, *nfc.LeaseInfo, error) {
	b.Helper()
	lease, spec := b.lease(name)
	info, err := lease.Wait(b.ctx, spec.FileItem)
	b.must(err)
	var files []types.HttpNfcLeaseSourceFile
	for _, item := range spec.FileItem {
		files = append(files, types.HttpNfcLeaseSourceFile{TargetDeviceId: item.DeviceId, Url: url, MemberName: item.Path,
			Create: item.Create, SslThumbprint: thumbprint})
	}
	res, err := methods.HttpNfcLeasePullFromUrls_Task(b.ctx, b.client, &types.HttpNfcLeasePullFromUrls_Task{
		This: lease.Reference(), Files: files})
	if err != nil {
		return lease, info, err
	}
	return lease, info, object.NewTask(b.client, res.Returnval).Wait(b.ctx)
}

func TestAHostPullsADiskItself(t *testing.T) {
	b := newBench(t)
	file := filepath.Join(t.TempDir(), "lab.ova")
	b.must(ova.Build(file, "scripted"))
	web := httptest.NewTLSServer(http.FileServer(http.Dir(filepath.Dir(file))))
	defer web.Close()
	print := soap.ThumbprintSHA1(web.Certificate())

	lease, info, err := b.pull("pulled", web.URL+"/lab.ova", print)
	b.must(err)
	manifest, err := lease.GetManifest(b.ctx)
	b.must(err)
	sum := sha1.Sum(members(t)[info.Items[0].Path])
	if len(manifest) != 1 || manifest[0].Sha1 != hex.EncodeToString(sum[:]) {
		t.Error(manifest)
	}
	b.must(lease.Complete(b.ctx))

	for _, c := range []struct {
		url, print, fault string
	}{
		{web.URL + "/none.ova", print, "HttpFault"},
		{web.URL + "/lab.ova", strings.Repeat("00:", 19) + "00", "SSLVerifyFault"},
		{"http://127.0.0.1:1/lab.ova", "", "HttpFault"},
	} {
		lease, _, err := b.pull("refused", c.url, c.print)
		if fault := faultOf(err); fault != c.fault {
			t.Errorf("%s: %s instead of %s (%v)", c.url, fault, c.fault, err)
		}
		b.must(lease.Abort(b.ctx, nil))
	}
	no := false
	b.vc.Switch(vcenter.Switches{PullMode: &no})
	lease, _, err = b.pull("refused", web.URL+"/lab.ova", print)
	if err == nil {
		t.Error("a host pulled that cannot")
	}
	b.must(lease.Abort(b.ctx, nil))
	if b.vc.State().Leases > 0 {
		t.Error("a lease is left")
	}
}
