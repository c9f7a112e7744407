package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

const unitDirectory = "/etc/systemd/system"

var errNoUnit = errors.New("not found")

// service is what a unit comes down to.
type service struct {
	argv        []string
	before      [][]string // ExecStartPre
	env         []string
	dir         string
	log         string // file for its output; empty for the console
	killSignal  syscall.Signal
	killGroup   bool
	stopTimeout time.Duration
	notify      bool // up when it says so, not when it runs
	restart     string
	restartWait time.Duration
}

// manager is systemd's part of process 1.
type manager struct {
	guest    *guest
	registry []string // insecure registries that dockerd is to know of

	mu      sync.Mutex
	units   map[string]*unit
	writing sync.Mutex // of activeFile
}

func newManager(g *guest, registries []string) *manager {
	return &manager{guest: g, registry: registries, units: map[string]*unit{}}
}

// unit gives the state of a unit by its full name.
func (m *manager) unit(name string) *unit {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, ok := m.units[name]
	if !ok {
		u = &unit{name: name, manager: m, state: inactive}
		m.units[name] = u
	}
	return u
}

// load reads how a unit is run.
func (m *manager) load(name string) (*service, error) {
	target, err := os.Readlink(filepath.Join(unitDirectory, name))
	if err == nil && target == os.DevNull {
		return nil, fmt.Errorf("Unit %s is masked.", name)
	}
	if name == "docker.service" {
		return m.docker()
	}
	raw, err := os.ReadFile(filepath.Join(unitDirectory, name))
	if err != nil {
		return nil, fmt.Errorf("Unit %s %w.", name, errNoUnit)
	}
	file := parseUnit(string(raw))
	s := &service{
		dir:         file.last("Service", "WorkingDirectory"),
		killSignal:  syscall.SIGTERM,
		killGroup:   file.last("Service", "KillMode") != "process" && file.last("Service", "KillMode") != "mixed",
		stopTimeout: file.seconds("Service", "TimeoutStopSec", 90*time.Second),
		restart:     file.last("Service", "Restart"),
		restartWait: file.seconds("Service", "RestartSec", 100*time.Millisecond),
		argv:        words(file.last("Service", "ExecStart")),
	}
	for _, line := range file.all("Service", "ExecStartPre") {
		s.before = append(s.before, words(strings.TrimPrefix(line, "-")))
	}
	for _, line := range file.all("Service", "Environment") {
		s.env = append(s.env, words(line)...)
	}
	if signal, ok := killSignals[file.last("Service", "KillSignal")]; ok {
		s.killSignal = signal
	}
	switch kind := file.last("Service", "Type"); kind {
	case "", "simple", "exec":
	case "notify":
		s.notify = true
	default:
		return nil, fmt.Errorf("Unit %s has Type=%s, which the lab's systemd does not know.", name, kind)
	}
	if len(s.argv) == 0 {
		return nil, fmt.Errorf("Unit %s has no ExecStart.", name)
	}
	return s, nil
}

var killSignals = map[string]syscall.Signal{
	"SIGINT": syscall.SIGINT, "SIGQUIT": syscall.SIGQUIT, "SIGUSR1": syscall.SIGUSR1, "SIGUSR2": syscall.SIGUSR2,
	"SIGHUP": syscall.SIGHUP, "SIGKILL": syscall.SIGKILL,
}

// docker is Photon's docker.service, without socket activation. The lab's registry
// is added to whatever daemon.json says: a file and a flag with the same key would
// make dockerd refuse both.
func (m *manager) docker() (*service, error) {
	s := &service{
		argv: []string{"dockerd"}, log: "/var/log/dockerd.log", notify: true, killSignal: syscall.SIGTERM,
		stopTimeout: 90 * time.Second, restart: "always", restartWait: 2 * time.Second,
	}
	const effective = "/run/docker-daemon.json"
	config := map[string]any{}
	if raw, err := os.ReadFile("/etc/docker/daemon.json"); err == nil {
		if json.Unmarshal(raw, &config) != nil {
			return s, nil // dockerd says best what is wrong with it
		}
	}
	known, _ := config["insecure-registries"].([]any)
	for _, registry := range m.registry {
		known = append(known, registry)
	}
	config["insecure-registries"] = known
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	s.argv = append(s.argv, "--config-file", effective)
	return s, os.WriteFile(effective, raw, 0o600)
}

// start brings a unit up, and returns when it is.
func (m *manager) start(name string) error {
	if builtin(name) {
		if name == "systemd-networkd.service" {
			return m.guest.net.apply()
		}
		return nil
	}
	err := m.unit(name).start()
	if err != nil {
		say("%s: %v", name, err)
	}
	m.remember()
	return err
}

func (m *manager) stop(name string) {
	if !builtin(name) {
		m.unit(name).stop()
		m.remember()
	}
}

// builtin units are what the lab's systemd is, or does not need: there is no clock
// to keep, and dockerd brings its own containerd.
func builtin(name string) bool {
	switch name {
	case "systemd-networkd.service", "systemd-timesyncd.service", "containerd.service", "docker.socket":
		return true
	}
	return false
}

// remember writes down which units run, docker first.
func (m *manager) remember() {
	m.writing.Lock()
	defer m.writing.Unlock()
	names := m.running()
	dockerFirst(names)
	_ = os.MkdirAll(filepath.Dir(activeFile), 0o755)
	_ = os.WriteFile(activeFile, []byte(strings.Join(names, "\n")), 0o644)
}

func (m *manager) running() []string {
	m.mu.Lock()
	units := make([]*unit, 0, len(m.units))
	for _, u := range m.units {
		units = append(units, u)
	}
	m.mu.Unlock()
	var names []string
	for _, u := range units {
		if u.is() == active {
			names = append(names, u.name)
		}
	}
	sort.Strings(names)
	return names
}

// stopAll ends everything, docker last: the others count on it.
func (m *manager) stopAll() {
	names := m.running()
	for _, name := range names {
		if name != "docker.service" {
			m.unit(name).stop()
		}
	}
	m.unit("docker.service").stop()
}

// enabled lists the units that a boot starts.
func (m *manager) enabled() []string {
	found, _ := filepath.Glob(filepath.Join(unitDirectory, "*.wants", "*.service"))
	var names []string
	for _, file := range found {
		if name := filepath.Base(file); !builtin(name) {
			names = append(names, name)
		}
	}
	dockerFirst(names)
	return names
}

// dockerFirst orders units as they are to be started.
func dockerFirst(names []string) {
	sort.SliceStable(names, func(a, b int) bool { return names[a] == "docker.service" && names[b] != names[a] })
}
