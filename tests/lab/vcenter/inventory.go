package vcenter

import (
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const mib = int64(1) << 20

// fixtures are the objects that stay as long as the lab. The simulator would look
// through its whole inventory for each of them.
type fixtures struct {
	dc     *simulator.Datacenter
	hosts  []*simulator.HostSystem
	stores []*simulator.Datastore
}

func (v *VCenter) findFixtures() {
	v.fixtures.dc = v.registry().Any("Datacenter").(*simulator.Datacenter)
	for _, e := range v.registry().All("HostSystem") {
		v.fixtures.hosts = append(v.fixtures.hosts, e.(*simulator.HostSystem))
	}
	for _, e := range v.registry().All("Datastore") {
		v.fixtures.stores = append(v.fixtures.stores, e.(*simulator.Datastore))
	}
}

// hosts lists the hosts of all clusters.
func (v *VCenter) hosts() []*simulator.HostSystem { return v.fixtures.hosts }

// mendHosts gives every host its memory. The simulator shares the template's
// hardware between hosts.
func (v *VCenter) mendHosts() {
	size := int64(v.opts.HostMemoryGB) << 30
	for _, host := range v.hosts() {
		ctx := v.background()
		ctx.WithLock(host, func() {
			host.Hardware.MemorySize = size
			host.Summary.Hardware.MemorySize = size
			host.Summary.QuickStats.OverallMemoryUsage = int32(v.memory.use(host.Self, size/mib/10)) // ESXi's own
			host.Summary.Runtime.ConnectionState = types.HostSystemConnectionStateConnected
		})
	}
}

// hostMemory counts the megabytes in use on every host. A host can be overcommitted,
// while what it reports cannot exceed what it has.
type hostMemory struct {
	mu   sync.Mutex
	used map[types.ManagedObjectReference]int64
}

// use adds to a host's count, or takes from it, and returns the new one.
func (h *hostMemory) use(host types.ManagedObjectReference, mb int64) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.used == nil {
		h.used = map[types.ManagedObjectReference]int64{}
	}
	h.used[host] += mb
	return h.used[host]
}

// setHostFree makes every host report this much free memory.
func (v *VCenter) setHostFree(freeMB int64) {
	for _, host := range v.hosts() {
		wanted := host.Hardware.MemorySize/mib - freeMB
		v.useHost(v.background(), host.Self, wanted-v.memory.use(host.Self, 0))
	}
}

// useHost adds to a host's memory in use, or takes from it.
func (v *VCenter) useHost(ctx *simulator.Context, ref types.ManagedObjectReference, mb int64) {
	host, ok := v.registry().Get(ref).(*simulator.HostSystem)
	if !ok {
		return
	}
	ctx.WithLock(host, func() {
		stats := host.Summary.QuickStats
		stats.OverallMemoryUsage = int32(min(v.memory.use(ref, mb), host.Hardware.MemorySize/mib))
		ctx.Update(host, []types.PropertyChange{{Name: "summary.quickStats", Val: stats}})
	})
}

func (v *VCenter) datastores() []*simulator.Datastore { return v.fixtures.stores }

func (v *VCenter) setDatastoreFree(bytes int64) {
	for _, ds := range v.datastores() {
		v.changeFree(v.background(), ds, func(int64) int64 { return bytes })
	}
}

func (v *VCenter) changeFree(ctx *simulator.Context, ds *simulator.Datastore, f func(int64) int64) {
	ctx.WithLock(ds, func() {
		free := f(ds.Summary.FreeSpace)
		ds.Info.GetDatastoreInfo().FreeSpace = free
		ctx.Update(ds, []types.PropertyChange{{Name: "summary.freeSpace", Val: free}})
	})
}

// returnSpace gives back what the simulator took for a new VM's disks.
func (v *VCenter) returnSpace(ctx *simulator.Context, vm *simulator.VirtualMachine) {
	var size int64
	var home object.DatastorePath
	ctx.WithLock(vm, func() {
		home = vmDirectory(vm)
		for _, d := range vm.Config.Hardware.Device {
			if disk, ok := d.(*types.VirtualDisk); ok {
				size += disk.CapacityInBytes
			}
		}
	})
	if ds := v.datastoreByName(home.Datastore); ds != nil {
		v.changeFree(ctx, ds, func(free int64) int64 { return free + size })
	}
}

// datastoreByName is nil where there is none of that name.
func (v *VCenter) datastoreByName(name string) *simulator.Datastore {
	for _, ds := range v.datastores() {
		if ds.Name == name {
			return ds
		}
	}
	return nil
}

// datacenter is the one datacenter.
func (v *VCenter) datacenter() *simulator.Datacenter { return v.fixtures.dc }

