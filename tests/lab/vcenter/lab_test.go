package vcenter_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"bonneville.vsphere/lab/scripted"
	"bonneville.vsphere/lab/vcenter"
)

// bench is a lab with one template that is ready to be cloned.
type bench struct {
	*testing.T
	vc     *vcenter.VCenter
	client *vim25.Client
	ctx    context.Context
}

func newBench(t *testing.T, options ...func(*vcenter.Options)) *bench {
	t.Helper()
	o := vcenter.Options{Hosts: 2, Clusters: 2, HostMemoryGB: 64, Listen: "127.0.0.1:0", Dir: t.TempDir(),
		APIVersion: "8.0.3.0", InheritExtraConfig: true, Kind: scripted.New(), KindName: "scripted"}
	for _, f := range options {
		f(&o)
	}
	vc, err := vcenter.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vc.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return &bench{T: t, vc: vc, client: login(t, ctx, vc), ctx: ctx}
}

func login(t *testing.T, ctx context.Context, vc *vcenter.VCenter) *vim25.Client {
	t.Helper()
	c := vc.Connection()
	u := &url.URL{Scheme: "https", Host: fmt.Sprintf("%s:%d", c.Host, c.Port), Path: "/sdk"}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	s := soap.NewClient(u, false)
	s.DefaultTransport().TLSClientConfig = &tls.Config{RootCAs: roots}
	client, err := vim25.NewClient(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	if err = session.NewManager(client).Login(ctx, url.UserPassword(c.User, c.Password)); err != nil {
		t.Fatal(err)
	}
	return client
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// find looks an object up by its inventory path.
func (b *bench) find(path string) types.ManagedObjectReference {
	b.Helper()
	ref, err := object.NewSearchIndex(b.client).FindByInventoryPath(b.ctx, path)
	b.must(err)
	if ref == nil {
		b.Fatalf("nothing at %s", path)
	}
	return ref.Reference()
}

// vm reads a VM.
func (b *bench) vm(ref types.ManagedObjectReference) mo.VirtualMachine {
	b.Helper()
	var vm mo.VirtualMachine
	b.must(property.DefaultCollector(b.client).RetrieveOne(b.ctx, ref, nil, &vm))
	return vm
}

func (b *bench) extra(ref types.ManagedObjectReference, key string) (string, bool) {
	b.Helper()
	for _, o := range b.vm(ref).Config.ExtraConfig {
		if v := o.GetOptionValue(); v.Key == key {
			return fmt.Sprint(v.Value), true
		}
	}
	return "", false
}

// wait returns a task's result.
func (b *bench) wait(task types.ManagedObjectReference) (types.AnyType, error) {
	info, err := object.NewTask(b.client, task).WaitForResult(b.ctx)
	if err != nil {
		return nil, err
	}
	return info.Result, nil
}

// eventually waits for something that a guest brings about.
func (b *bench) eventually(what string, done func() bool) {
	b.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("still not: %s", what)
		}
	}
}

func (b *bench) reconfigure(ref types.ManagedObjectReference, spec types.VirtualMachineConfigSpec) error {
	b.Helper()
	task, err := object.NewVirtualMachine(b.client, ref).Reconfigure(b.ctx, spec)
	b.must(err)
	return task.Wait(b.ctx)
}

func (b *bench) set(ref types.ManagedObjectReference, pairs ...string) {
	b.Helper()
	spec := types.VirtualMachineConfigSpec{}
	for i := 0; i < len(pairs); i += 2 {
		spec.ExtraConfig = append(spec.ExtraConfig, &types.OptionValue{Key: pairs[i], Value: pairs[i+1]})
	}
	b.must(b.reconfigure(ref, spec))
}

func (b *bench) power(ref types.ManagedObjectReference, on bool) error {
	b.Helper()
	vm := object.NewVirtualMachine(b.client, ref)
	power := vm.PowerOff
	if on {
		power = vm.PowerOn
	}
	task, err := power(b.ctx)
	b.must(err)
	return task.Wait(b.ctx)
}

// instantClone clones and returns the clone.
func (b *bench) instantClone(source types.ManagedObjectReference, spec types.VirtualMachineInstantCloneSpec) (types.ManagedObjectReference, error) {
	b.Helper()
	res, err := methods.InstantClone_Task(b.ctx, b.client, &types.InstantClone_Task{This: source, Spec: spec})
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	result, err := b.wait(res.Returnval)
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	return result.(types.ManagedObjectReference), nil
}

// named is the specification of a clone in the root folder with nothing special.
func named(name string) types.VirtualMachineInstantCloneSpec {
	return types.VirtualMachineInstantCloneSpec{Name: name, Config: []types.BaseOptionValue{
		&types.OptionValue{Key: "bonneville.nonce", Value: "11111111111111111111111111111111"}}}
}

// template imports a VM, prepares it and, unless asked not to, freezes it.
func (b *bench) template(name string, freeze bool) types.ManagedObjectReference {
	b.Helper()
	ref := b.importOVA(name)
	spec := types.VirtualMachineConfigSpec{}
	for _, d := range b.vm(ref).Config.Hardware.Device {
		switch d.(type) {
		case *types.VirtualCdrom, *types.VirtualFloppy, *types.VirtualUSBController:
			spec.DeviceChange = append(spec.DeviceChange, &types.VirtualDeviceConfigSpec{
				Operation: types.VirtualDeviceConfigSpecOperationRemove, Device: d})
		}
	}
	b.must(b.reconfigure(ref, spec))
	b.set(ref, "guestinfo.bonneville.prepare", `{"generation":"g1","images":[],"prime":false}`)
	b.must(b.power(ref, true))
	if freeze {
		b.freeze(ref)
	}
	return ref
}

// freeze orders a prepared template to freeze, as the agent's protocol has it.
func (b *bench) freeze(ref types.ManagedObjectReference) {
	b.Helper()
	var boot string
	b.eventually("the template is ready", func() bool {
		status, _ := b.extra(ref, "guestinfo.bonneville.status")
		var ready bool
		boot, ready = readStatus(status)
		return ready
	})
	b.set(ref, "guestinfo.bonneville.freeze", boot)
	b.eventually("the template is frozen", func() bool { return *b.vm(ref).Runtime.InstantCloneFrozen })
}
