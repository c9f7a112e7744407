package vcenter_test

import (
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"bonneville.vsphere/lab/vcenter"
)

const statusKey = "guestinfo.bonneville.status"

func TestWhatAGuestSetIsGoneAtPowerOff(t *testing.T) {
	b := newBench(t)
	source := b.template("source", true)
	spec := named("clone")
	spec.Config = append(spec.Config, &types.OptionValue{Key: statusKey, Value: "configured"},
		&types.OptionValue{Key: "guestinfo.kept", Value: "1"})
	clone, err := b.instantClone(source, spec)
	b.must(err)
	b.eventually("the clone speaks", func() bool {
		status, _ := b.extra(clone, statusKey)
		return strings.Contains(status, "running")
	})
	if _, inherited := b.extra(clone, "guestinfo.bonneville.key"); !inherited {
		t.Error("a value of the source's guest is not inherited, though the lab inherits")
	}
	b.must(b.power(clone, false))
	if status, _ := b.extra(clone, statusKey); status != "configured" {
		t.Errorf("the configured value has not returned: %q", status)
	}
	if kept, _ := b.extra(clone, "guestinfo.kept"); kept != "1" {
		t.Error("a configured value is gone")
	}
	if _, lasting := b.extra(clone, "guestinfo.bonneville.key"); lasting {
		t.Error("a value of the source's guest has outlived the power-off")
	}
	vm := b.vm(clone)
	if vm.Guest.IpAddress != "" || vm.Guest.ToolsRunningStatus != "guestToolsNotRunning" {
		t.Errorf("a VM that is off has address %q, Tools %s", vm.Guest.IpAddress, vm.Guest.ToolsRunningStatus)
	}
}

func TestCloneInheritsNothingWhenSwitchedOff(t *testing.T) {
	b := newBench(t, func(o *vcenter.Options) { o.InheritExtraConfig = false })
	source := b.template("source", true)
	b.set(source, "bonneville.kind", "template", "disk.EnableUUID", "TRUE")
	clone, err := b.instantClone(source, named("clone"))
	b.must(err)
	if _, ok := b.extra(clone, "bonneville.kind"); ok {
		t.Error("a mark was inherited")
	}
	if _, ok := b.extra(clone, "disk.EnableUUID"); !ok {
		t.Error("a setting of the monitor was not inherited")
	}
}

func TestPowerCycleAndHostRestartUnfreeze(t *testing.T) {
	b := newBench(t)
	for what, thaw := range map[string]func(ref types.ManagedObjectReference) error{
		"power": func(ref types.ManagedObjectReference) error {
			if err := b.power(ref, false); err != nil {
				return err
			}
			return b.power(ref, true)
		},
		"reset": func(ref types.ManagedObjectReference) error {
			task, err := object.NewVirtualMachine(b.client, ref).Reset(b.ctx)
			b.must(err)
			return task.Wait(b.ctx)
		},
		"host": func(types.ManagedObjectReference) error { return b.vc.RestartHost("DC0_C0_H0", true) },
	} {
		ref := b.template(what, true)
		b.must(thaw(ref))
		if vm := b.vm(ref); *vm.Runtime.InstantCloneFrozen || vm.Runtime.PowerState != "poweredOn" {
			t.Errorf("%s: frozen %v, %s", what, *vm.Runtime.InstantCloneFrozen, vm.Runtime.PowerState)
		}
		b.freeze(ref) // it is a template that can be used again
	}
}

func TestShutdownGuest(t *testing.T) {
	b := newBench(t)
	source := b.template("source", true)
	clone, err := b.instantClone(source, named("clone"))
	b.must(err)
	b.eventually("Tools run", func() bool { return b.vm(clone).Guest.ToolsRunningStatus == "guestToolsRunning" })
	b.must(object.NewVirtualMachine(b.client, clone).ShutdownGuest(b.ctx))
	b.eventually("the VM is off", func() bool { return b.vm(clone).Runtime.PowerState == "poweredOff" })
	b.must(b.power(clone, true))
	b.eventually("it runs again", func() bool {
		status, _ := b.extra(clone, statusKey)
		return strings.Contains(status, `"running"`)
	})
}

