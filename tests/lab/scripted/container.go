package scripted

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// runContainer is the life of a container's VM, from the freeze line or from a boot.
func (m *machine) runContainer(thawed bool) {
	m.start()
	m.nonce, _ = m.rpc.ExtraConfig("bonneville.nonce")
	m.rpc.InfoGet(prefix + "spec") // tells the host that Tools run
	token, _ := m.rpc.InfoGet(prefix + "start")
	fresh := token != m.disk.token
	m.disk.token = token
	m.address()
	if thawed {
		m.disk.ended = nil
	}
	steps := m.script(thawed)
	if ended := m.disk.ended; ended != nil && !fresh {
		// An end is kept on the disk, and told again at every boot.
		m.box = ended.Container
		m.publish("container", ended.Phase, ended.Reason, nil)
		steps = nil
	}
	m.log("container %s started", m.Name)
	m.follow(steps)
}

// script is what the rule says, or the usual phases.
func (m *machine) script(thawed bool) []Step {
	if len(m.rule.Script) > 0 {
		return m.rule.Script
	}
	steps := []Step{{Phase: "running"}}
	if thawed {
		steps = append([]Step{{Phase: "thawed"}}, steps...)
	}
	return steps
}

// follow plays steps, and then does what host and container ask for, to the end.
func (m *machine) follow(steps []Step) {
	for {
		var next <-chan time.Time
		if len(steps) > 0 {
			next = time.After(steps[0].after())
			if steps[0].AfterMS <= 0 {
				m.play(steps[0])
				steps = steps[1:]
				continue
			}
		}
		changed := m.rpc.Changed()
		if m.reread() {
			steps = m.script(false)
			continue
		}
		select {
		case <-m.stop:
			return
		case <-next:
			m.play(steps[0])
			steps = steps[1:]
		case <-changed:
		case code := <-m.exit:
			steps = nil
			m.end("exited", code)
		case <-m.shutdown:
			if m.rule.NeverStop {
				continue
			}
			m.publish("container", "stopping", nil, nil)
			if m.box != nil && m.box.State == "running" {
				zero := 0
				m.box.State, m.box.ExitCode, m.box.FinishedAt = "exited", &zero, now()
			}
			m.publish("container", "stopped", nil, nil)
			m.log("container %s stopped", m.Name)
			m.rpc.Exited(true)
			<-m.stop
			return
		}
	}
}

// reread looks whether the host has given a new specification, or the order to start
// a container that does not run, and reports whether there is something to do.
func (m *machine) reread() bool {
	nonce, _ := m.rpc.ExtraConfig("bonneville.nonce")
	token, _ := m.rpc.InfoGet(prefix + "start")
	idle := m.box == nil || m.box.State != "running"
	again := nonce != m.nonce || (token != m.disk.token && idle)
	m.nonce, m.disk.token = nonce, token
	if again {
		m.rule = m.kind.rule(m.Name)
		m.disk.ended = nil
	}
	return again
}

// play publishes a step.
func (m *machine) play(s Step) {
	if m.box == nil && s.Phase != "thawed" && s.Phase != "network" && s.Phase != "pulling" {
		m.box = m.newContainer()
	}
	if m.box != nil {
		box := *m.box // what was published before stays as it was
		m.box = &box
		switch s.Phase {
		case "running":
			box.State = "running"
		case "created", "creating", "starting":
			box.State = "created"
		case "exited", "failed":
			box.State, box.FinishedAt = "exited", now()
		}
		if len(s.Container) > 0 {
			_ = json.Unmarshal(s.Container, &box) // checked when the rule was set
		}
	}
	m.publish("container", s.Phase, s.Reason, nil)
	if s.Phase == "exited" {
		m.disk.ended = &status{Phase: s.Phase, Reason: s.Reason, Container: m.box}
	}
}

// end is the container's end by itself.
func (m *machine) end(phase string, code int) {
	text, _ := json.Marshal(map[string]any{"exit_code": code, "state": "exited"})
	m.log("container %s exited with %d", m.Name, code)
	step := Step{Phase: phase, Container: text}
	if code != 0 {
		step.Reason = &reason{"container_exited", fmt.Sprintf("container exited with code %d", code)}
	}
	m.play(step)
}

// newContainer knows of the container what the marks say: the specification is sealed.
func (m *machine) newContainer() *container {
	var applied struct {
		Options struct {
			Image string `json:"image"`
		} `json:"options"`
		ImageID string `json:"image_id"`
	}
	text, _ := m.rpc.ExtraConfig("bonneville.spec")
	_ = json.Unmarshal([]byte(text), &applied) // nothing is known then
	i := newImage(applied.Options.Image)
	if applied.ImageID != "" {
		i.ID = applied.ImageID
	}
	id := sha256.Sum256([]byte(m.ID + m.boot + m.nonce))
	return &container{ID: fmt.Sprintf("%x", id), Image: i.Name, ImageID: i.ID, ImageDigest: i.Digest,
		State: "created", Health: "none", StartedAt: now()}
}

func now() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000000000Z") }

func (m *machine) log(format string, args ...any) {
	if m.LogFile == "" {
		return
	}
	f, err := os.OpenFile(m.LogFile, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return // the VM is being removed
	}
	defer f.Close()
	_, _ = fmt.Fprintf(f, format+"\n", args...)
}
