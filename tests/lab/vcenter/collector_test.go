package vcenter_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// watch is a client's picture of what a filter selects, kept up by updates alone.
type watch struct {
	*bench
	collector *property.Collector
	version   string
	known     map[types.ManagedObjectReference]map[string]types.AnyType
	waits     int
}

func (b *bench) watch(list *view.ListView, properties ...string) *watch {
	b.Helper()
	collector, err := property.DefaultCollector(b.client).Create(b.ctx)
	b.must(err)
	skip := true
	_, err = collector.CreateFilter(b.ctx, types.CreateFilter{Spec: types.PropertyFilterSpec{
		PropSet: []types.PropertySpec{{Type: "VirtualMachine", PathSet: properties}},
		ObjectSet: []types.ObjectSpec{{Obj: list.Reference(), Skip: &skip, SelectSet: []types.BaseSelectionSpec{
			&types.TraversalSpec{Type: "ListView", Path: "view"}}}},
		ReportMissingObjectsInResults: types.NewBool(true)}})
	b.must(err)
	return &watch{bench: b, collector: collector, known: map[types.ManagedObjectReference]map[string]types.AnyType{}}
}

// step takes what changed, for at most the seconds.
func (w *watch) step(seconds int32) {
	w.Helper()
	res, err := methods.WaitForUpdatesEx(w.ctx, w.client, &types.WaitForUpdatesEx{This: w.collector.Reference(),
		Version: w.version, Options: &types.WaitOptions{MaxWaitSeconds: &seconds}})
	w.must(err)
	w.waits++
	if res.Returnval == nil {
		return
	}
	w.version = res.Returnval.Version
	for _, set := range res.Returnval.FilterSet {
		if n := len(set.ObjectSet); n > 100 {
			w.Errorf("%d objects in one answer", n)
		}
		for _, o := range set.ObjectSet {
			switch o.Kind {
			case types.ObjectUpdateKindLeave:
				delete(w.known, o.Obj)
				continue
			case types.ObjectUpdateKindEnter:
				if w.known[o.Obj] != nil {
					w.Errorf("%s enters twice", o.Obj.Value)
				}
				w.known[o.Obj] = map[string]types.AnyType{}
			}
			for _, c := range o.ChangeSet {
				if c.Val == nil {
					delete(w.known[o.Obj], c.Name)
				} else {
					w.known[o.Obj][c.Name] = c.Val
				}
			}
		}
	}
	if res.Returnval.Truncated != nil && *res.Returnval.Truncated {
		w.step(seconds)
	}
}

// A client that follows updates sees in the end what a client that reads sees,
// whatever happened in between.
func TestUpdatesAmountToReads(t *testing.T) {
	b := newBench(t)
	source := b.template("source", true)
	list, err := view.NewManager(b.client).CreateListView(b.ctx, nil)
	b.must(err)
	const keyed = `config.extraConfig["guestinfo.mark"]`
	w := b.watch(list, "name", "runtime.powerState", "guest.ipAddress", keyed)
	w.step(0)

	var mu sync.Mutex
	alive := map[types.ManagedObjectReference]bool{}
	var all sync.WaitGroup
	for worker := range 4 {
		random := rand.New(rand.NewPCG(1, uint64(worker)))
		all.Go(func() {
			for i := range 6 {
				ref, err := b.instantClone(source, named(fmt.Sprintf("vm-%d-%d", worker, i)))
				if err != nil {
					t.Error(err)
					return
				}
				if _, err = list.Add(b.ctx, []types.ManagedObjectReference{ref}); err != nil {
					t.Error(err)
				}
				for range random.IntN(4) {
					b.set(ref, "guestinfo.mark", fmt.Sprint(random.IntN(3)))
				}
				mu.Lock()
				alive[ref] = true
				mu.Unlock()
				if random.IntN(3) > 0 {
					continue
				}
				b.must(b.power(ref, false))
				if random.IntN(2) == 0 {
					task, err := object.NewVirtualMachine(b.client, ref).Destroy(b.ctx)
					b.must(err)
					b.must(task.Wait(b.ctx))
					mu.Lock()
					delete(alive, ref)
					mu.Unlock()
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for working := true; working; {
		select {
		case <-done:
			working = false
		default:
		}
		w.step(1)
	}
	time.Sleep(50 * time.Millisecond) // let guests say their last
	w.step(0)
	w.step(0)

	if len(w.known) != len(alive) {
		t.Errorf("%d VMs are known of %d", len(w.known), len(alive))
	}
	for ref := range alive {
		vm := b.vm(ref)
		want := map[string]types.AnyType{"name": vm.Name, "runtime.powerState": vm.Runtime.PowerState}
		if vm.Guest.IpAddress != "" {
			want["guest.ipAddress"] = vm.Guest.IpAddress
		}
		for _, o := range vm.Config.ExtraConfig {
			if v := o.GetOptionValue(); v.Key == "guestinfo.mark" {
				want[keyed] = *v
			}
		}
		if !reflect.DeepEqual(w.known[ref], want) {
			t.Errorf("%s: %v is known of %v", vm.Name, w.known[ref], want)
		}
	}
	t.Logf("%d VMs in %d waits", len(alive), w.waits)
}

func TestWaitsEndInTime(t *testing.T) {
	b := newBench(t)
	list, err := view.NewManager(b.client).CreateListView(b.ctx, nil)
	b.must(err)
	w := b.watch(list, "name")
	w.step(0)
	begin := time.Now()
	w.step(1)
	if took := time.Since(begin); took < 900*time.Millisecond || took > 3*time.Second {
		t.Errorf("a wait of one second took %v", took)
	}
	w.version = "17"
	_, err = methods.WaitForUpdatesEx(b.ctx, b.client, &types.WaitForUpdatesEx{This: w.collector.Reference(), Version: "17"})
	if faultOf(err) != "InvalidCollectorVersion" {
		t.Error(err)
	}
	time.AfterFunc(50*time.Millisecond, func() {
		_ = w.collector.CancelWaitForUpdates(b.ctx)
	})
	_, err = methods.WaitForUpdatesEx(b.ctx, b.client, &types.WaitForUpdatesEx{This: w.collector.Reference(), Version: "1"})
	if faultOf(err) != "RequestCanceled" {
		t.Error(err)
	}
	b.must(w.collector.Destroy(b.ctx))
	b.must(list.Destroy(b.ctx))
	if s := b.vc.State(); s.Collectors != 0 || s.Views != 0 {
		t.Errorf("%d collectors and %d views are left", s.Collectors, s.Views)
	}
}
