package vcenter

import (
	"fmt"
	"reflect"
	"sort"
	"strings"
	"unicode"

	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// taskOf digs the task out of any method's answer.
func taskOf(body soap.HasFault) types.ManagedObjectReference {
	res := reflect.ValueOf(body).Elem().FieldByName("Res")
	return res.Elem().FieldByName("Returnval").Interface().(types.ManagedObjectReference)
}

// faulted is a call's refusal, for any method: the simulator looks at nothing else.
type faulted struct{ fault *soap.Fault }

// Fault is what the simulator asks every answer for.
func (f faulted) Fault() *soap.Fault { return f.fault }

// message puts a fault in words, as the localized message of a task's error does.
func message(fault types.BaseMethodFault) string {
	if fault == nil {
		return ""
	}
	if m := fault.GetMethodFault(); m != nil && len(m.FaultMessage) > 0 {
		return m.FaultMessage[0].Message
	}
	switch f := fault.(type) {
	case *types.SystemError:
		return f.Reason
	case *types.DuplicateName:
		return fmt.Sprintf("The name '%s' already exists.", f.Name)
	case *types.InvalidPowerState:
		return "The attempted operation cannot be performed in the current state (" + words(string(f.ExistingState)) + ")."
	case *types.InvalidArgument:
		return "A specified parameter was not correct: " + f.InvalidProperty
	case *types.ManagedObjectNotFound:
		return "The object has already been deleted or has not been completely created"
	case *types.NoDiskSpace:
		return "Insufficient disk space on datastore '" + f.Datastore + "'."
	case *types.FileLocked:
		return "Unable to access file " + f.File + " since it is locked"
	case *types.InvalidDeviceSpec:
		return fmt.Sprintf("Invalid configuration for device '%d'.", f.DeviceIndex)
	}
	name := strings.TrimSuffix(reflect.TypeOf(fault).Elem().Name(), "Fault")
	return "The operation failed: " + words(name) + "."
}

// said gives a fault the message that vCenter sends with it.
func said[F types.BaseMethodFault](fault F, format string, args ...any) F {
	fault.GetMethodFault().FaultMessage = []types.LocalizableMessage{{
		Key: "lab", Message: fmt.Sprintf(format, args...)}}
	return fault
}

// words makes "powered off" of "poweredOff".
func words(camel string) string {
	var b strings.Builder
	for i, r := range camel {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// copied is a deep copy of a value of exported fields, as all vSphere's data is.
func copied[T any](value T) T {
	return deepCopy(reflect.ValueOf(&value).Elem()).Interface().(T)
}

func deepCopy(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		p := reflect.New(v.Type().Elem())
		p.Elem().Set(deepCopy(v.Elem()))
		return p
	case reflect.Interface:
		if v.IsNil() {
			return v
		}
		i := reflect.New(v.Type()).Elem()
		i.Set(deepCopy(v.Elem()))
		return i
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		s := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			s.Index(i).Set(deepCopy(v.Index(i)))
		}
		return s
	case reflect.Struct:
		s := reflect.New(v.Type()).Elem()
		s.Set(v) // what is not exported, as in time.Time, is copied as it stands
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				s.Field(i).Set(deepCopy(v.Field(i)))
			}
		}
		return s
	}
	return v
}

func sorted(s []string) []string {
	sort.Strings(s)
	return s
}
