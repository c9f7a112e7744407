package vcenter

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// chain makes a VM whose disk stands on depth-1 others.
func chain(depth int) *simulator.VirtualMachine {
	var backing *types.VirtualDiskFlatVer2BackingInfo
	for range depth {
		backing = &types.VirtualDiskFlatVer2BackingInfo{Parent: backing}
	}
	disk := &types.VirtualDisk{}
	disk.Backing = backing
	vm := &simulator.VirtualMachine{}
	vm.Config = &types.VirtualMachineConfigInfo{}
	vm.Config.Hardware.Device = []types.BaseVirtualDevice{disk}
	return vm
}

func TestChainsHaveALimit(t *testing.T) {
	for depth, refused := range map[int]bool{1: false, 100: false, 254: false, 255: true, 300: true} {
		vm := chain(depth)
		if got := chainDepth(vm); got != depth {
			t.Errorf("depth %d, not %d", got, depth)
		}
		fault := checkChain(vm)
		if (fault != nil) != refused {
			t.Errorf("at depth %d: %v", depth, fault)
		}
		if refused && !strings.Contains(message(fault), "Unable to prepare migration") {
			t.Error(message(fault))
		}
	}
}

func TestParseCall(t *testing.T) {
	const body = `<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">` +
		`<soapenv:Header><operationID>x</operationID></soapenv:Header><soapenv:Body>` +
		`<InstantClone_Task xmlns="urn:vim25"><_this type="VirtualMachine">vm-7</_this>` +
		`<spec><name>web-1</name><location/></spec></InstantClone_Task></soapenv:Body></soapenv:Envelope>`
	c, ok := parseCall([]byte(body))
	want := types.ManagedObjectReference{Type: "VirtualMachine", Value: "vm-7"}
	if !ok || c.Method != "InstantClone_Task" || c.This != want || c.newName() != "web-1" {
		t.Errorf("%v %+v %q", ok, c, c.newName())
	}
	for _, broken := range []string{"", "no xml", "<a/>", body[:200]} {
		if _, ok := parseCall([]byte(broken)); ok {
			t.Errorf("%q was taken for a call", broken)
		}
	}
}

func TestPage(t *testing.T) {
	updates := func(sizes ...int) []types.PropertyFilterUpdate {
		var out []types.PropertyFilterUpdate
		for i, n := range sizes {
			u := types.PropertyFilterUpdate{Filter: types.ManagedObjectReference{Value: fmt.Sprint(i)}}
			for j := range n {
				u.ObjectSet = append(u.ObjectSet, types.ObjectUpdate{Obj: types.ManagedObjectReference{Value: fmt.Sprint(i, j)}})
			}
			out = append(out, u)
		}
		return out
	}
	for _, sizes := range [][]int{{}, {1}, {100}, {101}, {250}, {60, 60}, {100, 1}, {0, 3, 99, 200}} {
		all := updates(sizes...)
		seen := 0
		for rest, pages := all, 0; len(rest) > 0; pages++ {
			var now []types.PropertyFilterUpdate
			now, rest = page(rest, 100)
			n := 0
			for _, u := range now {
				n += len(u.ObjectSet)
			}
			if n > 100 || pages > 10 {
				t.Fatalf("%v: page %d of %d", sizes, pages, n)
			}
			seen += n
		}
		total := 0
		for _, n := range sizes {
			total += n
		}
		if seen != total {
			t.Errorf("%v: %d of %d", sizes, seen, total)
		}
	}
}

func options(pairs ...string) []types.BaseOptionValue {
	var out []types.BaseOptionValue
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, &types.OptionValue{Key: pairs[i], Value: pairs[i+1]})
	}
	return out
}

func TestMergedRemovesEmptyKeys(t *testing.T) {
	got := merged(options("a", "1", "b", "2"), options("b", "", "c", "3", "a", "4"))
	if want := options("c", "3", "a", "4"); !reflect.DeepEqual(got, want) {
		t.Error(got)
	}
}

func TestKeyedChanges(t *testing.T) {
	got := keyedChanges(types.ArrayOfOptionValue{OptionValue: options("same", "1", "changed", "1", "gone", "1")},
		types.ArrayOfOptionValue{OptionValue: options("same", "1", "changed", "2", "new", "1")})
	var said []string
	for _, c := range got {
		said = append(said, string(c.Op)+" "+c.Name)
	}
	want := []string{`assign config.extraConfig["changed"]`, `add config.extraConfig["new"]`, `remove config.extraConfig["gone"]`}
	if !reflect.DeepEqual(said, want) {
		t.Error(said)
	}
}

func TestSetExtraTellsKeyAndWhole(t *testing.T) {
	vm := &simulator.VirtualMachine{}
	vm.Config = &types.VirtualMachineConfigInfo{ExtraConfig: options("a", "1")}
	before := vm.Config.ExtraConfig
	two := "2"
	changes := setExtra(vm, []setting{{"a", &two}, {"absent", nil}})
	if len(changes) != 2 || changes[0].Name != `config.extraConfig["a"]` || changes[1].Name != extraConfigPath {
		t.Errorf("%+v", changes)
	}
	if _, old := option(before[0]); old != "1" {
		t.Error("the list was changed in place")
	}
	if setExtra(vm, []setting{{"absent", nil}}) != nil {
		t.Error("a change that is none")
	}
}

func TestInheritedKeepsTheMonitorsSettings(t *testing.T) {
	source := options("guestinfo.x", "1", "bonneville.kind", "template", "disk.EnableUUID", "TRUE",
		"guest_rpc.rpci.auth.cmd.info-set", "TRUE")
	for inherit, want := range map[bool]int{true: 4, false: 2} {
		v := &VCenter{}
		v.switches.set(Switches{InheritExtraConfig: &inherit})
		if got := v.inherited(source); len(got) != want {
			t.Errorf("inheriting %v: %d keys", inherit, len(got))
		}
	}
}

func TestCopiedSharesNothing(t *testing.T) {
	device := &types.VirtualVmxnet3{}
	device.Key, device.Connectable = 4000, &types.VirtualDeviceConnectInfo{Connected: true}
	list := []types.BaseVirtualDevice{device}
	c := copied(list)
	if !reflect.DeepEqual(list, c) {
		t.Error("not equal")
	}
	c[0].GetVirtualDevice().Connectable.Connected = false
	if !device.Connectable.Connected {
		t.Error("the copy is the original")
	}
}
