package vcenter

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// Switches change how the lab behaves while it runs. A nil field leaves a switch
// as it is.
type Switches struct {
	Deny               *[]string `json:"deny,omitempty"`                // privileges that the user lacks
	Grant              *[]string `json:"grant,omitempty"`               // the only ones that the user has; empty: all
	HostMemoryFreeMB   *int64    `json:"host_memory_free_mb,omitempty"` // what every host reports as free
	DatastoreFreeGB    *float64  `json:"datastore_free_gb,omitempty"`   // free space of the datastore
	InheritExtraConfig *bool     `json:"inherit_extraconfig,omitempty"` // clones start with their source's extraConfig
	PullMode           *bool     `json:"pull_mode,omitempty"`           // hosts can get an OVA by themselves
}

type switches struct {
	mu      sync.Mutex
	deny    map[string]bool
	grant   map[string]bool
	asked   map[string]bool // those without which something would have been refused
	inherit bool
	noPull  bool
}

func (s *switches) set(n Switches) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.Deny != nil {
		s.deny = setOf(*n.Deny)
	}
	if n.Grant != nil {
		s.grant, s.asked = setOf(*n.Grant), map[string]bool{}
	}
	if n.InheritExtraConfig != nil {
		s.inherit = *n.InheritExtraConfig
	}
	if n.PullMode != nil {
		s.noPull = !*n.PullMode
	}
}

func (s *switches) inherits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inherit
}

func (s *switches) pulls() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.noPull
}

func setOf(words []string) map[string]bool {
	set := map[string]bool{}
	for _, word := range words {
		set[word] = true
	}
	return set
}

func (s *switches) denies(privilege string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Every role has System.Anonymous, System.Read and System.View.
	lacks := len(s.grant) > 0 && !s.grant[privilege] && !strings.HasPrefix(privilege, "System.")
	return s.deny[privilege] || lacks
}

// refuses is denies for work that is about to be done, which counts as asked for.
func (s *switches) refuses(privilege string) bool {
	s.mu.Lock()
	if s.asked != nil {
		s.asked[privilege] = true
	}
	s.mu.Unlock()
	return s.denies(privilege)
}

func (s *switches) whatWasAsked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.asked))
}

// restricted is whether the user lacks anything at all.
func (s *switches) restricted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.deny)+len(s.grant) > 0
}

// Switch changes how the lab behaves from now on.
func (v *VCenter) Switch(n Switches) {
	v.switches.set(n)
	if n.HostMemoryFreeMB != nil {
		v.setHostFree(*n.HostMemoryFreeMB)
	}
	if n.DatastoreFreeGB != nil {
		v.setDatastoreFree(int64(*n.DatastoreFreeGB * (1 << 30)))
	}
}

// privileges lists what a method needs, as far as the collection calls it. vSphere
// asks for them on different objects; a user that lacks one lacks it everywhere here.
var privileges = map[string][]string{
	"InstantClone_Task": {"VirtualMachine.Provisioning.Clone", "VirtualMachine.Inventory.CreateFromExisting",
		"VirtualMachine.Interact.PowerOn", "Datastore.AllocateSpace", "Resource.AssignVMToPool",
		"VirtualMachine.Config.AdvancedConfig", "VirtualMachine.Config.EditDevice", "Network.Assign"},
	"CloneVM_Task": {"VirtualMachine.Provisioning.Clone", "VirtualMachine.Inventory.CreateFromExisting",
		"Datastore.AllocateSpace", "Resource.AssignVMToPool"},
	"PowerOnVM_Task":                  {"VirtualMachine.Interact.PowerOn"},
	"PowerOffVM_Task":                 {"VirtualMachine.Interact.PowerOff"},
	"ShutdownGuest":                   {"VirtualMachine.Interact.PowerOff"},
	"ResetVM_Task":                    {"VirtualMachine.Interact.Reset"},
	"RebootGuest":                     {"VirtualMachine.Interact.Reset"},
	"Destroy_Task":                    {"VirtualMachine.Inventory.Delete"},
	"UnregisterVM":                    {"VirtualMachine.Inventory.Unregister"},
	"ReconfigureComputeResource_Task": {"Host.Inventory.EditCluster"},
	"ExitMaintenanceMode_Task":        {"Host.Config.Maintenance"},
	"Rename_Task":                     {"VirtualMachine.Config.Rename"},
	"CreateFolder":                    {"Folder.Create"},
	"MoveIntoFolder_Task":             {"VirtualMachine.Inventory.Move"},
	"CreateImportSpec":                {"VApp.Import"},
	"ImportVApp":                      {"VApp.Import"},
	"HttpNfcLeasePullFromUrls_Task":   {"VApp.PullFromUrls"},
	"MakeDirectory":                   {"Datastore.FileManagement"},
	"CreateVirtualDisk_Task":          {"Datastore.AllocateSpace"},
	"CreateDisk_Task":                 {"Datastore.FileManagement"},
	"DeleteVStorageObject_Task":       {"Datastore.FileManagement"},
	"AttachDisk_Task":                 {"VirtualMachine.Config.AddExistingDisk"},
	"DetachDisk_Task":                 {"VirtualMachine.Config.RemoveDisk"},
	"EnterMaintenanceMode_Task":       {"Host.Config.Maintenance"},
}

// denied is the first privilege that the user lacks for the call, if any.
func (v *VCenter) denied(c call) string {
	if !v.switches.restricted() {
		return ""
	}
	for _, privilege := range v.needed(c) {
		if v.switches.refuses(privilege) {
			return privilege
		}
	}
	return ""
}

func (v *VCenter) needed(c call) []string {
	switch {
	case c.Method == "Destroy_Task" && c.This.Type == "Folder":
		return []string{"Folder.Delete"}
	case c.Method == "RelocateVM_Task":
		if vm, ok := v.registry().Get(c.This).(*simulator.VirtualMachine); ok &&
			vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
			return []string{"Resource.HotMigrate"}
		}
		return []string{"Resource.ColdMigrate"}
	case c.Method == "ReconfigVM_Task":
		if m, err := simulator.UnmarshalBody(types.TypeFunc(), c.body); err == nil {
			return ofReconfiguration(m.Body.(*types.ReconfigVM_Task).Spec)
		}
	}
	return privileges[c.Method]
}

// ofReconfiguration is what the changes of a VM need, each its own privilege.
func ofReconfiguration(spec types.VirtualMachineConfigSpec) []string {
	var need []string
	add := func(changed bool, privilege string) {
		if changed {
			need = append(need, "VirtualMachine.Config."+privilege)
		}
	}
	add(spec.Name != "", "Rename")
	add(spec.Annotation != "", "Annotation")
	add(spec.NumCPUs != 0, "CPUCount")
	add(spec.MemoryMB != 0, "Memory")
	add(spec.MemoryAllocation != nil, "Resource")
	add(spec.Uuid != "" || len(spec.ExtraConfig) > 0, "AdvancedConfig")
	for _, change := range spec.DeviceChange {
		c := change.GetVirtualDeviceConfigSpec()
		_, disk := c.Device.(*types.VirtualDisk)
		edit := c.Operation == types.VirtualDeviceConfigSpecOperationEdit
		gone := c.Operation == types.VirtualDeviceConfigSpecOperationRemove
		add(disk && edit, "DiskExtend")
		add(disk && gone, "RemoveDisk")
		add(disk && !edit && !gone && c.FileOperation == "", "AddExistingDisk")
		add(disk && !edit && !gone && c.FileOperation != "", "AddNewDisk")
		add(!disk && edit, "EditDevice")
		add(!disk && !edit, "AddRemoveDevice")
	}
	return need
}
