package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"bonneville.vsphere/lab/engine"
	"bonneville.vsphere/lab/guest"
	"bonneville.vsphere/lab/guestroot/wire"
)

// machine is a VM that is powered on.
type machine struct {
	spec     guest.Machine
	disk     *disk
	listener net.Listener
	resumed  bool        // an instant clone that has not been powered off since
	thawing  atomic.Bool // its first freeze call is the one that its parent was in

	// state is held for reading by clones being made, for writing by whatever halts,
	// wakes or ends the machine.
	state    sync.RWMutex
	frozen   bool
	snapshot string // image of the root as frozen

	stopping atomic.Bool
	gone     chan struct{} // closed when the container has ended
	attached map[string]*attachment
}

// creation is what a container is made with and cannot be changed about it.
type creation struct {
	mac      string
	logFile  string
	memoryMB int64
	cpus     int32
}

func creationOf(m guest.Machine) creation {
	return creation{mac: m.MAC, logFile: m.LogFile, memoryMB: m.MemoryMB, cpus: m.CPUs}
}

// PowerOn boots a machine from its disk.
func (k *Kind) PowerOn(ctx context.Context, spec guest.Machine) error {
	d, err := k.Disk(spec.DiskID)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if m := k.poweredBy(d); m != nil {
		return fmt.Errorf("disk %s is in use by %s", spec.DiskID, m.spec.Name)
	}
	m := &machine{spec: spec, disk: d, gone: make(chan struct{})}
	if !d.blank {
		if err := emptyDir(d.runDir()); err != nil {
			return err
		}
	}
	return k.run(ctx, m)
}

// run makes the machine's container where there is none that fits, and starts it.
func (k *Kind) run(ctx context.Context, m *machine) error {
	d := m.disk
	if !d.blank {
		if err := k.fit(ctx, m); err != nil {
			return err
		}
		if err := k.listen(m); err != nil {
			return err
		}
	}
	if _, err := k.On(m.spec, m); err != nil || d.blank {
		return err
	}
	err := k.post(ctx, "/containers/"+d.container+"/start", nil)
	if err == nil {
		err = k.attachAll(ctx, m)
	}
	if err != nil {
		k.forget(m)
		return errors.Join(err, k.kill(context.WithoutCancel(ctx), d))
	}
	go k.watch(m)
	return nil
}

// fit sees that the disk's container is made as the machine is. A container's MAC
// and mounts are fixed: where they differ, its root moves to a new container.
func (k *Kind) fit(ctx context.Context, m *machine) error {
	d, wanted := m.disk, creationOf(m.spec)
	if d.container != "" && d.made == wanted {
		return nil
	}
	image := d.image
	if d.container != "" {
		var err error
		if image, err = k.commit(ctx, d.container, d); err != nil {
			return err
		}
	}
	container, err := k.create(ctx, m, image)
	if err != nil {
		return err
	}
	old := d.container
	d.image, d.container, d.made = image, container, wanted
	if old == "" {
		return nil
	}
	return remove(ctx, k.client, "/containers/"+old, nil)
}

// create makes the container: a Docker Engine runs in it without --privileged, with
// control groups of its own, so that pausing or limiting the machine reaches all of it.
func (k *Kind) create(ctx context.Context, m *machine, image string) (string, error) {
	d := m.disk
	mounts := []map[string]any{
		{"Type": "volume", "Source": d.volume.name, "Target": "/var/lib/docker"},
		{"Type": "bind", "Source": d.rpcDir(), "Target": wire.Directory},
		{"Type": "bind", "Source": d.runDir(), "Target": "/run/bonneville"},
	}
	for _, v := range d.parents {
		mounts = append(mounts, map[string]any{
			"Type": "volume", "Source": v.name, "Target": filepath.Join(parentsDir, v.name), "ReadOnly": true,
		})
	}
	if m.spec.LogFile != "" {
		log, err := os.OpenFile(m.spec.LogFile, os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return "", err
		}
		log.Close()
		file, err := filepath.Abs(m.spec.LogFile)
		if err != nil {
			return "", err
		}
		mounts = append(mounts, map[string]any{"Type": "bind", "Source": file, "Target": "/dev/ttyS0"})
	}
	endpoint := map[string]any{}
	config := map[string]any{
		"Image": image, "Entrypoint": []string{"/usr/sbin/init"}, "Hostname": "photon", "StopSignal": "SIGTERM",
		"Labels": map[string]string{label: k.mark, label + ".vm": m.spec.Name},
		"HostConfig": map[string]any{
			"NetworkMode": k.network, "CgroupnsMode": "private",
			"CapAdd": []string{"ALL"}, "CapDrop": []string{"SYS_RESOURCE"}, // which the lab's own surroundings may lack
			"SecurityOpt":       []string{"seccomp=unconfined", "apparmor=unconfined", "label=disable"},
			"MaskedPaths":       []string{},
			"ReadonlyPaths":     []string{},
			"DeviceCgroupRules": []string{fmt.Sprintf("b %d:* rwm", loopMajor)},
			"Mounts":            mounts,
			"Tmpfs":             map[string]string{"/run": "mode=755,exec", "/tmp": "mode=1777,exec"},
			"Memory":            m.spec.MemoryMB << 20, "MemorySwap": m.spec.MemoryMB << 20,
			"NanoCpus": int64(min(int(m.spec.CPUs), runtime.NumCPU())) * 1e9,
		},
		"NetworkingConfig": map[string]any{"EndpointsConfig": map[string]any{k.network: endpoint}},
	}
	if k.client.AtLeast("1.44") {
		endpoint["MacAddress"] = m.spec.MAC
	} else {
		config["MacAddress"] = m.spec.MAC
	}
	var made struct{ ID string }
	err := k.client.Call(ctx, "POST", "/containers/create", nil, config, &made)
	return made.ID, err
}

