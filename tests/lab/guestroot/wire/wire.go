// Package wire is what a guest's stand-ins and the lab say to each other, over a
// unix socket in a directory that both see: one request and one answer, each a
// line of JSON, then the connection ends. Nothing is left open while a guest is
// frozen.
package wire

// Socket is where the guest finds the lab.
const Socket = Directory + "/lab"

// Directory is the guest's end of the shared directory.
const Directory = "/run/vmware"

// Kinds of requests.
const (
	RPC     = "rpc"     // Command, as vmtoolsd --cmd and vmware-rpctool take it
	Boot    = "boot"    // asked once by init
	Lease   = "lease"   // DHCP
	Address = "address" // the guest's addresses have changed
)

// Request is the guest's.
type Request struct {
	Kind      string   `json:"kind"`
	Command   string   `json:"command,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
}

// Answer is the lab's.
type Answer struct {
	OK   bool   `json:"ok"`
	Text string `json:"text,omitempty"` // the value, or what went wrong

	// Hold names a file in Directory that will hold an Answer: the freeze is not
	// answered over the socket, since the guest is halted before there is one.
	Hold string `json:"hold,omitempty"`

	Boot  *BootAnswer  `json:"boot,omitempty"`
	Lease *LeaseAnswer `json:"lease,omitempty"`
}

// BootAnswer is what init has to know of the machine that it boots.
type BootAnswer struct {
	// Resume says that this is an instant clone: a machine that was running.
	Resume bool `json:"resume"`
	// InsecureRegistries are the lab's own: plain HTTP on its bridge.
	InsecureRegistries []string `json:"insecure_registries"`
}

// LeaseAnswer is a DHCP lease; Address is CIDR.
type LeaseAnswer struct {
	Address string `json:"address"`
	Gateway string `json:"gateway"`
}

// RebootCode is the exit code by which init asks for a reboot.
const RebootCode = 64

// A guest of kind vm reaches the lab over two virtio-serial ports instead.
const (
	// Port carries one request at a time: a line with an id and a Request, answered
	// by a line with the same id and an Answer.
	Port = "bonneville.rpc"
	// ToolsPort is held by the guest's vmtoolsd, which tells its addresses and runs
	// what the lab asks it to: lines of Tools.
	ToolsPort = "bonneville.tools"
	// Ports is where the guest finds both.
	Ports = "/dev/virtio-ports"
)

// Tools is a line on ToolsPort. With Run it is an order of the lab's, and its answer
// bears the same ID; with neither it tells the guest's addresses.
type Tools struct {
	ID        int      `json:"id,omitempty"`
	Run       []string `json:"run,omitempty"`
	Code      int      `json:"code"`
	Out       string   `json:"out,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
}