// folderPath is where an entity stands below the datacenter's VM folder.
func (v *VCenter) folderPath(e mo.Entity) string {
	root := v.datacenter().VmFolder
	var names []string
	for parent := e.Entity().Parent; parent != nil && *parent != root; {
		p, ok := v.registry().Get(*parent).(mo.Entity)
		if !ok {
			break
		}
		names = append([]string{p.Entity().Name}, names...)
		parent = p.Entity().Parent
	}
	return strings.Join(names, "/")
}

// folderAt finds a VM folder by its path, and makes what is missing of it.
func (v *VCenter) folderAt(ctx *simulator.Context, where string) (*simulator.Folder, error) {
	folder := v.registry().Get(v.datacenter().VmFolder).(*simulator.Folder)
	for _, name := range strings.Split(strings.Trim(where, "/"), "/") {
		if name == "" {
			continue
		}
		child, _ := v.registry().FindByName(name, folder.ChildEntity).(*simulator.Folder)
		if child == nil {
			res := folder.CreateFolder(ctx, &types.CreateFolder{This: folder.Self, Name: name})
			if f := res.Fault(); f != nil {
				return nil, fmt.Errorf("make folder %s: %s", name, f.String)
			}
			child, _ = v.registry().FindByName(name, folder.ChildEntity).(*simulator.Folder)
			if child == nil {
				return nil, fmt.Errorf("folder %s is not there after it was made", name)
			}
		}
		folder = child
	}
	return folder, nil
}

// addForeign makes VMs of others, in a folder of their own beside ours.
func (v *VCenter) addForeign(count int) error {
	if count == 0 {
		return nil
	}
	ctx := v.background()
	folder, err := v.folderAt(ctx, "others")
	if err != nil {
		return err
	}
	for i := range count {
		spec := foreignSpec(fmt.Sprintf("other-%05d", i))
		if _, err = v.createVM(ctx, folder, spec, nil); err != nil {
			return err
		}
	}
	return nil
}

// foreignSpec is a small VM that nobody here made.
func foreignSpec(name string) types.VirtualMachineConfigSpec {
	nic := esx.EthernetCard
	nic.Backing = &types.VirtualEthernetCardNetworkBackingInfo{
		VirtualDeviceDeviceBackingInfo: types.VirtualDeviceDeviceBackingInfo{DeviceName: Network}}
	return types.VirtualMachineConfigSpec{
		Name: name, GuestId: "otherLinux64Guest", NumCPUs: 1, MemoryMB: 1024,
		Files: &types.VirtualMachineFileInfo{VmPathName: "[" + Datastore + "] " + path.Join(name, name+".vmx")},
		DeviceChange: []types.BaseVirtualDeviceConfigSpec{
			&types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: &nic}},
	}
}

// createVM has the simulator make a VM, powered off, on the host or on any.
func (v *VCenter) createVM(ctx *simulator.Context, folder *simulator.Folder, spec types.VirtualMachineConfigSpec,
	host *types.ManagedObjectReference) (*simulator.VirtualMachine, error) {
	pool := v.clusterPool()
	if host != nil {
		pool = v.poolOf(*host)
	}
	vm, fault := v.createIn(ctx, folder, types.CreateVM_Task{This: folder.Self, Config: spec, Pool: pool, Host: host})
	if fault != nil {
		return nil, fmt.Errorf("make VM %s: %s", spec.Name, message(fault))
	}
	return vm, nil
}

func (v *VCenter) createIn(ctx *simulator.Context, folder *simulator.Folder, req types.CreateVM_Task) (*simulator.VirtualMachine, types.BaseMethodFault) {
	res := folder.CreateVMTask(ctx, &req)
	if f := res.Fault(); f != nil {
		return nil, f.VimFault().(types.BaseMethodFault)
	}
	task := v.hub.wait(ctx, taskOf(res))
	if task.Info.Error != nil {
		return nil, task.Info.Error.Fault
	}
	return v.registry().Get(task.Info.Result.(types.ManagedObjectReference)).(*simulator.VirtualMachine), nil
}

// clusterPool is the first cluster's root pool.
func (v *VCenter) clusterPool() types.ManagedObjectReference {
	for _, e := range v.registry().All("ClusterComputeResource") {
		if e.Entity().Name == Cluster {
			return *e.(*simulator.ClusterComputeResource).ResourcePool
		}
	}
	panic("the inventory has no cluster")
}

// poolOf is the root pool of a host's compute resource.
func (v *VCenter) poolOf(host types.ManagedObjectReference) types.ManagedObjectReference {
	h := v.registry().Get(host).(*simulator.HostSystem)
	return *v.computeResource(*h.Parent).ResourcePool
}

// computeResource is the base of a host's or a pool's owner.
func (v *VCenter) computeResource(ref types.ManagedObjectReference) *mo.ComputeResource {
	switch c := v.registry().Get(ref).(type) {
	case *simulator.ClusterComputeResource:
		return &c.ComputeResource
	case *mo.ComputeResource:
		return c
	}
	return nil
}
