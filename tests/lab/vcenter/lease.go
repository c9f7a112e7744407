package vcenter

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// leaseSeconds is how long an import lives without a sign of its client.
const leaseSeconds = 300

// lease is an import under way. Its first field is what property reads see.
type lease struct {
	mo.HttpNfcLease
	v *VCenter

	mu      sync.Mutex
	vm      types.ManagedObjectReference
	uploads map[string]*upload // by the last part of their URL
	order   []string
	over    bool
	timer   *time.Timer
	stop    func() // ends what a host gets by itself
}

// poolMethods stands in for a resource pool.
type poolMethods struct{ override }

// ImportVApp makes the VM of an import's specification, and a lease to upload its disks.
func (m *poolMethods) ImportVApp(ctx *simulator.Context, req *types.ImportVApp) soap.HasFault {
	v := m.enter(ctx)
	spec, ok := req.Spec.(*types.VirtualMachineImportSpec)
	if !ok {
		fault := &types.InvalidArgument{InvalidProperty: "spec"}
		return faulted{simulator.Fault(message(fault), fault)}
	}
	l := &lease{v: v, uploads: map[string]*upload{}}
	l.Self = types.ManagedObjectReference{Type: "HttpNfcLease", Value: "session[" + ctx.Session.Key + "]" + uuid.NewString()}
	l.State = types.HttpNfcLeaseStateInitializing
	l.Mode = string(types.HttpNfcLeaseModePushOrGet)
	l.Capabilities.PullModeSupported = v.switches.pulls()
	ctx.Session.Registry.Put(l)
	v.leases.Store(leaseID(l.Self), l)
	task := taskSpec{method: "ImportVApp", entity: m.Self, newName: spec.ConfigSpec.Name, ended: l.begun}
	v.run(task, simple(func(ctx *simulator.Context) types.BaseMethodFault { return l.begin(ctx, m.Self, req, spec) }))
	return &methods.ImportVAppBody{Res: &types.ImportVAppResponse{Returnval: l.Self}}
}

// leaseID is the part of a lease's reference that stands in its URLs.
func leaseID(ref types.ManagedObjectReference) string {
	return ref.Value[strings.LastIndex(ref.Value, "]")+1:]
}

// ended is whether the lease is over: it may be aborted before its VM is made.
func (l *lease) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

func (l *lease) begin(ctx *simulator.Context, pool types.ManagedObjectReference, req *types.ImportVApp, spec *types.VirtualMachineImportSpec) types.BaseMethodFault {
	v := l.v
	folder, fault := v.cloneFolder(req.Folder)
	if fault != nil {
		return fault
	}
	if fault = v.nameFree(ctx, folder, spec.ConfigSpec.Name); fault != nil {
		return fault
	}
	if l.ended() {
		return &types.RequestCanceled{}
	}
	config := copied(spec.ConfigSpec)
	if config.Uuid == "" {
		config.Uuid = uuid.NewString()
	}
	config.InstanceUuid = uuid.NewString()
	for _, change := range config.DeviceChange {
		if d, ok := change.GetVirtualDeviceConfigSpec().Device.(types.BaseVirtualEthernetCard); ok && d.GetVirtualEthernetCard().MacAddress == "" {
			d.GetVirtualEthernetCard().MacAddress = newMAC()
		}
	}
	vm, fault := v.createIn(ctx, folder, types.CreateVM_Task{This: folder.Self, Config: config, Pool: pool, Host: req.Host})
	if fault != nil {
		return fault
	}
	// The simulator counts thin disks as full.
	v.returnSpace(ctx, vm)
	machine := v.machine(vm.Self)
	machine.mu.Lock()
	machine.importing = true
	machine.mu.Unlock()

	info := &types.HttpNfcLeaseInfo{Lease: l.Self, Entity: vm.Self, LeaseTimeout: leaseSeconds}
	l.mu.Lock()
	l.vm = vm.Self
	ctx.WithLock(vm, func() {
		for i, file := range diskFiles(vm) {
			key := fmt.Sprintf("disk-%d.vmdk", i)
			l.order = append(l.order, key)
			l.uploads[key] = &upload{disk: file, key: fmt.Sprintf("/%s/VirtualDisk:%d", vm.Self.Value, i),
				file: filepath.Join(v.opts.Dir, "upload-"+leaseID(l.Self)+"-"+key)}
			info.DeviceUrl = append(info.DeviceUrl, types.HttpNfcLeaseDeviceUrl{
				Key: l.uploads[key].key, ImportKey: importKey(config.Name, i), Disk: types.NewBool(true), TargetId: key,
				Url: "https://" + v.server.reachable() + "/nfc/" + leaseID(l.Self) + "/" + key})
		}
	})
	l.timer = time.AfterFunc(leaseSeconds*time.Second, l.timeout)
	l.mu.Unlock()
	l.set(ctx, []types.PropertyChange{{Name: "info", Val: *info}})
	return nil
}

// begun is the end of the task that makes the VM.
func (l *lease) begun(ctx *simulator.Context, fault types.BaseMethodFault) {
	if fault != nil {
		l.abort(ctx, fault)
		return
	}
	l.set(ctx, []types.PropertyChange{{Name: "state", Val: types.HttpNfcLeaseStateReady}})
}

