package vcenter

import (
	"errors"
	"fmt"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// What an administrator, or bad luck, does to VMs beside the API.

// errNoVM is the answer for a name that no VM has.
type errNoVM string

// Error names the VM.
func (e errNoVM) Error() string { return fmt.Sprintf("no VM %q", string(e)) }

// byName finds a VM by its name or moid; with several of a name, any.
func (v *VCenter) byName(name string) (*machine, error) {
	ref := types.ManagedObjectReference{Type: "VirtualMachine", Value: name}
	if v.registry().Get(ref) != nil {
		return v.machine(ref), nil
	}
	for _, e := range v.registry().All("VirtualMachine") {
		if e.Entity().Name == name {
			return v.machine(e.Reference()), nil
		}
	}
	return nil, errNoVM(name)
}

func asError(fault types.BaseMethodFault) error {
	if fault == nil {
		return nil
	}
	return errors.New(message(fault))
}

// PowerVM powers a VM on or off, or resets it.
func (v *VCenter) PowerVM(name, operation string) error {
	m, err := v.byName(name)
	if err != nil {
		return err
	}
	ctx := v.background()
	switch operation {
	case "power-on":
		return asError(m.powerOn(ctx))
	case "power-off":
		return asError(m.powerOff(ctx))
	case "reset", "unfreeze": // there is no other way to unfreeze a VM
		return asError(m.reset(ctx))
	}
	return fmt.Errorf("no operation %q", operation)
}

// DestroyVM powers a VM off and removes it.
func (v *VCenter) DestroyVM(name string) error {
	m, err := v.byName(name)
	if err != nil {
		return err
	}
	ctx := v.background()
	_ = m.powerOff(ctx) // it may be off
	return asError(v.destroy(ctx, m.ref))
}

// KillGuest ends a process of the guest or, without a name, the guest as a whole.
func (v *VCenter) KillGuest(name, process string) error {
	m, err := v.byName(name)
	if err != nil {
		return err
	}
	ctx := v.background()
	if !m.guest(ctx) {
		return fmt.Errorf("VM %q has no guest", name)
	}
	if process != "" {
		return v.opts.Kind.KillProcess(background, m.ref.Value, process)
	}
	return asError(m.powerOff(ctx))
}

// Exiter is a Kind that can be told what its container's process ends with.
type Exiter interface {
	ExitContainer(id string, code int) error
}

// ExitContainer ends the container of a VM with an exit code.
func (v *VCenter) ExitContainer(name string, code int) error {
	m, err := v.byName(name)
	if err != nil {
		return err
	}
	kind, ok := v.opts.Kind.(Exiter)
	if !ok {
		return fmt.Errorf("guests of kind %s end by kill-guest only", v.opts.KindName)
	}
	return kind.ExitContainer(m.ref.Value, code)
}

// RenameVM gives a VM another name, as somebody does in the client.
func (v *VCenter) RenameVM(name, to string) error {
	m, err := v.byName(name)
	if err != nil {
		return err
	}
	return asError(m.rename(v.background(), to))
}

// MoveVM moves a VM to another folder, which is made where it is missing.
func (v *VCenter) MoveVM(name, folder string) error {
	m, err := v.byName(name)
	if err != nil {
		return err
	}
	ctx := v.background()
	to, err := v.folderAt(ctx, folder)
	if err != nil {
		return err
	}
	task := v.hub.wait(ctx, taskOf(to.MoveIntoFolderTask(v.background(), &types.MoveIntoFolder_Task{
		This: to.Self, List: []types.ManagedObjectReference{m.ref}})))
	if task.Info.Error != nil {
		return asError(task.Info.Error.Fault)
	}
	return nil
}

// Foreign describes a VM that somebody else makes.
type Foreign struct {
	Name   string `json:"name"`
	Folder string `json:"folder"`
	Like   string `json:"like"` // a VM whose extraConfig and annotation it is made with, as an admin's clone has them
	On     bool   `json:"on"`
}

// AddVM makes a foreign VM.
func (v *VCenter) AddVM(f Foreign) (string, error) {
	if f.Name == "" {
		return "", errors.New("a VM needs a name")
	}
	ctx := v.background()
	folder, err := v.folderAt(ctx, f.Folder)
	if err != nil {
		return "", err
	}
	spec := foreignSpec(f.Name)
	var host *types.ManagedObjectReference
	if f.Like != "" {
		m, err := v.byName(f.Like)
		if err != nil {
			return "", err
		}
		m.view(ctx, func(vm *simulator.VirtualMachine) {
			spec.ExtraConfig, spec.Annotation, host = m.configured(vm), vm.Config.Annotation, vm.Runtime.Host
		})
	}
	if fault := v.nameFree(ctx, folder, f.Name); fault != nil {
		return "", asError(fault)
	}
	// Its directory may be taken by a VM that was renamed: let vSphere's rule decide.
	spec.Files.VmPathName = "[" + Datastore + "]"
	vm, err := v.createVM(ctx, folder, spec, host)
	if err != nil {
		return "", err
	}
	if f.On {
		return vm.Self.Value, asError(v.machine(vm.Self).powerOn(ctx))
	}
	return vm.Self.Value, nil
}

// Connection is what a client needs to log in.
type Connection struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	User     string `json:"user"`
	Password string `json:"password"`
	CAFile   string `json:"ca_file"`
}

// Connection tells how to log in.
func (v *VCenter) Connection() Connection {
	host, port, _ := splitListen(v.server.reachable())
	c := Connection{Host: host, User: User, Password: v.password, CAFile: v.caFile}
	_, _ = fmt.Sscan(port, &c.Port)
	return c
}

// HostNames lists the hosts, sorted.
func (v *VCenter) HostNames() []string {
	var names []string
	for _, host := range v.hosts() {
		names = append(names, host.Name)
	}
	return sorted(names)
}

// SetExtraConfig changes a VM's extraConfig as an administrator does; an empty
// value removes a key.
func (v *VCenter) SetExtraConfig(name string, settings map[string]string) error {
	m, err := v.byName(name)
	if err != nil {
		return err
	}
	spec := &types.VirtualMachineConfigSpec{}
	for key, value := range settings {
		spec.ExtraConfig = append(spec.ExtraConfig, &types.OptionValue{Key: key, Value: value})
	}
	return asError(m.reconfigure(v.background(), spec))
}
