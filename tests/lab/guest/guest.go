// Package guest is the seam between the lab's vCenter and what runs inside its VMs.
//
// The vCenter side owns inventory, power states, extraConfig and tasks; a Kind
// owns what a hypervisor would: disks' content and running machines. Nothing in a
// Kind knows of SOAP, and nothing in the vCenter knows how a guest is made.
package guest

import "context"

// Machine is what a guest is told about the VM that it runs in.
type Machine struct {
	ID       string // managed object id, for example vm-42; unique while the lab runs
	Name     string
	BiosUUID string
	MAC      string
	DiskID   string // the VM's first disk, named by its datastore path
	LogFile  string // host file behind the serial port; empty without one
	CPUs     int32
	MemoryMB int64
	RPC      RPC
}

// RPC is VMware's guest RPC as the hypervisor answers it. A Kind forwards to it
// whatever the guest's vmtoolsd or vmware-rpctool asks.
type RPC interface {
	// InfoGet reads a guestinfo key; ok is false where it has no value.
	InfoGet(key string) (value string, ok bool)
	// InfoSet sets a runtime guestinfo value; an error is shown to the guest.
	InfoSet(key, value string) error
	// Freeze is called when the guest asks for instantclone.freeze. The Kind
	// stops the machine (Kind.Freeze is called back before Freeze returns).
	Freeze() error
	// Address reports the guest's addresses, as VMware Tools would.
	Address(ips []string)
	// Exited reports that the machine ended by itself: a poweroff from inside
	// (clean) or a crash.
	Exited(clean bool)
}

// Disk is an ordinary data disk attached beside the first one.
type Disk struct {
	UUID string // as the guest sees it in /dev/disk/by-id/wwn-0x<uuid>
	File string // host file with the raw content
}

// Kind runs machines. Its methods may be called concurrently for different
// machines and return when the effect is there.
type Kind interface {
	// ImportDisk takes an uploaded disk's bytes (a host file) as DiskID.
	ImportDisk(ctx context.Context, diskID, file string) error
	// CopyDisk makes a full copy; the source's machine is off.
	CopyDisk(ctx context.Context, from, to string) error
	// RenameDisk follows a datastore move.
	RenameDisk(ctx context.Context, from, to string) error
	DeleteDisk(ctx context.Context, diskID string) error

	// PowerOn boots the machine from its disk; volatile state is empty.
	PowerOn(ctx context.Context, m Machine) error
	// Freeze halts the machine where it stands, for instant clones.
	Freeze(ctx context.Context, id string) error
	// InstantClone forks a frozen or running machine, disk and volatile state.
	InstantClone(ctx context.Context, parentID string, child Machine) error
	// Shutdown asks the guest to end and returns at once; RPC.Exited follows.
	Shutdown(ctx context.Context, id string) error
	// PowerOff ends the machine at once, as pulling the plug does. The disk stays.
	PowerOff(ctx context.Context, id string) error
	// KillProcess kills a process in the guest by its name, for fault tests.
	KillProcess(ctx context.Context, id, name string) error

	AttachDisk(ctx context.Context, id string, d Disk) error
	DetachDisk(ctx context.Context, id, uuid string) error

	// Running lists the ids of machines that exist, running or halted.
	Running() []string
	// Close ends every machine and removes all that the Kind made.
	Close() error
}
