package vcenter

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// The simulator's own tasks hold their object's lock from the request until they
// end, so that all clones of one source would run one after the other, and nobody
// could read the source meanwhile. The tasks here run beside their request and lock
// what they change only while they change it.

// job is the work of a task. Its context is its own.
type job func(ctx *simulator.Context, progress func(int32)) (types.AnyType, types.BaseMethodFault)

// taskSpec says what a task is.
type taskSpec struct {
	method  string // SOAP name
	entity  mo.Reference
	newName string // the name that it gives, for rules
	// ended, if set, is told how it ended: by its own fault, by a rule's, or by none.
	ended func(ctx *simulator.Context, fault types.BaseMethodFault)
}

// run starts a task and returns its reference.
func (v *VCenter) run(spec taskSpec, work job) types.ManagedObjectReference {
	ctx := v.background()
	task := v.newTask(ctx, spec)
	rule := v.gate.rules.takeTask(spec.method, func() string { return v.nameOf(spec.entity.Reference()) }, spec.newName)
	v.tasks.Add(1)
	go func() {
		defer v.tasks.Done()
		ctx.Map.AtomicUpdate(ctx, task, []types.PropertyChange{
			{Name: "info.startTime", Val: time.Now()},
			{Name: "info.state", Val: types.TaskInfoStateRunning},
		})
		result, fault, message := v.execute(ctx, task, rule, work)
		if spec.ended != nil {
			spec.ended(ctx, fault)
		}
		v.finish(ctx, task, result, fault, message)
	}()
	return task.Self
}

func (v *VCenter) execute(ctx *simulator.Context, task *simulator.Task, rule *Rule, work job) (types.AnyType, types.BaseMethodFault, string) {
	if rule != nil {
		select {
		case <-time.After(time.Duration(rule.DelayMS) * time.Millisecond):
		case <-v.closing:
		}
		if rule.Fault != "" && !rule.After {
			return nil, rule.fault(*task.Info.Entity), rule.message()
		}
	}
	progress := func(percent int32) {
		ctx.Map.AtomicUpdate(ctx, task, []types.PropertyChange{{Name: "info.progress", Val: percent}})
	}
	result, fault := work(ctx, progress)
	if fault == nil && rule != nil && rule.Fault != "" {
		return nil, rule.fault(*task.Info.Entity), rule.message()
	}
	return result, fault, message(fault)
}

func (v *VCenter) newTask(ctx *simulator.Context, spec taskSpec) *simulator.Task {
	name := strings.TrimSuffix(spec.method, "_Task")
	task := simulator.CreateTask(spec.entity, name, nil)
	task.Self = types.ManagedObjectReference{Type: "Task", Value: fmt.Sprintf("task-%d", v.ids.Add(1))}
	task.Info.Key = task.Self.Value
	task.Info.Task = task.Self
	task.Info.Name = spec.method
	task.Info.EntityName = v.nameOf(spec.entity.Reference())
	task.Info.DescriptionId = spec.entity.Reference().Type + "." + strings.ToLower(name[:1]) + name[1:]
	task.Info.Reason = &types.TaskReasonUser{UserName: User}
	// Putting it changes the entity's recent tasks.
	ctx.WithLock(spec.entity, func() { ctx.Map.Put(task) })
	return task
}

func (v *VCenter) finish(ctx *simulator.Context, task *simulator.Task, result types.AnyType, fault types.BaseMethodFault, message string) {
	changes := []types.PropertyChange{{Name: "info.completeTime", Val: time.Now()}}
	if fault != nil {
		changes = append(changes,
			types.PropertyChange{Name: "info.error", Val: types.LocalizedMethodFault{Fault: fault, LocalizedMessage: message}},
			types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateError})
	} else {
		changes = append(changes,
			types.PropertyChange{Name: "info.result", Val: result},
			types.PropertyChange{Name: "info.progress", Val: int32(100)},
			types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateSuccess})
	}
	ctx.Map.AtomicUpdate(ctx, task, changes)
}

// answerTask answers a call with a task that fails, for methods whose tasks the
// simulator runs.
func (v *VCenter) answerTask(w http.ResponseWriter, c call, message string, fault types.BaseMethodFault) {
	entity := v.registry().Get(c.This)
	if entity == nil {
		writeFault(w, message, fault)
		return
	}
	ctx := v.background()
	task := v.newTask(ctx, taskSpec{method: c.Method, entity: entity})
	writeTask(w, c.Method, task.Self)
	go v.finish(ctx, task, nil, fault, message)
}
