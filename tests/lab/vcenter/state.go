package vcenter

import (
	"sort"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// VMState is a VM as the lab's state shows it.
type VMState struct {
	Moid         string            `json:"moid"`
	Name         string            `json:"name"`
	Folder       string            `json:"folder"` // path below the datacenter's VM folder
	Host         string            `json:"host"`
	Power        string            `json:"power"`
	Frozen       bool              `json:"frozen"`
	Tools        string            `json:"tools"`
	BiosUUID     string            `json:"bios_uuid"`
	InstanceUUID string            `json:"instance_uuid"`
	IP           string            `json:"ip"`
	MAC          string            `json:"mac"`
	Kind         string            `json:"kind"`   // of bonneville: template, container, or empty
	Parent       string            `json:"parent"` // moid of what it was instant-cloned from
	ChainDepth   int               `json:"chain_depth"`
	Disks        []string          `json:"disks"`
	ExtraConfig  map[string]string `json:"extra_config"`
	Annotation   string            `json:"annotation"`
	Guest        string            `json:"guest"` // docker, scripted or none
	Template     bool              `json:"template"`
}

// State is all that the lab holds.
type State struct {
	VMs         []VMState `json:"vms"`
	Sessions    int       `json:"sessions"`
	Views       int       `json:"views"`
	Collectors  int       `json:"collectors"`
	Guests      int       `json:"guests"`
	Folders     []string  `json:"folders"`
	Violations  []string  `json:"violations"`
	OrphanFiles []string  `json:"orphan_files"`
	Volumes     []string  `json:"volumes"` // names of First Class Disks
	Leases      int       `json:"leases"`
	Tasks       int       `json:"tasks_running"`
	Privileges  []string  `json:"privileges"` // that were asked for since any were granted
}

// State reads everything. It takes time with a large inventory.
func (v *VCenter) State() State {
	s := State{VMs: []VMState{}, Folders: []string{}, Privileges: v.switches.whatWasAsked()}
	homes := map[string]bool{}
	ctx := v.background()
	for _, e := range v.registry().All("VirtualMachine") {
		vm, ok := e.(*simulator.VirtualMachine)
		if !ok {
			continue
		}
		ctx.WithLock(vm, func() {
			if vm.Config == nil || vm.Runtime.Host == nil {
				return // it is just being made
			}
			s.VMs = append(s.VMs, v.vmState(vm))
			home := vmDirectory(vm)
			homes[home.String()] = true
		})
	}
	sort.Slice(s.VMs, func(i, j int) bool { return s.VMs[i].Name < s.VMs[j].Name })
	for _, e := range v.registry().All("Folder") {
		folder, ok := e.(*simulator.Folder)
		if !ok || folder.Parent == nil || folder.Self == v.datacenter().VmFolder || !v.below(folder.Parent) {
			continue
		}
		where := folder.Name
		if above := v.folderPath(folder); above != "" {
			where = above + "/" + where
		}
		s.Folders = append(s.Folders, where)
	}
	sort.Strings(s.Folders)
	for key := range v.sessions.list() {
		if v.sessionActive(key) {
			s.Sessions++
		}
	}
	s.Views = v.countObjects("ContainerView", "ListView", "InventoryView")
	s.Collectors = v.countCollectors()
	if v.opts.Kind != nil {
		s.Guests = len(v.opts.Kind.Running())
	}
	v.leases.Range(func(any, any) bool { s.Leases++; return true })
	for _, task := range v.registry().AllReference("Task") {
		ctx.WithLock(task, func() {
			if state := task.(*simulator.Task).Info.State; state == types.TaskInfoStateRunning || state == types.TaskInfoStateQueued {
				s.Tasks++
			}
		})
	}
	v.machines.mu.Lock()
	s.Violations = append([]string{}, v.machines.violations...)
	v.machines.mu.Unlock()
	s.Volumes = v.volumes.names()
	for _, ds := range v.datastores() {
		home := object.DatastorePath{Datastore: ds.Name, Path: fcdDirectory}
		homes[home.String()] = true
	}
	s.OrphanFiles = v.orphans(homes)
	return s
}

// below is whether a folder stands below the datacenter's VM folder, or is it.
func (v *VCenter) below(ref *types.ManagedObjectReference) bool {
	for root := v.datacenter().VmFolder; ref != nil; {
		if *ref == root {
			return true
		}
		folder, ok := v.registry().Get(*ref).(*simulator.Folder)
		if !ok {
			return false
		}
		ref = folder.Parent
	}
	return false
}

// countCollectors counts the collectors that clients made beside the one that
// every session has.
func (v *VCenter) countCollectors() int {
	n := 0
	for _, registry := range v.sessions.list() {
		for _, c := range registry.AllReference("PropertyCollector") {
			if strings.HasPrefix(c.Reference().Value, "session[") {
				n++
			}
		}
	}
	return n
}

func (v *VCenter) vmState(vm *simulator.VirtualMachine) VMState {
	s := VMState{Moid: vm.Self.Value, Name: vm.Name, Folder: v.folderPath(vm), Host: v.nameOf(*vm.Runtime.Host),
		Power: string(vm.Runtime.PowerState), Tools: vm.Guest.ToolsRunningStatus, BiosUUID: vm.Config.Uuid,
		InstanceUUID: vm.Config.InstanceUuid, IP: vm.Guest.IpAddress, Annotation: vm.Config.Annotation,
		ChainDepth: chainDepth(vm), Disks: append([]string{}, diskFiles(vm)...), ExtraConfig: map[string]string{},
		Guest: "none", Template: vm.Config.Template}
	s.Frozen = vm.Runtime.InstantCloneFrozen != nil && *vm.Runtime.InstantCloneFrozen
	if len(vm.Guest.Net) > 0 {
		s.MAC = vm.Guest.Net[0].MacAddress
	}
	for _, o := range vm.Config.ExtraConfig {
		key, value := option(o)
		s.ExtraConfig[key] = value
	}
	s.Kind = s.ExtraConfig["bonneville.kind"]
	if v.machines.boots(firstDisk(vm)) {
		s.Guest = v.opts.KindName
	}
	if m := v.machines.known(vm.Self.Value); m != nil {
		m.mu.Lock()
		s.Parent = m.parent
		m.mu.Unlock()
	}
	return s
}
