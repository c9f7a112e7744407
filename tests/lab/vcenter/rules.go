package vcenter

import (
	"fmt"
	"path"
	"reflect"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// Rule makes calls or tasks fail or wait.
type Rule struct {
	ID     int    `json:"id"`
	Method string `json:"method"` // SOAP name, such as InstantClone_Task, or upload; "any" or "" for all of SOAP
	Task   bool   `json:"task"`   // the task fails or waits, not the call
	After  bool   `json:"after"`  // the work is done, and the task fails, or the call's answer is lost, all the same
	// Fault is a vim25 fault's type, or http500, http503, reset, hang; empty: only wait.
	Fault     string `json:"fault"`
	Message   string `json:"message"`
	Entity    string `json:"entity"`    // pattern of the name of the object called (for a clone: its source)
	NewName   string `json:"new_name"`  // pattern of the name that the call gives
	Times     int    `json:"times"`     // 0 means once, negative always
	DelayMS   int    `json:"delay_ms"`  // before the fault, or before the work
	Privilege string `json:"privilege"` // of a NoPermission
}

func (r *Rule) message() string {
	if r.Message != "" {
		return r.Message
	}
	if r.Fault == "NoPermission" {
		return "Permission to perform this operation was denied."
	}
	return "The operation failed: " + r.Fault + "."
}

// fault makes the fault. The type's name was checked when the rule was added.
func (r *Rule) fault(object types.ManagedObjectReference) types.BaseMethodFault {
	f, ok := newFault(r.Fault)
	if !ok {
		return &types.SystemError{Reason: r.Fault}
	}
	switch x := f.(type) {
	case *types.NoPermission:
		x.Object, x.PrivilegeId = &object, r.Privilege
	case *types.SystemError:
		x.Reason = r.message()
	case *types.DisallowedMigrationDeviceAttached:
		x.Fault = types.LocalizedMethodFault{Fault: &types.MigrationFault{}, LocalizedMessage: "CD/DVD drive 1"}
	case *types.TaskInProgress:
		x.Task = types.ManagedObjectReference{Type: "Task", Value: "task-0"} // somebody else's
	}
	// A reference that vSphere always names, such as a ManagedObjectNotFound's.
	fields := reflect.ValueOf(f).Elem()
	for i := range fields.NumField() {
		if ref, ok := fields.Field(i).Addr().Interface().(*types.ManagedObjectReference); ok && ref.Type == "" {
			*ref = object
		}
	}
	return f
}

// uploadMethod is what rules call the upload of a disk, which is no SOAP call.
const uploadMethod = "upload"

var faultType = types.TypeFunc()

func newFault(name string) (types.BaseMethodFault, bool) {
	t, ok := faultType(name)
	if !ok || t.Kind() != reflect.Struct {
		return nil, false
	}
	f, ok := reflect.New(t).Interface().(types.BaseMethodFault)
	return f, ok
}

// rules is the list of active rules.
type rules struct {
	mu   sync.Mutex
	next int
	list []*Rule
}

// AddRule adds a rule for calls to come.
func (v *VCenter) AddRule(r Rule) (int, error) {
	switch r.Fault {
	case "", "http500", "http503", "reset", "hang":
		if r.Task && r.Fault != "" {
			return 0, fmt.Errorf("a task cannot fail by %q", r.Fault)
		}
	default:
		if _, ok := newFault(r.Fault); !ok {
			return 0, fmt.Errorf("vSphere has no fault %q", r.Fault)
		}
		if r.After && !r.Task {
			return 0, fmt.Errorf("a call that was carried out cannot answer with %q", r.Fault)
		}
	}
	for _, pattern := range []string{r.Entity, r.NewName} {
		if _, err := path.Match(pattern, ""); err != nil {
			return 0, fmt.Errorf("pattern %q: %w", pattern, err)
		}
	}
	if r.Times == 0 {
		r.Times = 1
	}
	s := &v.gate.rules
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	r.ID = s.next
	s.list = append(s.list, &r)
	return r.ID, nil
}

// ClearRules removes all rules.
func (v *VCenter) ClearRules() {
	v.gate.rules.mu.Lock()
	v.gate.rules.list = nil
	v.gate.rules.mu.Unlock()
}

// take finds the rule for a call. Rules for tasks are left to the task itself
// where this package runs it (ownTask), for it alone can wait before its work.
func (s *rules) take(v *VCenter, c call, ownTask bool) *Rule {
	return s.find(func(r *Rule) bool {
		if r.Task && (ownTask || !isTask(c.Method)) {
			return false
		}
		return r.matches(c.Method, func() string { return v.nameOf(c.This) }, c.newName)
	})
}

// takeTask finds the rule for a task that this package runs.
func (s *rules) takeTask(method string, entity func() string, newName string) *Rule {
	return s.find(func(r *Rule) bool {
		return r.Task && r.matches(method, entity, func() string { return newName })
	})
}

func (s *rules) find(match func(*Rule) bool) *Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range s.list {
		if !match(r) {
			continue
		}
		taken := *r
		if r.Times > 0 {
			if r.Times--; r.Times == 0 {
				s.list = append(s.list[:i:i], s.list[i+1:]...)
			}
		}
		return &taken
	}
	return nil
}

func (r *Rule) matches(method string, entity, newName func() string) bool {
	if all := r.Method == "" || r.Method == "any"; r.Method != method && !(all && method != uploadMethod) {
		return false
	}
	if r.Entity != "" {
		if ok, _ := path.Match(r.Entity, entity()); !ok {
			return false
		}
	}
	if r.NewName != "" {
		if ok, _ := path.Match(r.NewName, newName()); !ok {
			return false
		}
	}
	return true
}

func isTask(method string) bool {
	return len(method) > 5 && method[len(method)-5:] == "_Task"
}

// nameOf is a managed entity's name, empty for what has none.
func (v *VCenter) nameOf(ref types.ManagedObjectReference) string {
	if e, ok := v.registry().Get(ref).(mo.Entity); ok {
		return e.Entity().Name
	}
	return ""
}

// Calls counts the SOAP calls by method since the last reset.
func (v *VCenter) Calls() map[string]int64 {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	out := make(map[string]int64, len(v.gate.calls))
	for k, n := range v.gate.calls {
		out[k] = n
	}
	return out
}

// ResetCalls starts the count anew.
func (v *VCenter) ResetCalls() {
	v.gate.mu.Lock()
	v.gate.calls = map[string]int64{}
	v.gate.mu.Unlock()
}

// Traffic is what was traced, in the order of answers.
func (v *VCenter) Traffic() []Exchange {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	return append([]Exchange{}, v.gate.traffic...)
}

// Restart takes the endpoint away for a while and ends all sessions.
func (v *VCenter) Restart(away time.Duration) error {
	v.ExpireSessions()
	return v.server.restart(away)
}
