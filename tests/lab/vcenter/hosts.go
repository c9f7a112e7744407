package vcenter

import (
	"fmt"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// HostByName is an error where there is no such host.
func (v *VCenter) hostByName(name string) (*simulator.HostSystem, error) {
	for _, host := range v.hosts() {
		if host.Name == name {
			return host, nil
		}
	}
	return nil, fmt.Errorf("no host %q", name)
}

// RestartHost has a host fail and come back: its VMs lose power, and then, as high
// availability does it, are started again, unless ha is false.
func (v *VCenter) RestartHost(name string, ha bool) error {
	host, err := v.hostByName(name)
	if err != nil {
		return err
	}
	v.connectHost(host, types.HostSystemConnectionStateNotResponding)
	ctx := v.background()
	var vms []types.ManagedObjectReference
	ctx.WithLock(host, func() { vms = append(vms, host.Vm...) })

	var wait sync.WaitGroup
	lost := make([]*machine, len(vms))
	for i, ref := range vms {
		wait.Add(1)
		go func() {
			defer wait.Done()
			m := v.machine(ref)
			if m.powerOff(v.background()) == nil {
				lost[i] = m
			}
		}()
	}
	wait.Wait()
	v.connectHost(host, types.HostSystemConnectionStateConnected)
	if !ha {
		return nil
	}
	for _, m := range lost {
		if m == nil {
			continue
		}
		wait.Add(1)
		go func() {
			defer wait.Done()
			_ = m.powerOn(v.background())
		}()
	}
	wait.Wait()
	return nil
}

// DisconnectHost takes a host out of vCenter's reach, or back. Its VMs go on.
func (v *VCenter) DisconnectHost(name string, connected bool) error {
	host, err := v.hostByName(name)
	if err != nil {
		return err
	}
	state := types.HostSystemConnectionStateDisconnected
	if connected {
		state = types.HostSystemConnectionStateConnected
	}
	v.connectHost(host, state)
	return nil
}

func (v *VCenter) connectHost(host *simulator.HostSystem, state types.HostSystemConnectionState) {
	ctx := v.background()
	var vms []types.ManagedObjectReference
	ctx.WithLock(host, func() {
		vms = append(vms, host.Vm...)
		ctx.Update(host, []types.PropertyChange{
			{Name: "runtime.connectionState", Val: state},
			{Name: "summary.runtime.connectionState", Val: state}})
	})
	vm := types.VirtualMachineConnectionStateConnected
	if state != types.HostSystemConnectionStateConnected {
		vm = types.VirtualMachineConnectionStateDisconnected
	}
	for _, ref := range vms {
		v.machine(ref).update(ctx, func(*simulator.VirtualMachine) []types.PropertyChange {
			return []types.PropertyChange{
				{Name: "runtime.connectionState", Val: vm},
				{Name: "summary.runtime.connectionState", Val: vm}}
		})
	}
}

// MaintainHost takes a host into maintenance mode or out of it. Unlike vCenter's
// task it does not wait for the host's VMs to be gone.
func (v *VCenter) MaintainHost(name string, on bool) error {
	host, err := v.hostByName(name)
	if err != nil {
		return err
	}
	v.maintain(v.background(), host, on)
	return nil
}
