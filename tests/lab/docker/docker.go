// Package docker runs the lab's VMs as Docker containers with a Docker Engine of
// their own. What is stood in for is the hypervisor alone.
//
// A disk is a container (its root) and a volume (its /var/lib/docker, since a
// Docker Engine cannot keep its layers on an overlay). Freezing is pausing, and an
// instant clone is a container made of the paused one's committed root, with a
// volume whose image layers are links into the parent's.
package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"bonneville.vsphere/lab/engine"
	"bonneville.vsphere/lab/guest"
	"bonneville.vsphere/lab/leases"
	"bonneville.vsphere/lab/mark"
)

// Options says where machines run.
type Options struct {
	Client   *engine.Client
	Image    string // the guest root, of guestroot.Ensure
	Dir      string // holds the machines' sockets and volatile state
	Progress io.Writer
}

// Kind is guest.Kind for Docker containers.
type Kind struct {
	*guest.Inventory[*disk, *machine]

	client  *engine.Client
	image   string
	dir     string
	mark    string // the value of our label, see owner.go
	network string
	subnet  netip.Prefix
	plain   atomic.Pointer[string] // the registry that guests speak to without TLS
	gateway netip.Addr
	leases  *leases.Table

	mu    sync.Mutex
	made  int
	users map[string]int // of images that were committed here
}

var _ guest.Kind = (*Kind)(nil)

// New removes what a crashed lab has left, and makes the lab's bridge.
func New(ctx context.Context, o Options) (*Kind, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := removeAbandoned(ctx, o.Client, o.Progress); err != nil {
		return nil, fmt.Errorf("removing what an earlier lab left: %w", err)
	}
	k := &Kind{
		Inventory: guest.NewInventory[*disk, *machine](),
		client:    o.Client, image: o.Image, dir: dir, mark: mark.Own(), users: map[string]int{},
	}
	if err := k.makeNetwork(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// Gateway is the host's address on the lab's bridge.
func (k *Kind) Gateway() netip.Addr { return k.gateway }

// Subnet is the lab's bridge's: x.y.z.2 to 127 are free for static addresses, and
// x.y.z.128 to 254 are leased by DHCP.
func (k *Kind) Subnet() netip.Prefix { return k.subnet }

// TrustPlain has guests that boot from now on speak to a registry without TLS. Any
// other one has to have a certificate that they trust.
func (k *Kind) TrustPlain(registry string) { k.plain.Store(&registry) }

// SetDHCP makes DHCP answer, or not, machines whose name matches the glob.
func (k *Kind) SetDHCP(glob string, answering bool) { k.leases.SetAnswering(glob, answering) }

// Close ends every machine and removes what the lab made in the engine.
func (k *Kind) Close() error {
	ctx := context.Background()
	machines := k.Running()
	failures := make([]error, len(machines))
	atMost(4, len(machines), func(i int) { failures[i] = k.PowerOff(ctx, machines[i]) })
	errs := append(failures, removeMarked(ctx, k.client, k.mark))
	return errors.Join(append(errs, os.RemoveAll(k.dir))...)
}

// atMost runs do(0) to do(n-1), a few at a time.
func atMost(few, n int, do func(i int)) {
	gate := make(chan struct{}, few)
	var all sync.WaitGroup
	for i := range n {
		gate <- struct{}{}
		all.Go(func() {
			do(i)
			<-gate
		})
	}
	all.Wait()
}

func (k *Kind) post(ctx context.Context, path string, query url.Values) error {
	return k.client.Call(ctx, "POST", path, query, nil, nil)
}
