package vcenter

import (
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// hub hears of every object that is made, changed or removed. It mends what the
// simulator leaves unset and tells those who wait. It is called while objects are
// locked, so it never blocks and never calls back into the inventory.
type hub struct {
	v *VCenter

	mu      sync.Mutex
	waiters map[*waiter]struct{}
	tasks   map[types.ManagedObjectReference]chan struct{} // closed when the task has ended
}

func newHub(v *VCenter) *hub {
	return &hub{v: v, waiters: map[*waiter]struct{}{}, tasks: map[types.ManagedObjectReference]chan struct{}{}}
}

// Reference makes the hub a handler in the simulator's registry.
func (h *hub) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "LabHub", Value: "hub"}
}

// PutObject is called for a new object.
func (h *hub) PutObject(_ *simulator.Context, o mo.Reference) {
	if vm, ok := o.(*simulator.VirtualMachine); ok {
		mendRuntime(vm)
	}
	h.touch(o.Reference(), true)
}

// UpdateObject is called for a changed object.
func (h *hub) UpdateObject(_ *simulator.Context, o mo.Reference, changes []types.PropertyChange) {
	ref := o.Reference()
	structure := false
	for _, c := range changes {
		switch c.Name {
		case "view", "childEntity":
			structure = true
		case "info.state":
			if c.Val == types.TaskInfoStateSuccess || c.Val == types.TaskInfoStateError {
				h.ended(ref)
			}
		}
	}
	h.touch(ref, structure)
}

// RemoveObject is called for an object that goes away.
func (h *hub) RemoveObject(_ *simulator.Context, ref types.ManagedObjectReference) {
	if ref.Type == "VirtualMachine" {
		// In a goroutine of its own: ending a guest takes time.
		go h.v.forget(ref)
	}
	h.touch(ref, true)
}

func (h *hub) touch(ref types.ManagedObjectReference, structure bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.waiters {
		w.touch(ref, structure)
	}
}

func (h *hub) add(w *waiter) {
	h.mu.Lock()
	h.waiters[w] = struct{}{}
	h.mu.Unlock()
}

func (h *hub) remove(w *waiter) {
	h.mu.Lock()
	delete(h.waiters, w)
	h.mu.Unlock()
}

func (h *hub) ended(task types.ManagedObjectReference) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if done := h.tasks[task]; done != nil {
		close(done)
		delete(h.tasks, task)
	}
}

// wait returns when one of the simulator's own tasks has ended. The simulator's
// Task.Wait polls every 10 ms, which would be most of a clone's time.
func (h *hub) wait(ctx *simulator.Context, ref types.ManagedObjectReference) *simulator.Task {
	task, ok := ctx.Map.Get(ref).(*simulator.Task)
	if !ok {
		return nil
	}
	done := make(chan struct{})
	h.mu.Lock()
	h.tasks[ref] = done
	h.mu.Unlock()
	// It may have ended before we began to listen.
	over := false
	ctx.WithLock(task, func() {
		over = task.Info.State == types.TaskInfoStateSuccess || task.Info.State == types.TaskInfoStateError
	})
	if over {
		h.ended(ref)
	}
	<-done
	// All of a task's properties are set under its lock, the state not last.
	ctx.WithLock(task, func() {})
	return task
}

// mendRuntime sets what clients expect and the simulator leaves empty: pyVmomi
// refuses an empty value of an enumeration.
func mendRuntime(vm *simulator.VirtualMachine) {
	vm.Runtime.FaultToleranceState = types.VirtualMachineFaultToleranceStateNotConfigured
	vm.Runtime.RecordReplayState = types.VirtualMachineRecordReplayStateInactive
	if vm.Runtime.InstantCloneFrozen == nil {
		vm.Runtime.InstantCloneFrozen = types.NewBool(false)
	}
	vm.Summary.Runtime.FaultToleranceState = vm.Runtime.FaultToleranceState
	vm.Summary.Runtime.RecordReplayState = vm.Runtime.RecordReplayState
	vm.Summary.Runtime.InstantCloneFrozen = vm.Runtime.InstantCloneFrozen
}
