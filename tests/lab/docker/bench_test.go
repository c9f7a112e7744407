package docker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bonneville.vsphere/lab/engine"
	"bonneville.vsphere/lab/guest"
	"bonneville.vsphere/lab/guestroot"
	"bonneville.vsphere/lab/images"
	"bonneville.vsphere/lab/ova"
	"bonneville.vsphere/lab/registry"
)

// bench is everything that main.go puts together for docker guests.
type bench struct {
	*testing.T
	kind     *Kind
	registry *registry.Registry
	images   map[string]string
}

// newBench skips, and says so, where no engine can be had.
func newBench(t *testing.T) *bench {
	t.Helper()
	cache, err := filepath.Abs("../../../.build/cache")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	eng, err := engine.Find(ctx, engine.Options{Dir: filepath.Join(cache, "engine"), Progress: os.Stderr})
	if err != nil {
		t.Skip("SKIPPED, no docker guests here:", err)
	}
	t.Cleanup(func() { check(t, eng.Close()) })
	root, err := guestroot.Ensure(ctx, guestroot.Options{Client: eng.Client, Cache: cache, Progress: os.Stderr})
	check(t, err)
	kind, err := New(ctx, Options{Client: eng.Client, Image: root, Dir: t.TempDir(), Progress: os.Stderr})
	check(t, err)
	t.Cleanup(func() { check(t, kind.Close()) })
	t.Cleanup(func() { consoles(t, kind) })
	served, err := registry.Serve(kind.Gateway().String() + ":0")
	check(t, err)
	t.Cleanup(func() { check(t, served.Close()) })
	kind.TrustPlain(served.Address())
	set, err := images.Build(ctx, images.Options{Cache: cache, Progress: os.Stderr})
	check(t, err)
	names, err := set.Push(ctx, served.Address())
	check(t, err)
	return &bench{T: t, kind: kind, registry: served, images: names}
}

// consoles shows what the guests have printed, once a test has failed.
func consoles(t *testing.T, k *Kind) {
	for _, id := range k.Running() {
		m, err := k.Machine(id)
		if err != nil || !t.Failed() {
			return
		}
		answer, err := k.client.Stream(context.Background(), "GET", "/containers/"+m.disk.container+"/logs",
			url.Values{"stdout": {"1"}, "stderr": {"1"}}, "", nil)
		if err != nil {
			continue
		}
		raw, _ := io.ReadAll(answer)
		answer.Close()
		t.Logf("console of %s:\n%s", m.spec.Name, raw)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rpc is a machine's end of the vCenter, as small as it can be.
type rpc struct {
	kind *Kind
	id   string
	disk string

	refuseFreeze bool

	mu      sync.Mutex
	values  map[string]string
	ips     []string
	changed chan struct{} // closed and made anew at every change
	exited  chan bool
}

func newRPC(k *Kind, id string, values map[string]string) *rpc {
	return &rpc{kind: k, id: id, values: values, changed: make(chan struct{}), exited: make(chan bool, 1)}
}

func (r *rpc) change(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *rpc) InfoGet(key string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	value, ok := r.values[key]
	return value, ok
}

func (r *rpc) InfoSet(key, value string) error {
	if key == "guestinfo.refused" {
		return errors.New("Permission denied")
	}
	r.change(func() { r.values[key] = value })
	return nil
}

func (r *rpc) Freeze() error {
	if r.refuseFreeze {
		return errors.New("not now")
	}
	err := r.kind.Freeze(context.Background(), r.id)
	r.change(func() { r.values["frozen"] = fmt.Sprint(err == nil) })
	return err
}

func (r *rpc) Address(ips []string) { r.change(func() { r.ips = ips }) }
func (r *rpc) Exited(clean bool)    { r.exited <- clean }

// wait blocks until the guest has set key to value.
func (r *rpc) wait(t *testing.T, key, value string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		r.mu.Lock()
		now, changed := r.values[key], r.changed
		r.mu.Unlock()
		if now == value {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%s: %s is %q, not %q", r.id, key, now, value)
		}
	}
}

func (r *rpc) address() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.ips, " ")
}

