package guest

import (
	"errors"
	"testing"
)

type thing struct{ n int }

func TestDisksByTheirNames(t *testing.T) {
	v, one, two := NewInventory[*thing, *thing](), &thing{1}, &thing{2}
	first, second := v.AddDisk("a", one), v.AddDisk("a", two)
	if first != nil || second == nil {
		t.Errorf("a name was given twice: %v, %v", first, second)
	}
	_ = v.AddDisk("b", two)
	if v.RenameDisk(t.Context(), "a", "b") == nil || v.RenameDisk(t.Context(), "none", "c") == nil {
		t.Error("renamed over another disk, or what is not there")
	}
	if err := v.RenameDisk(t.Context(), "a", "c"); err != nil {
		t.Error(err)
	}
	if _, err := v.Disk("a"); err == nil {
		t.Error("the old name is left")
	}
	if d, err := v.Disk("c"); d != one || err != nil {
		t.Error(d, err)
	}
	v.DropDisk("c")
	if _, err := v.Disk("c"); err == nil {
		t.Error("it was dropped")
	}
}

func TestAMachineHasItsFurtherDisksOnAndOff(t *testing.T) {
	v, m, spec := NewInventory[*thing, *thing](), &thing{}, Machine{ID: "vm-1", Name: "one"}
	never := func(*thing) error { t.Error("plugged into what is off"); return nil }
	if err := v.Attach("vm-1", Disk{UUID: "u"}, never); err != nil {
		t.Fatal(err)
	}
	if v.Attach("vm-1", Disk{UUID: "u"}, never) == nil {
		t.Error("attached twice")
	}
	further, err := v.On(spec, m)
	if len(further) != 1 || err != nil {
		t.Error(further, err)
	}
	if _, err := v.On(spec, m); err == nil {
		t.Error("powered on twice")
	}
	refused := errors.New("refused")
	if err := v.Attach("vm-1", Disk{UUID: "w"}, func(*thing) error { return refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	if _, have := v.Further("vm-1")["w"]; have {
		t.Error("it has what could not be plugged in")
	}
	unplugged := 0
	unplug := func(*thing) error { unplugged++; return nil }
	if err := v.Detach("vm-1", "u", unplug); err != nil || unplugged != 1 {
		t.Error(err, unplugged)
	}
	if v.Detach("vm-1", "u", unplug) == nil || unplugged != 1 {
		t.Error("detached twice")
	}
}

func TestAMachineThatEndsLateDoesNotTakeItsSuccessorOut(t *testing.T) {
	v, spec := NewInventory[*thing, *thing](), Machine{ID: "vm-1", Name: "one"}
	old, next := &thing{1}, &thing{2}
	_, _ = v.On(spec, old)
	v.Off("vm-1", old)
	_, _ = v.On(spec, next)
	v.Off("vm-1", old)
	if m, err := v.Machine("vm-1"); m != next || err != nil {
		t.Error(m, err)
	}
}