func (l *lease) set(ctx *simulator.Context, changes []types.PropertyChange) {
	ctx.WithLock(l, func() { ctx.Update(l, changes) })
}

func (l *lease) fail(ctx *simulator.Context, fault types.BaseMethodFault) {
	l.set(ctx, []types.PropertyChange{
		{Name: "error", Val: types.LocalizedMethodFault{Fault: fault, LocalizedMessage: message(fault)}},
		{Name: "state", Val: types.HttpNfcLeaseStateError}})
}

// finish ends the lease once, and reports whether it was this call that did.
func (l *lease) finish() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	l.over = true
	if l.timer != nil {
		l.timer.Stop()
	}
	if l.stop != nil {
		l.stop()
	}
	l.v.leases.Delete(leaseID(l.Self))
	return true
}

func (l *lease) timeout() {
	l.abort(l.v.background(), &types.Timedout{})
}

// ExpireLeases ends every import, as silence of its client does.
func (v *VCenter) ExpireLeases() {
	v.leases.Range(func(_, l any) bool { l.(*lease).timeout(); return true })
}

// sessionEnded is the end of the session that the lease belongs to.
func (l *lease) sessionEnded() { l.abort(l.v.background(), &types.NotAuthenticated{}) }

// abort removes the half-made VM. The context may hold the lease's lock.
func (l *lease) abort(ctx *simulator.Context, why types.BaseMethodFault) {
	if !l.finish() {
		return
	}
	l.release()
	l.clean()
	if l.vm.Value != "" {
		_ = l.v.destroy(l.v.background(), l.vm)
	}
	l.fail(ctx, why)
}

func (l *lease) release() {
	if m := l.v.machines.known(l.vm.Value); m != nil {
		m.mu.Lock()
		m.importing = false
		m.mu.Unlock()
	}
}

func invalidState(what string) soap.HasFault {
	return faulted{simulator.Fault(what, &types.InvalidState{})}
}

// HttpNfcLeaseComplete ends the import. Every disk has to be there by then.
func (l *lease) HttpNfcLeaseComplete(ctx *simulator.Context, _ *types.HttpNfcLeaseComplete) soap.HasFault {
	if l.State != types.HttpNfcLeaseStateReady {
		return invalidState("The lease is not ready.")
	}
	if !l.finish() {
		return invalidState("The lease is over.")
	}
	l.release()
	err := l.importDisks()
	l.clean()
	if err != nil {
		_ = l.v.destroy(l.v.background(), l.vm)
		fault := said(&types.SystemError{Reason: err.Error()}, "The import failed: %v", err)
		l.fail(ctx, fault)
		return faulted{simulator.Fault(message(fault), fault)}
	}
	ctx.Update(l, []types.PropertyChange{{Name: "state", Val: types.HttpNfcLeaseStateDone}})
	return &methods.HttpNfcLeaseCompleteBody{Res: new(types.HttpNfcLeaseCompleteResponse)}
}

// HttpNfcLeaseAbort ends the import and removes the VM.
func (l *lease) HttpNfcLeaseAbort(ctx *simulator.Context, req *types.HttpNfcLeaseAbort) soap.HasFault {
	why := types.BaseMethodFault(&types.RequestCanceled{})
	if req.Fault != nil && req.Fault.Fault != nil {
		why = req.Fault.Fault
	}
	l.abort(ctx, why)
	return &methods.HttpNfcLeaseAbortBody{Res: new(types.HttpNfcLeaseAbortResponse)}
}

// HttpNfcLeaseProgress is the client's sign of life.
func (l *lease) HttpNfcLeaseProgress(ctx *simulator.Context, req *types.HttpNfcLeaseProgress) soap.HasFault {
	l.mu.Lock()
	over := l.over
	if !over && l.timer != nil {
		l.timer.Reset(leaseSeconds * time.Second)
	}
	l.mu.Unlock()
	if over {
		return invalidState("The lease is over.")
	}
	ctx.Update(l, []types.PropertyChange{{Name: "transferProgress", Val: req.Percent}})
	return &methods.HttpNfcLeaseProgressBody{Res: new(types.HttpNfcLeaseProgressResponse)}
}

// HttpNfcLeaseGetManifest tells the digests of what was uploaded.
func (l *lease) HttpNfcLeaseGetManifest(_ *simulator.Context, _ *types.HttpNfcLeaseGetManifest) soap.HasFault {
	res := &types.HttpNfcLeaseGetManifestResponse{}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range l.order {
		if u := l.uploads[name]; u.done {
			entry := types.HttpNfcLeaseManifestEntry{Key: u.key, Disk: true, Size: u.size, Sha1: u.sha1, PopulatedSize: u.size}
			if entry.ChecksumType = u.wanted; u.wanted != "" {
				entry.Checksum = map[string]string{"sha1": u.sha1, "sha256": u.sha256}[u.wanted]
			}
			res.Returnval = append(res.Returnval, entry)
		}
	}
	return &methods.HttpNfcLeaseGetManifestBody{Res: res}
}