func TestDestroyedParentIsNoted(t *testing.T) {
	b := newBench(t)
	source := b.template("source", true)
	clone, err := b.instantClone(source, named("clone"))
	b.must(err)
	destroy := func(ref types.ManagedObjectReference) error {
		task, err := object.NewVirtualMachine(b.client, ref).Destroy(b.ctx)
		b.must(err)
		return task.Wait(b.ctx)
	}
	if err = destroy(source); faultOf(err) != "InvalidPowerState" {
		t.Error("a VM that is on was destroyed:", err)
	}
	b.must(b.power(source, false))
	b.must(destroy(source))
	if v := b.vc.State().Violations; len(v) != 1 || !strings.Contains(v[0], clone.Value) {
		t.Error(v)
	}
	b.must(b.power(clone, false))
	b.must(destroy(clone))
	if s := b.vc.State(); len(s.VMs) > 0 || s.Guests > 0 || len(s.OrphanFiles) > 0 {
		t.Errorf("left: %+v", s)
	}
}

func TestFullCloneIsIndependent(t *testing.T) {
	b := newBench(t)
	source := b.importOVA("source")
	b.set(source, "bonneville.kind", "template")
	folder := object.NewFolder(b.client, b.find("/DC0/vm"))
	host, pool := b.find("/DC0/host/DC0_C0/DC0_C0_H1"), b.find("/DC0/host/DC0_C0/Resources")
	task, err := object.NewVirtualMachine(b.client, source).Clone(b.ctx, folder, "copy", types.VirtualMachineCloneSpec{
		Location: types.VirtualMachineRelocateSpec{Host: &host, Pool: &pool},
		Config: &types.VirtualMachineConfigSpec{Uuid: "11111111-2222-3333-4444-555555555555", Annotation: "a copy",
			ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: "own", Value: "1"}, &types.OptionValue{Key: "bonneville.kind", Value: ""}}},
	})
	b.must(err)
	info, err := task.WaitForResult(b.ctx)
	b.must(err)
	ref := info.Result.(types.ManagedObjectReference)
	was, is := b.vm(source), b.vm(ref)
	if is.Config.Uuid != "11111111-2222-3333-4444-555555555555" || is.Config.InstanceUuid == was.Config.InstanceUuid ||
		is.Config.Annotation != "a copy" || *is.Runtime.Host != host || is.Guest.Net[0].MacAddress == was.Guest.Net[0].MacAddress {
		t.Errorf("%+v", is.Summary.Config)
	}
	if _, marked := b.extra(ref, "bonneville.kind"); marked {
		t.Error("an empty value has not removed its key")
	}
	destroyed, err := object.NewVirtualMachine(b.client, source).Destroy(b.ctx)
	b.must(err)
	b.must(destroyed.Wait(b.ctx))
	if v := b.vc.State().Violations; len(v) > 0 {
		t.Error(v)
	}
	b.set(ref, "guestinfo.bonneville.prepare", `{"generation":"g1","prime":false}`)
	b.must(b.power(ref, true))
	b.eventually("the copy's guest speaks", func() bool { _, ok := b.extra(ref, statusKey); return ok })
}

func TestRulesForTasks(t *testing.T) {
	b := newBench(t)
	_, err := b.vc.AddRule(vcenter.Rule{Fault: "NoSuchFault"})
	if err == nil {
		t.Error("a fault that vSphere does not have")
	}
	source := b.template("source", true)
	_, err = b.vc.AddRule(vcenter.Rule{Method: "InstantClone_Task", Task: true, After: true, Fault: "SystemError", NewName: "lost*"})
	b.must(err)
	for name, want := range map[string]string{"kept": "", "lost": "SystemError"} {
		if _, err = b.instantClone(source, named(name)); faultOf(err) != want {
			t.Errorf("%s: %v", name, err)
		}
		b.find("/DC0/vm/" + name) // a task that fails late leaves its VM
	}
	_, err = b.vc.AddRule(vcenter.Rule{Method: "InstantClone_Task", After: true, Fault: "DuplicateName"})
	if err == nil {
		t.Error("a call that was carried out and says that it was not")
	}
	_, err = b.vc.AddRule(vcenter.Rule{Method: "InstantClone_Task", After: true, Fault: "reset", NewName: "unheard"})
	b.must(err)
	spec := named("unheard")
	if _, err = methods.InstantClone_Task(b.ctx, b.client, &types.InstantClone_Task{This: source, Spec: spec}); err == nil {
		t.Error("the answer was not lost")
	}
	b.eventually("the clone whose call had no answer stands", func() bool {
		ref, err := object.NewSearchIndex(b.client).FindByInventoryPath(b.ctx, "/DC0/vm/unheard")
		return err == nil && ref != nil
	})
	begin := time.Now()
	_, err = b.vc.AddRule(vcenter.Rule{Method: "InstantClone_Task", DelayMS: 100})
	b.must(err)
	_, err = b.instantClone(source, named("slow"))
	b.must(err)
	if took := time.Since(begin); took < 100*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}
