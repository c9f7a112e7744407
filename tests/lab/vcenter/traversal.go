package vcenter

import (
	"reflect"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// traverse lists what the object specs of a filter select, without reading any
// property but those that the traversal follows.
func traverse(ctx *simulator.Context, objects []types.ObjectSpec) []types.ManagedObjectReference {
	t := &traversal{ctx: ctx, named: map[string]*types.TraversalSpec{}}
	for _, o := range objects {
		if len(o.SelectSet) == 0 || o.Skip == nil || !*o.Skip {
			t.found = append(t.found, o.Obj)
		}
		t.remember(o.SelectSet)
		t.follow(o.Obj, o.SelectSet)
	}
	return t.found
}

type traversal struct {
	ctx   *simulator.Context
	named map[string]*types.TraversalSpec
	found []types.ManagedObjectReference
}

// remember notes named specs, which others refer to, themselves among them.
func (t *traversal) remember(set []types.BaseSelectionSpec) {
	for _, s := range set {
		if spec, ok := s.(*types.TraversalSpec); ok {
			if spec.Name != "" {
				t.named[spec.Name] = spec
			}
			t.remember(spec.SelectSet)
		}
	}
}

func (t *traversal) follow(from types.ManagedObjectReference, set []types.BaseSelectionSpec) {
	for _, s := range set {
		spec, ok := s.(*types.TraversalSpec)
		if !ok {
			spec = t.named[s.GetSelectionSpec().Name]
		}
		if spec == nil {
			continue
		}
		for _, ref := range t.references(from, spec) {
			if spec.Skip == nil || !*spec.Skip {
				t.found = append(t.found, ref)
			}
			t.follow(ref, spec.SelectSet)
		}
	}
}

// references reads the property of an object that a spec follows.
func (t *traversal) references(from types.ManagedObjectReference, spec *types.TraversalSpec) []types.ManagedObjectReference {
	object := t.ctx.Session.Get(from)
	if object == nil {
		return nil
	}
	var out []types.ManagedObjectReference
	t.ctx.WithLock(object, func() {
		value := managed(object)
		if !isA(value.Type(), spec.Type) {
			return
		}
		for _, name := range strings.Split(spec.Path, ".") {
			for value.Kind() == reflect.Pointer || value.Kind() == reflect.Interface {
				if value.IsNil() {
					return
				}
				value = value.Elem()
			}
			if value = value.FieldByName(strings.ToUpper(name[:1]) + name[1:]); !value.IsValid() {
				return
			}
		}
		switch refs := value.Interface().(type) {
		case []types.ManagedObjectReference:
			out = append(out, refs...)
		case types.ManagedObjectReference:
			out = append(out, refs)
		case *types.ManagedObjectReference:
			if refs != nil {
				out = append(out, *refs)
			}
		}
	})
	return out
}

// managed digs the vSphere type out of the simulator's own.
func managed(object mo.Reference) reflect.Value {
	value := reflect.ValueOf(object).Elem()
	for !strings.HasSuffix(value.Type().PkgPath(), "/mo") {
		value = value.Field(0)
		if value.Kind() == reflect.Pointer {
			value = value.Elem()
		}
	}
	return value
}

// isA is whether a managed type is, or is derived from, the named one.
func isA(t reflect.Type, name string) bool {
	if t.Name() == name {
		return true
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous && f.Type.Kind() == reflect.Struct && isA(f.Type, name) {
			return true
		}
	}
	return false
}
