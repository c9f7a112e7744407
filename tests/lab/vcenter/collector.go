package vcenter

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// The simulator's WaitForUpdatesEx reads every object of every filter again for
// each single update of any object, which makes a wait for 25 clones quadratic and
// slow. Here a wait reads only what was touched, and reports the difference to
// what it reported last. So a change is seen however the simulator announced it.

// waiter is the state behind one property collector.
type waiter struct {
	mu        sync.Mutex
	touched   map[types.ManagedObjectReference]bool
	structure bool // an object came or went, or a view changed
	wake      chan struct{}
	cancel    context.CancelFunc

	// What follows belongs to the one wait that runs at a time.
	turn    sync.Mutex
	version int
	filters map[types.ManagedObjectReference]*filterState
	pending []types.PropertyFilterUpdate
}

// filterState is what a filter's client was told last.
type filterState struct {
	known   map[types.ManagedObjectReference]map[string]types.AnyType
	missing map[types.ManagedObjectReference]bool
}

const (
	// settle is how long further changes are gathered once there is one.
	settle = 4 * time.Millisecond
	// maxObjectUpdates is vCenter's own limit for one answer.
	maxObjectUpdates = 100
)

func (w *waiter) touch(ref types.ManagedObjectReference, structure bool) {
	w.mu.Lock()
	w.touched[ref] = true
	w.structure = w.structure || structure
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (w *waiter) take() (map[types.ManagedObjectReference]bool, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	touched, structure := w.touched, w.structure
	w.touched, w.structure = map[types.ManagedObjectReference]bool{}, false
	return touched, structure
}

// collectorMethods stands in for a property collector.
type collectorMethods struct{ override }

func (m *collectorMethods) collector(ctx *simulator.Context) *simulator.PropertyCollector {
	pc, _ := ctx.Session.Get(m.Self).(*simulator.PropertyCollector)
	return pc
}

func (v *VCenter) waiter(pc *simulator.PropertyCollector) *waiter {
	w := &waiter{touched: map[types.ManagedObjectReference]bool{}, wake: make(chan struct{}, 1),
		filters: map[types.ManagedObjectReference]*filterState{}}
	if old, ok := v.waiters.LoadOrStore(pc, w); ok {
		return old.(*waiter)
	}
	v.hub.add(w)
	return w
}

// endObject ends what hangs on an object of a session that goes away.
func (v *VCenter) endObject(object mo.Reference) {
	switch o := object.(type) {
	case *simulator.PropertyCollector:
		if w, ok := v.waiters.LoadAndDelete(o); ok {
			v.hub.remove(w.(*waiter))
			w.(*waiter).stop()
		}
	case *lease:
		o.sessionEnded()
	}
}

func (w *waiter) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cancel != nil {
		w.cancel()
	}
}

// RetrievePropertiesEx reads. Of an object that the user may view and not read,
// vCenter tells name and parent, and of each other property that it may not be read.
func (m *collectorMethods) RetrievePropertiesEx(ctx *simulator.Context, req *types.RetrievePropertiesEx) soap.HasFault {
	v := m.enter(ctx)
	res := m.collector(ctx).RetrievePropertiesEx(ctx, req)
	body, ok := res.(*methods.RetrievePropertiesExBody)
	if !ok || body.Res == nil || body.Res.Returnval == nil || !v.switches.denies(systemRead) {
		return res
	}
	for i := range body.Res.Returnval.Objects {
		hide(&body.Res.Returnval.Objects[i])
	}
	return res
}

const systemRead = "System.Read"

// unread are the types of what the services themselves are made of, and tasks, which
// need no privilege on anything in the inventory.
var unread = map[string]bool{"ServiceInstance": true, "SessionManager": true, "Task": true}

func hide(object *types.ObjectContent) {
	if unread[object.Obj.Type] {
		return
	}
	var seen []types.DynamicProperty
	for _, p := range object.PropSet {
		if p.Name == "name" || p.Name == "parent" {
			seen = append(seen, p)
			continue
		}
		object.MissingSet = append(object.MissingSet, types.MissingProperty{Path: p.Name, Fault: types.LocalizedMethodFault{
			Fault: &types.NoPermission{Object: &object.Obj, PrivilegeId: systemRead}}})
	}
	object.PropSet = seen
}

