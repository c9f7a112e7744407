package vcenter

import "sync"

// Switches change how the lab behaves while it runs. A nil field leaves a switch
// as it is.
type Switches struct {
	Deny               *[]string `json:"deny,omitempty"`                // privileges that the user lacks
	HostMemoryFreeMB   *int64    `json:"host_memory_free_mb,omitempty"` // what every host reports as free
	DatastoreFreeGB    *float64  `json:"datastore_free_gb,omitempty"`   // free space of the datastore
	InheritExtraConfig *bool     `json:"inherit_extraconfig,omitempty"` // clones start with their source's extraConfig
}

type switches struct {
	mu      sync.Mutex
	deny    map[string]bool
	inherit bool
}

func (s *switches) set(n Switches) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.Deny != nil {
		s.deny = map[string]bool{}
		for _, privilege := range *n.Deny {
			s.deny[privilege] = true
		}
	}
	if n.InheritExtraConfig != nil {
		s.inherit = *n.InheritExtraConfig
	}
}

func (s *switches) inherits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inherit
}

func (s *switches) denies(privilege string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deny[privilege]
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
	"PowerOnVM_Task":            {"VirtualMachine.Interact.PowerOn"},
	"PowerOffVM_Task":           {"VirtualMachine.Interact.PowerOff"},
	"ShutdownGuest":             {"VirtualMachine.Interact.PowerOff"},
	"ResetVM_Task":              {"VirtualMachine.Interact.Reset"},
	"RebootGuest":               {"VirtualMachine.Interact.Reset"},
	"Destroy_Task":              {"VirtualMachine.Inventory.Delete"},
	"UnregisterVM":              {"VirtualMachine.Inventory.Unregister"},
	"ReconfigVM_Task":           {"VirtualMachine.Config.AdvancedConfig", "VirtualMachine.Config.EditDevice"},
	"Rename_Task":               {"VirtualMachine.Config.Rename"},
	"CreateFolder":              {"Folder.Create"},
	"MoveIntoFolder_Task":       {"VirtualMachine.Inventory.Move"},
	"CreateImportSpec":          {"VApp.Import"},
	"ImportVApp":                {"VApp.Import"},
	"MakeDirectory":             {"Datastore.FileManagement"},
	"CreateVirtualDisk_Task":    {"Datastore.AllocateSpace"},
	"CreateDisk_Task":           {"Datastore.FileManagement"},
	"DeleteVStorageObject_Task": {"Datastore.FileManagement"},
	"AttachDisk_Task":           {"VirtualMachine.Config.AddExistingDisk"},
	"DetachDisk_Task":           {"VirtualMachine.Config.RemoveDisk"},
	"EnterMaintenanceMode_Task": {"Host.Config.Maintenance"},
}

// denied is the first privilege of the method that the user lacks, if any.
func (v *VCenter) denied(method string) string {
	v.switches.mu.Lock()
	defer v.switches.mu.Unlock()
	if len(v.switches.deny) == 0 {
		return ""
	}
	for _, privilege := range privileges[method] {
		if v.switches.deny[privilege] {
			return privilege
		}
	}
	return ""
}