// agent stands for the real one: it loads an image, freezes, and runs it in each clone.
const agent = `#!/bin/sh
set -eu
image=$(vmtoolsd --cmd "info-get guestinfo.image")
if ! [ -e /run/bonneville/freeze.json ] && [ -e /var/lib/bonneville/container.json ]; then
    systemctl start docker
    docker start web
    vmtoolsd --cmd "info-set guestinfo.phase rebooted"
    exec sleep 1000
fi
if ! [ -e /run/bonneville/freeze.json ]; then
    systemctl start docker
    docker pull -q "$image"
    docker run --rm --entrypoint /web "$image" --help & sleep 0.5; docker ps -q | xargs -r docker rm -f
    echo line >/dev/ttyS0
    touch /run/bonneville/freeze.json
fi
vmtoolsd --cmd "instantclone.freeze"
rm /run/bonneville/freeze.json
vmtoolsd --cmd "info-set guestinfo.docker $(docker version --format '{{.Server.Version}}')"
systemctl restart systemd-networkd
touch /var/lib/bonneville/container.json
docker run -d --name web -p 8080:8080 "$image"
vmtoolsd --cmd "info-set guestinfo.phase running"
exec sleep 1000
`

const unit = `[Unit]
Description=The agent
[Service]
ExecStart=/opt/bonneville/agent
Restart=no
[Install]
WantedBy=multi-user.target
`

func userData(t *testing.T) string {
	t.Helper()
	file := func(path, mode, content string) map[string]string {
		return map[string]string{
			"path": path, "permissions": mode, "encoding": "b64",
			"content": base64.StdEncoding.EncodeToString([]byte(content)),
		}
	}
	raw, err := json.Marshal(map[string]any{
		"write_files": []any{
			file("/opt/bonneville/agent", "0755", agent),
			file("/var/lib/bonneville/.keep", "0644", ""),
			file("/etc/systemd/system/bonneville-agent.service", "0644", unit),
		},
		"runcmd": [][]string{
			{"systemctl", "daemon-reload"},
			{"systemctl", "enable", "bonneville-agent.service"},
			{"systemctl", "start", "--no-block", "bonneville-agent.service"},
		},
	})
	check(t, err)
	return "#cloud-config\n" + string(raw)
}

// template imports a disk, boots it and waits until it is frozen.
func (b *bench) template() *rpc {
	b.Helper()
	file := filepath.Join(b.TempDir(), "disk.vmdk")
	check(b.T, os.WriteFile(file, []byte(ova.Marker+`{"kind":"docker"}`), 0o644))
	check(b.T, b.kind.ImportDisk(b.Context(), "[ds] t/t.vmdk", file))
	r := newRPC(b.kind, "vm-1", map[string]string{
		"guestinfo.userdata": userData(b.T), "guestinfo.metadata": `{"instance-id":"one"}`,
		"guestinfo.image": b.images["web"],
	})
	start := time.Now()
	check(b.T, b.kind.PowerOn(b.Context(), guest.Machine{
		ID: "vm-1", Name: "template", MAC: "00:50:56:00:00:01", DiskID: "[ds] t/t.vmdk", CPUs: 2, MemoryMB: 1024,
		LogFile: filepath.Join(b.TempDir(), "container.log"), RPC: r,
	}))
	b.Logf("template powered on after %.2f s", time.Since(start).Seconds())
	r.wait(b.T, "frozen", "true")
	b.Logf("template frozen after %.2f s", time.Since(start).Seconds())
	return r
}

// machine makes up a machine for a disk.
func (b *bench) machine(diskID string) (*rpc, guest.Machine) {
	n := made.Add(1)
	id := fmt.Sprintf("vm-%d", 100+n)
	r := newRPC(b.kind, id, map[string]string{"guestinfo.image": b.images["web"]})
	r.disk = diskID
	return r, guest.Machine{
		ID: id, Name: "clone-" + id, MAC: fmt.Sprintf("00:50:56:00:01:%02x", n), DiskID: diskID, CPUs: 2,
		MemoryMB: 1024, RPC: r, LogFile: filepath.Join(b.TempDir(), "container.log"),
	}
}

var made atomic.Int32

// clone forks the template.
func (b *bench) clone() (*rpc, guest.Machine) {
	b.Helper()
	r, m := b.machine("")
	m.DiskID, r.disk = "[ds] "+m.ID, "[ds] "+m.ID
	check(b.T, b.kind.InstantClone(b.Context(), "vm-1", m))
	return r, m
}

// end removes a machine and its disk.
func (b *bench) end(r *rpc) {
	b.Helper()
	check(b.T, b.kind.PowerOff(b.Context(), r.id))
	check(b.T, b.kind.DeleteDisk(b.Context(), r.disk))
}

func (b *bench) get(address, path string) map[string]any {
	b.Helper()
	// A container that runs is not yet one that listens.
	var answer *http.Response
	var err error
	for range 100 {
		if answer, err = http.Get("http://" + address + ":8080" + path); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	check(b.T, err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	check(b.T, err)
	var said map[string]any
	check(b.T, json.Unmarshal(raw, &said))
	return said
}
