package scripted

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"bonneville.vsphere/lab/guest"
)

const prefix = "guestinfo.bonneville."

// machine is one running guest. Its script runs in one goroutine.
type machine struct {
	guest.Machine
	kind *Kind
	rpc  host
	disk *disk
	boot string // differs at every boot
	ip   string

	stop     chan struct{} // closed at power-off
	shutdown chan struct{}
	exit     chan int

	mu     sync.Mutex
	frozen bool

	// Only the script's goroutine uses what follows.
	rule    Rule
	seq     int
	begin   time.Time
	timings map[string]float64
	box     *container
	nonce   string
}

// status is what an agent publishes.
type status struct {
	Schema    int                `json:"schema"`
	Agent     string             `json:"agent"`
	Speaks    []int              `json:"speaks"`
	Role      string             `json:"role"`
	Nonce     string             `json:"nonce"`
	Boot      string             `json:"boot"`
	Seq       int                `json:"seq"`
	Time      float64            `json:"time"`
	Phase     string             `json:"phase"`
	Reason    *reason            `json:"reason"`
	Container *container         `json:"container"`
	Network   *network           `json:"network"`
	Timings   map[string]float64 `json:"timings"`
	Log       *logState          `json:"log"`
	Images    []image            `json:"images,omitempty"`
	MemoryMB  int64              `json:"memory_mb,omitempty"`
	Engine    string             `json:"engine,omitempty"`
}

type container struct {
	ID           string `json:"id"`
	Image        string `json:"image"`
	ImageID      string `json:"image_id"`
	ImageDigest  string `json:"image_digest"`
	State        string `json:"state"`
	ExitCode     *int   `json:"exit_code"`
	OOM          bool   `json:"oom"`
	Health       string `json:"health"`
	HealthOutput string `json:"health_output"`
	Restarts     int    `json:"restarts"`
	StartedAt    string `json:"started_at"`
	FinishedAt   string `json:"finished_at"`
	Error        string `json:"error"`
}

type network struct {
	IP       string `json:"ip"`
	MAC      string `json:"mac"`
	Hostname string `json:"hostname"`
	Prefix   int    `json:"prefix"`
	Gateway  string `json:"gateway"`
}

type logState struct {
	Bytes  int64 `json:"bytes"`
	Capped bool  `json:"capped"`
}

