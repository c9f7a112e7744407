package vcenter

import (
	"reflect"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// How a method of this package comes before the simulator's own: the simulator
// looks an object up in the session's registry first, and hands each request a
// copy of its session. dispatch gives that copy a registry which holds one object,
// ours, for this one request. Putting it into the real registry of the session
// would have it seen by property reads as well, and left behind when the VM goes.

// override holds what stands in for an object during one call.
type override struct {
	Self     types.ManagedObjectReference // by this name the simulator finds the object's lock
	v        *VCenter
	registry *simulator.Registry // the session's own
}

// Reference names the object that is stood in for.
func (o override) Reference() types.ManagedObjectReference { return o.Self }

// enter gives the request its session's registry back. Every method starts with it.
func (o override) enter(ctx *simulator.Context) *VCenter {
	ctx.Session.Registry = o.registry
	return o.v
}

// Lock and Unlock keep the simulator from locking the object for the whole call.
// What is here locks what it changes, while it changes it.
func (o override) Lock()   {}
func (o override) Unlock() {}

// overrides names, for a type of managed object, what stands in for it.
var overrides = map[string]func(override) mo.Reference{
	"VirtualMachine":                    func(o override) mo.Reference { return &vmMethods{o} },
	"VirtualMachineProvisioningChecker": func(o override) mo.Reference { return &checkerMethods{o} },
	"AuthorizationManager":              func(o override) mo.Reference { return &authorizationMethods{o} },
	"SessionManager":                    func(o override) mo.Reference { return &sessionMethods{o} },
	"OvfManager":                        func(o override) mo.Reference { return &ovfMethods{o} },
	"HostSystem":                        func(o override) mo.Reference { return &hostMethods{o} },
	"Folder":                            func(o override) mo.Reference { return &folderMethods{o} },
	"ResourcePool":                      func(o override) mo.Reference { return &poolMethods{o} },
	"PropertyCollector":                 func(o override) mo.Reference { return &collectorMethods{o} },
	"VcenterVStorageObjectManager":      func(o override) mo.Reference { return &fcdMethods{o} },
}

// overridden is whether a method of this package answers a call.
func overridden(kind, method string) bool {
	make := overrides[kind]
	if make == nil {
		return false
	}
	_, ok := reflect.TypeOf(make(override{})).MethodByName(goName(method))
	return ok
}

// goName is how the simulator names a SOAP method: Foo_Task is FooTask.
func goName(method string) string {
	if base, ok := strings.CutSuffix(method, "_Task"); ok {
		method = base + "Task"
	}
	return strings.ToUpper(method[:1]) + method[1:]
}

func (v *VCenter) dispatch(ctx *simulator.Context, m *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	if ctx.Session == nil {
		if m.This.Type == "SessionManager" && m.Name == "Login" {
			return &sessionMethods{override{Self: m.This, v: v}}, nil
		}
		return nil, nil
	}
	v.sessions.note(ctx.Session)
	if !overridden(m.This.Type, m.Name) || ctx.Session.Get(m.This) == nil {
		return nil, nil // the simulator's, or its fault for what does not exist
	}
	stand := overrides[m.This.Type](override{Self: m.This, v: v, registry: ctx.Session.Registry})
	only := simulator.NewRegistry()
	only.Put(stand)
	ctx.Session.Registry = only
	return nil, nil
}