// CancelWaitForUpdates ends a wait with RequestCanceled.
func (m *collectorMethods) CancelWaitForUpdates(ctx *simulator.Context, req *types.CancelWaitForUpdates) soap.HasFault {
	v := m.enter(ctx)
	v.waiter(m.collector(ctx)).stop()
	return &methods.CancelWaitForUpdatesBody{Res: new(types.CancelWaitForUpdatesResponse)}
}

// DestroyPropertyCollector ends the collector, its wait and its filters.
func (m *collectorMethods) DestroyPropertyCollector(ctx *simulator.Context, req *types.DestroyPropertyCollector) soap.HasFault {
	v := m.enter(ctx)
	pc := m.collector(ctx)
	v.endObject(pc)
	return pc.DestroyPropertyCollector(ctx, req)
}

// WaitForUpdatesEx returns what changed since the version that the client names.
func (m *collectorMethods) WaitForUpdatesEx(ctx *simulator.Context, req *types.WaitForUpdatesEx) soap.HasFault {
	v := m.enter(ctx)
	pc := m.collector(ctx)
	w := v.waiter(pc)
	body := &methods.WaitForUpdatesExBody{}

	limit := maxObjectUpdates
	wait, cancel := context.WithCancel(v.gate.client(ctx.Session.Key, m.Self.Value))
	defer func() { cancel() }()
	if o := req.Options; o != nil {
		if o.MaxObjectUpdates > 0 && int(o.MaxObjectUpdates) < limit {
			limit = int(o.MaxObjectUpdates)
		}
		if o.MaxWaitSeconds != nil {
			wait, cancel = context.WithTimeout(wait, time.Duration(*o.MaxWaitSeconds)*time.Second)
		}
	}
	canceled := false
	w.mu.Lock()
	w.cancel = func() { canceled = true; cancel() }
	w.mu.Unlock()

	w.turn.Lock()
	defer w.turn.Unlock()
	if req.Version == "" {
		w.filters, w.pending = map[types.ManagedObjectReference]*filterState{}, nil
	} else if req.Version != fmt.Sprint(w.version) {
		body.Fault_ = simulator.Fault("", &types.InvalidCollectorVersion{})
		return body
	}
	for {
		if len(w.pending) == 0 {
			w.pending = w.changes(ctx, pc)
		}
		if len(w.pending) > 0 || req.Version == "" {
			w.version++
			set := &types.UpdateSet{Version: fmt.Sprint(w.version)}
			set.FilterSet, w.pending = page(w.pending, limit)
			if len(w.pending) > 0 {
				set.Truncated = types.NewBool(true)
			}
			body.Res = &types.WaitForUpdatesExResponse{Returnval: set}
			return body
		}
		select {
		case <-w.wake:
			time.Sleep(settle)
		case <-v.closing:
			cancel()
		case <-wait.Done():
			w.mu.Lock()
			defer w.mu.Unlock()
			if canceled {
				body.Fault_ = simulator.Fault("", &types.RequestCanceled{})
			} else {
				body.Res = &types.WaitForUpdatesExResponse{}
			}
			return body
		}
	}
}

// page splits updates after limit objects.
func page(updates []types.PropertyFilterUpdate, limit int) (now, later []types.PropertyFilterUpdate) {
	for i, u := range updates {
		if len(u.ObjectSet) > limit {
			rest := u
			rest.ObjectSet, rest.MissingSet = u.ObjectSet[limit:], nil
			u.ObjectSet = u.ObjectSet[:limit]
			return append(now, u), append([]types.PropertyFilterUpdate{rest}, updates[i+1:]...)
		}
		limit -= len(u.ObjectSet)
		now = append(now, u)
		if limit == 0 && i+1 < len(updates) {
			return now, updates[i+1:]
		}
	}
	return now, nil
}