type image struct {
	Name   string `json:"name"`
	ID     string `json:"id"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

func newImage(name string) image {
	id := sha256.Sum256([]byte(name))
	digest := sha256.Sum256(id[:])
	return image{Name: name, ID: fmt.Sprintf("sha256:%x", id), Digest: fmt.Sprintf("sha256:%x", digest), Size: 1 << 20}
}

// wait ends after a time, or with false when the machine ends first.
func (m *machine) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-m.stop:
		return false
	}
}

func (m *machine) publish(role, phase string, why *reason, more func(*status)) {
	if m.rule.Silent {
		return
	}
	m.seq++
	m.timings[phase] = time.Since(m.begin).Seconds()
	s := status{Schema: 1, Agent: "0.1.0", Speaks: []int{1, 1}, Role: role, Nonce: m.nonce, Boot: m.boot, Seq: m.seq,
		Time: float64(time.Now().UnixMicro()) / 1e6, Phase: phase, Reason: why, Container: m.box, Timings: m.timings}
	if m.rule.Speaks != nil {
		s.Speaks = m.rule.Speaks
	}
	if m.rule.StaleNonce {
		s.Nonce = "00000000000000000000000000000000"
	}
	// A clone that has just awoken has no network yet.
	if !m.rule.NoAddress && phase != "thawed" {
		s.Network = &network{IP: m.ip, MAC: m.MAC, Hostname: m.Name, Prefix: 15, Gateway: "198.18.0.1"}
	}
	if info, err := os.Stat(m.LogFile); err == nil {
		s.Log = &logState{Bytes: info.Size()}
	}
	if more != nil {
		more(&s)
	}
	text, _ := json.Marshal(s)
	if m.rule.Raw != "" {
		text = []byte(m.rule.Raw)
	}
	_ = m.rpc.InfoSet(prefix+"status", string(text)) // it may have been powered off meanwhile
}

// prepare is the host's order to a template.
type prepare struct {
	Generation string `json:"generation"`
	Images     []struct {
		Name string `json:"name"`
	} `json:"images"`
	Archives    []archive `json:"archives"`
	Prime       bool      `json:"prime"`
	LoginSealed bool      `json:"login_sealed"`
}

// runTemplate is a template's life: booting, preparing, primed or ready, frozen.
func (m *machine) runTemplate() {
	m.start()
	m.publish("template", "booting", nil, nil)
	m.address()
	order, ok := m.await("prepare", func(text string) bool { return text != "" })
	if !ok {
		return
	}
	var p prepare
	if err := json.Unmarshal([]byte(order), &p); err != nil {
		m.publish("template", "failed", &reason{"internal", "the order to prepare is no JSON: " + err.Error()}, nil)
		return
	}
	m.nonce = p.Generation
	m.publish("template", "preparing", nil, nil)
	if p.Prime && p.LoginSealed {
		if !m.publishKey() {
			return
		}
		if _, ok = m.await("login", func(text string) bool { return text != "" }); !ok {
			return
		}
	}
	images := m.disk.primed
	if p.Prime {
		images = nil
	}
	for _, a := range p.Archives {
		loaded, why := m.load(a)
		if why != nil {
			m.publish("template", "failed", why, nil)
			return
		}
		images = append(images, loaded...)
	}
	for _, i := range p.Images {
		if !slices.ContainsFunc(images, func(have image) bool { return have.Name == i.Name }) {
			images = append(images, newImage(i.Name))
		}
	}
	ready := func(s *status) { s.Images, s.MemoryMB, s.Engine = images, m.MemoryMB, "20.10.24" }
	for i, image := range p.Images {
		m.publish("template", "preparing", &reason{"progress", fmt.Sprintf("image %d/%d: %s", i+1, len(p.Images), image.Name)}, nil)
	}
	for _, step := range m.rule.Script {
		if !m.wait(step.after()) {
			return
		}
		m.publish("template", step.Phase, step.Reason, ready)
		if step.Phase == "failed" {
			return
		}
	}
	if p.Prime {
		m.disk.primed = images
		m.publish("template", "primed", nil, ready)
		<-m.ended()
		return
	}
	if !m.publishKey() {
		return
	}
	m.publish("template", "ready", nil, ready)
	if _, ok = m.await("freeze", func(text string) bool { return text == m.boot && !m.rule.NeverFreeze && !m.rule.Silent }); !ok {
		return
	}
	m.publish("template", "freezing", nil, ready)
	if err := m.rpc.Freeze(); err != nil {
		m.publish("template", "failed", &reason{"internal", "freeze: " + err.Error()}, ready)
	}
}

// publishKey makes a sealing key and publishes its public half.
func (m *machine) publishKey() bool {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		m.publish("template", "failed", &reason{"internal", err.Error()}, nil)
		return false
	}
	public, _ := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if !m.rule.Silent {
		_ = m.rpc.InfoSet(prefix+"key", base64.StdEncoding.EncodeToString(public))
	}
	return true
}

func (m *machine) start() {
	m.rule = m.kind.rule(m.Name)
	m.begin, m.timings = time.Now(), map[string]float64{}
}

// address reports the guest's address, as Tools would.
func (m *machine) address() {
	if !m.rule.NoAddress {
		m.rpc.Address([]string{m.ip})
	}
}

// ended is closed at power-off; a request to shut down is followed at once.
func (m *machine) ended() <-chan struct{} {
	over := make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-m.stop:
		case <-m.shutdown:
			m.rpc.Exited(true)
			<-m.stop
		}
	}()
	return over
}

// await returns a key's value once it is as wanted, or false when the machine ends.
func (m *machine) await(key string, wanted func(string) bool) (string, bool) {
	for {
		changed := m.rpc.Changed()
		// The first look also tells the host that Tools run.
		if value, _ := m.rpc.InfoGet(prefix + key); wanted(value) {
			return value, true
		}
		select {
		case <-changed:
		case <-m.stop:
			return "", false
		case <-m.shutdown:
			m.rpc.Exited(true)
			<-m.stop
			return "", false
		}
	}
}
