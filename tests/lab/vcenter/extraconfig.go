package vcenter

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const extraConfigPath = "config.extraConfig"

func keyedPath(key string) string { return fmt.Sprintf("%s[%q]", extraConfigPath, key) }

// option is one extraConfig entry. Values are strings for all that matters here.
func option(o types.BaseOptionValue) (key, value string) {
	if o == nil {
		return "", ""
	}
	v := o.GetOptionValue()
	return v.Key, fmt.Sprint(v.Value)
}

// getExtra reads a key. The VM is locked.
func getExtra(vm *simulator.VirtualMachine, key string) (string, bool) {
	for _, o := range vm.Config.ExtraConfig {
		if k, v := option(o); k == key {
			return v, true
		}
	}
	return "", false
}

// setting is a key with its new value; nil removes the key.
type setting struct {
	key   string
	value *string
}

// setExtra makes the changes that set keys, both of the keys and of the whole, as
// clients may watch either. The VM is locked; the list is not changed in place,
// for it may be in use by an answer that is being encoded.
func setExtra(vm *simulator.VirtualMachine, settings []setting) []types.PropertyChange {
	list := append([]types.BaseOptionValue{}, vm.Config.ExtraConfig...)
	var changes []types.PropertyChange
	for _, s := range settings {
		at := -1
		for i, o := range list {
			if k, _ := option(o); k == s.key {
				at = i
				break
			}
		}
		change := types.PropertyChange{Name: keyedPath(s.key), Op: types.PropertyChangeOpAssign}
		switch {
		case s.value == nil && at < 0:
			continue
		case s.value == nil:
			change.Op = types.PropertyChangeOpRemove
			list = append(list[:at], list[at+1:]...)
		default:
			o := &types.OptionValue{Key: s.key, Value: *s.value}
			change.Val = *o
			if at < 0 {
				change.Op = types.PropertyChangeOpAdd
				list = append(list, o)
			} else {
				list[at] = o
			}
		}
		changes = append(changes, change)
	}
	if len(changes) == 0 {
		return nil
	}
	vm.Config.ExtraConfig = list // the keyed changes are for those who watch: they apply to nothing
	return append(changes, types.PropertyChange{Name: extraConfigPath, Val: list})
}

// keyedChanges is the difference between two values of the whole extraConfig.
func keyedChanges(before, after types.AnyType) []types.PropertyChange {
	index := func(v types.AnyType) (map[string]types.AnyType, []string) {
		values, keys := map[string]types.AnyType{}, []string{}
		if a, ok := arrayOfOptions(v); ok {
			for _, o := range a {
				key, _ := option(o)
				values[key] = *o.GetOptionValue()
				keys = append(keys, key)
			}
		}
		return values, keys
	}
	old, oldKeys := index(before)
	now, nowKeys := index(after)
	var out []types.PropertyChange
	for _, key := range nowKeys {
		was, had := old[key]
		switch {
		case !had:
			out = append(out, types.PropertyChange{Name: keyedPath(key), Op: types.PropertyChangeOpAdd, Val: now[key]})
		case !reflect.DeepEqual(was, now[key]):
			out = append(out, types.PropertyChange{Name: keyedPath(key), Op: types.PropertyChangeOpAssign, Val: now[key]})
		}
	}
	for _, key := range oldKeys {
		if _, ok := now[key]; !ok {
			out = append(out, types.PropertyChange{Name: keyedPath(key), Op: types.PropertyChangeOpRemove})
		}
	}
	return out
}

func arrayOfOptions(v types.AnyType) ([]types.BaseOptionValue, bool) {
	switch a := v.(type) {
	case types.ArrayOfOptionValue:
		return a.OptionValue, true
	case *types.ArrayOfOptionValue:
		return a.OptionValue, true
	}
	return nil, false
}

// merged is a list with others' values on top; an empty value removes a key, as it
// does in a reconfiguration.
func merged(base, over []types.BaseOptionValue) []types.BaseOptionValue {
	replaced := map[string]bool{}
	for _, o := range over {
		key, _ := option(o)
		replaced[key] = true
	}
	var out []types.BaseOptionValue
	for _, o := range base {
		if key, _ := option(o); !replaced[key] {
			out = append(out, o)
		}
	}
	for _, o := range over {
		if key, value := option(o); value != "" {
			out = append(out, &types.OptionValue{Key: key, Value: value})
		}
	}
	return out
}

// vmxPrefixes begin the keys that are settings of the virtual machine monitor
// itself, which a clone has of its source whatever else it inherits.
var vmxPrefixes = []string{"guest_rpc.", "disk.", "isolation.", "tools.", "svga.", "pciBridge", "sched.", "monitor.", "RemoteDisplay."}

// inherited is what a clone has of its source's extraConfig.
func (v *VCenter) inherited(source []types.BaseOptionValue) []types.BaseOptionValue {
	var out []types.BaseOptionValue
	for _, o := range source {
		key, value := option(o)
		keep := v.switches.inherits()
		for _, prefix := range vmxPrefixes {
			keep = keep || strings.HasPrefix(key, prefix)
		}
		if keep {
			out = append(out, &types.OptionValue{Key: key, Value: value})
		}
	}
	return out
}
