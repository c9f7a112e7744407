package vcenter

import (
	"fmt"
	"strings"

	"github.com/vmware/govmomi/ovf"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// ovfMethods stands in for the OVF manager. The simulator's own knows no SATA
// controller, no firmware and no USB controller: Photon's OVA has all of them.
type ovfMethods struct{ override }

// CreateImportSpec makes a VM's specification of a descriptor. What is wrong with
// the descriptor is told in the result, not by a fault, as vCenter does it.
func (m *ovfMethods) CreateImportSpec(ctx *simulator.Context, req *types.CreateImportSpec) soap.HasFault {
	v := m.enter(ctx)
	result := types.OvfCreateImportSpecResult{}
	if fault := v.fillImportSpec(req, &result); fault != nil {
		return faulted{simulator.Fault(message(fault), fault)}
	}
	return &methods.CreateImportSpecBody{Res: &types.CreateImportSpecResponse{Returnval: result}}
}

func (v *VCenter) fillImportSpec(req *types.CreateImportSpec, result *types.OvfCreateImportSpecResult) types.BaseMethodFault {
	params := req.Cisp.GetOvfCreateImportSpecParams()
	wrong := func(fault types.BaseMethodFault, format string, args ...any) {
		result.Error = append(result.Error, types.LocalizedMethodFault{Fault: fault, LocalizedMessage: fmt.Sprintf(format, args...)})
	}
	ds, ok := v.registry().Get(req.Datastore).(*simulator.Datastore)
	if !ok {
		return &types.ManagedObjectNotFound{Obj: req.Datastore}
	}
	if v.registry().Get(req.ResourcePool) == nil {
		return &types.ManagedObjectNotFound{Obj: req.ResourcePool}
	}
	envelope, err := ovf.Unmarshal(strings.NewReader(req.OvfDescriptor))
	if err != nil {
		wrong(&types.OvfXmlFormat{Description: err.Error()}, "OVF descriptor could not be parsed: %v", err)
		return nil
	}
	spec, err := envelope.ToConfigSpec()
	switch {
	case err != nil:
		wrong(&types.OvfUnsupportedElement{Name: "Item"}, "Unsupported hardware in the OVF descriptor: %v", err)
		return nil
	case envelope.VirtualSystem == nil || len(envelope.VirtualSystem.VirtualHardware) == 0:
		wrong(&types.OvfMissingElement{OvfElement: types.OvfElement{Name: "VirtualHardwareSection"}},
			"The OVF descriptor has no VirtualHardwareSection.")
		return nil
	}
	if p := params.DiskProvisioning; p != "" && !provisionings[p] {
		wrong(&types.OvfUnsupportedDiskProvisioning{DiskProvisioning: p}, "Disk provisioning type not supported: %s", p)
		return nil
	}
	if params.EntityName != "" {
		spec.Name = params.EntityName
	}
	spec.Version = strings.TrimSpace(strings.Split(spec.Version, ",")[0])
	spec.Files = &types.VirtualMachineFileInfo{VmPathName: "[" + ds.Name + "]"}
	v.fillDisks(&spec, envelope, params, result, wrong)
	v.fillNetworks(&spec, envelope, params, result)
	result.ImportSpec = &types.VirtualMachineImportSpec{ConfigSpec: spec, ResPoolEntity: &req.ResourcePool}
	return nil
}

var provisionings = map[string]bool{"thin": true, "thick": true, "eagerZeroedThick": true, "flat": true,
	"monolithicFlat": true, "seSparse": true}

// importKey names a disk of an import, the same in the specification and the lease.
func importKey(entity string, disk int) string {
	return fmt.Sprintf("/%s/VirtualDisk:%d", entity, disk)
}

// fillDisks has each disk made anew, and lists the files to upload.
func (v *VCenter) fillDisks(spec *types.VirtualMachineConfigSpec, envelope *ovf.Envelope, params *types.OvfCreateImportSpecParams,
	result *types.OvfCreateImportSpecResult, wrong func(types.BaseMethodFault, string, ...any)) {
	files := map[string]ovf.File{}
	for _, f := range envelope.References {
		files[f.ID] = f
	}
	var disks []*types.VirtualDisk
	for _, change := range spec.DeviceChange {
		c := change.GetVirtualDeviceConfigSpec()
		if disk, ok := c.Device.(*types.VirtualDisk); ok {
			b := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
			b.FileName, b.ThinProvisioned = "", types.NewBool(params.DiskProvisioning == "thin")
			c.FileOperation = types.VirtualDeviceConfigSpecFileOperationCreate
			disks = append(disks, disk)
		}
	}
	n := 0
	for _, item := range envelope.VirtualSystem.VirtualHardware[0].Item {
		if item.ResourceType == nil || *item.ResourceType != ovf.DiskDrive || n >= len(disks) {
			continue
		}
		n++
		if len(item.HostResource) == 0 || envelope.Disk == nil {
			continue // a blank disk
		}
		for _, d := range envelope.Disk.Disks {
			if !strings.HasSuffix(item.HostResource[0], "/"+d.DiskID) || d.FileRef == nil {
				continue
			}
			file, ok := files[*d.FileRef]
			if !ok {
				wrong(&types.OvfMissingElement{OvfElement: types.OvfElement{Name: *d.FileRef}},
					"The file %q of disk %q is not among the References.", *d.FileRef, d.DiskID)
				continue
			}
			result.FileItem = append(result.FileItem, types.OvfFileItem{DeviceId: importKey(spec.Name, n-1), Path: file.Href,
				Size: int64(file.Size), CimType: int32(ovf.DiskDrive)})
		}
	}
}

// fillNetworks connects each ethernet card: as mapped, or to the network of the
// descriptor's name, or to any, with a warning.
func (v *VCenter) fillNetworks(spec *types.VirtualMachineConfigSpec, envelope *ovf.Envelope, params *types.OvfCreateImportSpecParams,
	result *types.OvfCreateImportSpecResult) {
	var names []string
	for _, item := range envelope.VirtualSystem.VirtualHardware[0].Item {
		if item.ResourceType != nil && *item.ResourceType == ovf.EthernetAdapter {
			name := ""
			if len(item.Connection) > 0 {
				name = item.Connection[0]
			}
			names = append(names, name)
		}
	}
	n := 0
	for _, change := range spec.DeviceChange {
		d, ok := change.GetVirtualDeviceConfigSpec().Device.(types.BaseVirtualEthernetCard)
		if !ok {
			continue
		}
		name := names[n]
		n++
		var ref *types.ManagedObjectReference
		for i := range params.NetworkMapping {
			if params.NetworkMapping[i].Name == name {
				ref = &params.NetworkMapping[i].Network
			}
		}
		if ref == nil {
			if e := v.registry().FindByName(name, v.datacenter().Network); e != nil {
				found := e.Reference()
				ref = &found
			}
		}
		if ref == nil {
			result.Warning = append(result.Warning, types.LocalizedMethodFault{Fault: &types.OvfUnknownDevice{},
				LocalizedMessage: fmt.Sprintf("No network is mapped for %q.", name)})
			found := v.registry().FindByName(Network, v.datacenter().Network).Reference()
			ref = &found
		}
		d.GetVirtualEthernetCard().Backing = v.backingOf(*ref)
	}
}

// backingOf is how an ethernet card names a network.
func (v *VCenter) backingOf(ref types.ManagedObjectReference) types.BaseVirtualDeviceBackingInfo {
	if pg, ok := v.registry().Get(ref).(*simulator.DistributedVirtualPortgroup); ok {
		dvs := v.registry().Get(*pg.Config.DistributedVirtualSwitch).(*simulator.DistributedVirtualSwitch)
		return &types.VirtualEthernetCardDistributedVirtualPortBackingInfo{
			Port: types.DistributedVirtualSwitchPortConnection{PortgroupKey: pg.Key, SwitchUuid: dvs.Uuid}}
	}
	return &types.VirtualEthernetCardNetworkBackingInfo{
		VirtualDeviceDeviceBackingInfo: types.VirtualDeviceDeviceBackingInfo{DeviceName: v.nameOf(ref)}}
}