// changes is the difference between what the filters match now and what was told.
func (w *waiter) changes(ctx *simulator.Context, pc *simulator.PropertyCollector) []types.PropertyFilterUpdate {
	touched, structure := w.take()
	var out []types.PropertyFilterUpdate
	for _, ref := range pc.Filter {
		filter, ok := ctx.Session.Get(ref).(*simulator.PropertyFilter)
		if !ok {
			continue
		}
		state := w.filters[ref]
		fresh := state == nil
		if fresh {
			state = &filterState{map[types.ManagedObjectReference]map[string]types.AnyType{}, map[types.ManagedObjectReference]bool{}}
			w.filters[ref] = state
		}
		u := types.PropertyFilterUpdate{Filter: ref}
		var read []types.ManagedObjectReference
		if fresh || structure {
			read = state.members(ctx, filter, touched, &u)
		} else {
			for ref := range touched {
				if _, ok := state.known[ref]; ok {
					read = append(read, ref)
				}
			}
		}
		state.compare(ctx, pc, filter, read, &u)
		if len(u.ObjectSet) > 0 || len(u.MissingSet) > 0 {
			out = append(out, u)
		}
	}
	return out
}

// members finds what the filter matches now, reports what left, and returns what
// has to be read: the new ones and the touched ones.
func (s *filterState) members(ctx *simulator.Context, filter *simulator.PropertyFilter,
	touched map[types.ManagedObjectReference]bool, u *types.PropertyFilterUpdate) []types.ManagedObjectReference {
	var read []types.ManagedObjectReference
	now := map[types.ManagedObjectReference]bool{}
	for _, ref := range traverse(ctx, filter.Spec.ObjectSet) {
		if now[ref] {
			continue
		}
		if ctx.Session.Get(ref) == nil {
			if !s.missing[ref] && s.known[ref] == nil {
				u.MissingSet = append(u.MissingSet, types.MissingObject{Obj: ref, Fault: types.LocalizedMethodFault{
					Fault: &types.ManagedObjectNotFound{Obj: ref}}})
			}
			s.missing[ref] = true
			continue
		}
		now[ref] = true
		if s.known[ref] == nil || touched[ref] {
			read = append(read, ref)
		}
	}
	for ref := range s.known {
		if !now[ref] {
			delete(s.known, ref)
			u.ObjectSet = append(u.ObjectSet, types.ObjectUpdate{Kind: types.ObjectUpdateKindLeave, Obj: ref})
		}
	}
	return read
}

// compare reads objects and adds what is new or different to the update.
func (s *filterState) compare(ctx *simulator.Context, pc *simulator.PropertyCollector, filter *simulator.PropertyFilter,
	read []types.ManagedObjectReference, u *types.PropertyFilterUpdate) {
	if len(read) == 0 {
		return
	}
	spec := types.PropertyFilterSpec{PropSet: filter.Spec.PropSet, ReportMissingObjectsInResults: types.NewBool(true)}
	for _, ref := range read {
		spec.ObjectSet = append(spec.ObjectSet, types.ObjectSpec{Obj: ref})
	}
	res := pc.RetrievePropertiesEx(ctx, &types.RetrievePropertiesEx{SpecSet: []types.PropertyFilterSpec{spec}})
	got, ok := res.(*methods.RetrievePropertiesExBody)
	if !ok || got.Res == nil || got.Res.Returnval == nil {
		return
	}
	for _, object := range got.Res.Returnval.Objects {
		before, seen := s.known[object.Obj]
		after := make(map[string]types.AnyType, len(object.PropSet))
		update := types.ObjectUpdate{Kind: types.ObjectUpdateKindModify, Obj: object.Obj}
		if !seen {
			update.Kind, update.MissingSet = types.ObjectUpdateKindEnter, object.MissingSet
		}
		for _, p := range object.PropSet {
			after[p.Name] = p.Val
			old, had := before[p.Name]
			switch {
			case had && reflect.DeepEqual(old, p.Val):
			case seen && filter.PartialUpdates && p.Name == extraConfigPath:
				update.ChangeSet = append(update.ChangeSet, keyedChanges(old, p.Val)...)
			default:
				update.ChangeSet = append(update.ChangeSet, types.PropertyChange{
					Name: p.Name, Op: types.PropertyChangeOpAssign, Val: p.Val})
			}
		}
		for name := range before {
			if _, ok := after[name]; !ok {
				op := types.PropertyChangeOpAssign // an unset property
				if strings.HasSuffix(name, "]") {
					op = types.PropertyChangeOpRemove
				}
				update.ChangeSet = append(update.ChangeSet, types.PropertyChange{Name: name, Op: op})
			}
		}
		s.known[object.Obj] = after
		if !seen || len(update.ChangeSet) > 0 {
			u.ObjectSet = append(u.ObjectSet, update)
		}
	}
}