// watch waits for the machine's end, and tells of one that nobody asked us for.
func (k *Kind) watch(m *machine) {
	defer close(m.gone)
	for {
		var end struct{ StatusCode int }
		err := k.client.Call(context.Background(), "POST", "/containers/"+m.disk.container+"/wait",
			url.Values{"condition": {"not-running"}}, nil, &end)
		if m.stopping.Load() {
			return
		}
		if err == nil && end.StatusCode == wire.RebootCode && k.reboot(m) == nil {
			continue
		}
		k.forget(m)
		m.spec.RPC.Exited(err == nil && end.StatusCode == 0)
		return
	}
}

// reboot starts a machine again that has asked for it from inside.
func (k *Kind) reboot(m *machine) error {
	m.state.Lock()
	defer m.state.Unlock()
	m.resumed = false
	m.thawing.Store(false)
	if err := emptyDir(m.disk.runDir()); err != nil {
		return err
	}
	ctx := context.Background()
	k.detachAll(m)
	if err := k.post(ctx, "/containers/"+m.disk.container+"/start", nil); err != nil {
		return err
	}
	return k.attachAll(ctx, m)
}

// forget takes a machine that has ended out of the list.
func (k *Kind) forget(m *machine) {
	if m.listener != nil {
		m.listener.Close()
	}
	k.detachAll(m)
	k.Off(m.spec.ID, m)
}

// PowerOff ends a machine as pulling the plug does. One that is off already is as good.
func (k *Kind) PowerOff(ctx context.Context, id string) error {
	m, err := k.Machine(id)
	if err != nil {
		return nil
	}
	m.state.Lock()
	defer m.state.Unlock()
	m.stopping.Store(true)
	defer k.forget(m)
	if m.disk.blank {
		return nil
	}
	if err := k.kill(ctx, m.disk); err != nil {
		return err
	}
	select {
	case <-m.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// kill ends a container, paused or not. A paused one is killed before it is woken,
// so that it does not run a single instruction more.
func (k *Kind) kill(ctx context.Context, d *disk) error {
	var about struct {
		State struct {
			Pid    int
			Paused bool
		}
	}
	err := k.client.Call(ctx, "GET", "/containers/"+d.container+"/json", nil, nil, &about)
	if err != nil || about.State.Pid == 0 {
		return err
	}
	if err := syscall.Kill(about.State.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	if about.State.Paused {
		err = k.post(ctx, "/containers/"+d.container+"/unpause", nil)
		if engine.IsStatus(err, http.StatusInternalServerError) {
			return nil // it ended while being woken
		}
	}
	return err
}

// Shutdown asks init to end the machine in order.
func (k *Kind) Shutdown(ctx context.Context, id string) error {
	m, err := k.Machine(id)
	if err != nil {
		return err
	}
	m.state.RLock()
	defer m.state.RUnlock()
	if m.frozen || m.disk.blank {
		return fmt.Errorf("nothing in %s answers", m.spec.Name)
	}
	return k.post(ctx, "/containers/"+m.disk.container+"/kill", url.Values{"signal": {"SIGTERM"}})
}

// Freeze halts a machine where it stands.
func (k *Kind) Freeze(ctx context.Context, id string) error {
	m, err := k.Machine(id)
	if err != nil {
		return err
	}
	m.state.Lock()
	defer m.state.Unlock()
	if m.frozen || m.disk.blank {
		return nil
	}
	if err := k.post(ctx, "/containers/"+m.disk.container+"/pause", nil); err != nil {
		return err
	}
	m.frozen = true
	return nil
}

// emptyDir removes what is in a directory that containers have bound.
func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
