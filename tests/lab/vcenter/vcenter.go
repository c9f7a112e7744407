// Package vcenter is a vCenter for tests: govmomi's simulator, with what it lacks
// added and what vSphere refuses refused.
//
// SOAP requests pass the gate (counting, faults, delays, denied privileges), then
// the simulator's dispatcher, where the methods of this package stand before its
// own (dispatch.go). Tasks run beside their request (task.go). What a hypervisor
// knows of a VM and the API does not say is kept in a machine (machine.go), and
// what runs inside a VM is a guest.Kind's.
package vcenter

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// VCenter is a running lab vCenter.
type VCenter struct {
	opts     Options
	password string
	caFile   string

	model *simulator.Model
	svc   *simulator.Service
	ctx   *simulator.Context // the lab's own, for what no request asked for

	server *server
	gate   *gate
	hub    *hub

	machines machines
	sessions sessions
	waiters  sync.Map // *simulator.PropertyCollector to *waiter
	leases   sync.Map // id in a URL to *lease
	volumes  fcds
	uploaded sync.Map // host file that came by the datastore access, and belongs to no VM
	ids      atomic.Int64
	switches switches
	memory   hostMemory
	fixtures fixtures
	tasks    sync.WaitGroup // that run now
	closing  chan struct{}
	closed   sync.Once
}

// New makes the inventory and starts serving it.
func New(opts Options) (*VCenter, error) {
	secret := make([]byte, 12)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	v := &VCenter{
		opts:     opts,
		password: hex.EncodeToString(secret),
		caFile:   filepath.Join(opts.Dir, "ca.pem"),
		closing:  make(chan struct{}),
	}
	// The simulator numbers its objects itself, all types by one counter: stay clear of it.
	v.ids.Store(1_000_000)
	v.machines.init()
	v.switches.set(Switches{InheritExtraConfig: &opts.InheritExtraConfig})
	v.gate = newGate(v)
	v.hub = newHub(v)

	if err := v.createModel(); err != nil {
		return nil, err
	}
	if err := v.serve(); err != nil {
		v.model.Remove()
		return nil, err
	}
	return v, nil
}

func (v *VCenter) createModel() error {
	m := simulator.VPX()
	m.Datacenter, m.Host, m.Pool, m.App = 1, 0, 0, 0
	m.Cluster, m.ClusterHost = v.opts.Clusters, v.opts.Hosts
	m.Machine = 0
	about := &m.ServiceContent.About
	about.ApiVersion = v.opts.APIVersion
	about.Version = shortVersion(v.opts.APIVersion)
	about.Name = "VMware vCenter Server"
	about.FullName = fmt.Sprintf("VMware vCenter Server %s build-1 (Bonneville lab)", about.Version)
	about.InstanceUuid = uuid.NewString()
	v.model = m

	// The model makes its directory where the system puts temporary files; the
	// lab's own directory is the only place that it may write to.
	if err := os.MkdirAll(v.opts.Dir, 0o755); err != nil {
		return err
	}
	before, had := os.LookupEnv("TMPDIR")
	_ = os.Setenv("TMPDIR", v.opts.Dir)
	defer func() {
		if had {
			_ = os.Setenv("TMPDIR", before)
		} else {
			_ = os.Unsetenv("TMPDIR")
		}
	}()
	if err := m.Create(); err != nil {
		return fmt.Errorf("create the inventory: %w", err)
	}
	v.svc = m.Service
	v.ctx = m.Service.Context
	m.Map().AddHandler(v.hub)
	m.Map().Handler = v.dispatch
	v.findFixtures()
	v.mendHosts()
	return v.addForeign(v.opts.ForeignVMs)
}

// registry is the simulator's table of managed objects.
func (v *VCenter) registry() *simulator.Registry { return v.ctx.Map }

// background is a context of its own for work beside a request. The simulator
// tells holders of an object's lock apart by their context's address, so each
// concurrent piece of work needs its own.
func (v *VCenter) background() *simulator.Context {
	c := *v.ctx
	return &c
}

func (v *VCenter) serve() error {
	host, _, err := splitListen(v.opts.Listen)
	if err != nil {
		return err
	}
	tlsConfig, err := ServerTLS(v.caFile, host)
	if err != nil {
		return fmt.Errorf("make the certificates: %w", err)
	}
	v.svc.RegisterSDK(v.registry(), v.registry().Path+"/vimService")
	sdk := v.svc.ServeMux // knows the paths of all SDKs

	mux := http.NewServeMux()
	mux.Handle(v.registry().Path, v.gate.wrap(sdk))
	mux.Handle(v.registry().Path+"/vimService", v.gate.wrap(sdk))
	mux.HandleFunc(v.registry().Path+"/vimServiceVersions.xml", v.svc.ServiceVersions)
	v.routes(mux)

	v.server, err = listen(v.opts.Listen, tlsConfig, mux)
	if err != nil {
		return err
	}
	// The simulator reads its own address and who may log in from here.
	v.svc.Listen = &url.URL{Scheme: "https", Host: v.server.addr(), Path: v.registry().Path,
		User: url.UserPassword(User, v.password)}
	v.registry().SessionManager().ServiceHostName = v.server.addr()
	v.registry().OptionManager().UpdateOptions(&types.UpdateOptions{
		ChangedValue: []types.BaseOptionValue{&types.OptionValue{
			Key: "vcsim.server.url", Value: "https://" + v.server.addr() + v.registry().Path}},
	})
	return nil
}

// settle waits for tasks under way: one that starts a guest must not do so behind
// the back of whoever ends all guests.
func (v *VCenter) settle() {
	done := make(chan struct{})
	go func() {
		v.tasks.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		log.Print("a task has not ended within a minute")
	}
}

// Close ends the server and every guest, and removes what the lab wrote for VMs.
func (v *VCenter) Close() error {
	var err error
	v.closed.Do(func() {
		close(v.closing)
		v.server.close()
		v.settle()
		if v.opts.Kind != nil {
			err = v.opts.Kind.Close()
		}
		v.model.Remove()
	})
	return err
}
