package vcenter

import (
	"time"

	"bonneville.vsphere/lab/guest"
)

// Options is what a lab's vCenter is made of.
type Options struct {
	Hosts        int    // hosts in each cluster
	Clusters     int    // clusters in the one datacenter
	HostMemoryGB int    // memory that each host reports
	ForeignVMs   int    // VMs of others, to give the inventory a real size
	Listen       string // address of the HTTPS endpoint, port 0 for any
	Dir          string // everything that the lab writes stands below it
	APIVersion   string // what about.apiVersion says
	Delay        time.Duration
	Trace        bool // keep SOAP bodies for Traffic

	// InheritExtraConfig says whether a clone starts with its source's
	// extraConfig, which no document settles: tests run with both.
	InheritExtraConfig bool

	Kind     guest.Kind // runs what is inside the VMs
	KindName string     // "docker" or "scripted", as shown in the state
}

// Names of the inventory, which tests and the demo rely on.
const (
	Datacenter = "DC0"
	Cluster    = "DC0_C0"
	Datastore  = "LocalDS_0"
	Network    = "VM Network"
	User       = "administrator@vsphere.local"
)
