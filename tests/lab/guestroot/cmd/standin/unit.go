package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

type state string

const (
	inactive state = "inactive"
	active   state = "active"
	failed   state = "failed"
)

// unit is one service and its process.
type unit struct {
	name    string
	manager *manager

	// gate is held for the whole of a start or stop, so that a second start waits
	// until the first is through; mu guards the fields alone.
	gate  sync.Mutex
	mu    sync.Mutex
	state state
	pid   int
	spec  *service
	gone  chan struct{} // closed when the process has ended
	asked bool          // to stop
	tries []time.Time
}

func (u *unit) is() state {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.state
}

func (u *unit) start() error {
	u.gate.Lock()
	defer u.gate.Unlock()
	if u.is() == active {
		return nil
	}
	spec, err := u.manager.load(u.name)
	if err != nil {
		return err
	}
	return u.launch(spec)
}

// launch starts the process, and waits for its word where the unit says that it gives one.
func (u *unit) launch(spec *service) error {
	for _, argv := range spec.before {
		if code, out := u.manager.guest.procs.run(argv...); code != 0 {
			return fmt.Errorf("ExecStartPre %s: exit code %d: %s", argv[0], code, out)
		}
	}
	out := os.Stdout
	if spec.log != "" {
		file, err := os.OpenFile(spec.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		if err != nil {
			return err
		}
		defer file.Close()
		out = file
	}
	c := command{argv: spec.argv, env: spec.env, dir: spec.dir, out: out, session: true}
	var word <-chan struct{}
	if spec.notify {
		socket := "/run/systemd/notify-" + u.name
		listener, ready, err := listenReady(socket)
		if err != nil {
			return err
		}
		defer listener.Close()
		word = ready
		c.env = append(c.env, "NOTIFY_SOCKET="+socket)
	}
	pid, ended, err := u.manager.guest.procs.start(c)
	if err != nil {
		u.set(failed)
		return err
	}
	gone := make(chan struct{})
	u.mu.Lock()
	u.pid, u.spec, u.gone, u.asked = pid, spec, gone, false
	if word == nil {
		u.state = active
	}
	u.mu.Unlock()
	go u.watch(spec, ended, gone)
	if word == nil {
		return nil
	}
	select {
	case <-word:
		u.set(active)
		return nil
	case <-gone:
		return fmt.Errorf("Job for %s failed because the control process exited with error code.", u.name)
	case <-time.After(90 * time.Second):
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		return errors.New("Job for " + u.name + " failed because a timeout was exceeded.")
	}
}

func (u *unit) set(s state) {
	u.mu.Lock()
	u.state = s
	u.mu.Unlock()
}

// watch waits for the end of the process, and starts it again where the unit says so.
func (u *unit) watch(spec *service, ended <-chan syscall.WaitStatus, gone chan struct{}) {
	status := <-ended
	u.mu.Lock()
	clean := status.Exited() && status.ExitStatus() == 0
	wasActive, asked := u.state == active, u.asked
	u.pid = 0
	if asked || clean {
		u.state = inactive
	} else {
		u.state = failed
	}
	u.mu.Unlock()
	close(gone)
	u.manager.remember()
	if asked {
		return
	}
	say("%s ended by itself, exit code %d", u.name, exitCode(status))
	again := spec.restart == "always" || (spec.restart == "on-failure" && !clean)
	if !again || !wasActive || u.tooOften() {
		return
	}
	time.Sleep(spec.restartWait)
	_ = u.manager.start(u.name)
}

// tooOften is systemd's start limit: five starts within ten seconds.
func (u *unit) tooOften() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	kept := u.tries[:0]
	for _, t := range u.tries {
		if now.Sub(t) < 10*time.Second {
			kept = append(kept, t)
		}
	}
	u.tries = append(kept, now)
	return len(u.tries) > 5
}

// stop ends the process, by force after the unit's time.
func (u *unit) stop() {
	u.gate.Lock()
	defer u.gate.Unlock()
	u.mu.Lock()
	pid, spec, gone := u.pid, u.spec, u.gone
	u.asked = true
	if pid == 0 {
		u.state = inactive
		u.mu.Unlock()
		return
	}
	u.mu.Unlock()
	target := pid
	if spec.killGroup {
		target = -pid
	}
	_ = syscall.Kill(target, spec.killSignal)
	select {
	case <-gone:
	case <-time.After(spec.stopTimeout):
		say("%s did not end within %s: killing it", u.name, spec.stopTimeout)
	}
	// What it leaves behind goes with it, as a control group would.
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	<-gone
}

// listenReady gives a channel that is closed when the process at the other end of
// NOTIFY_SOCKET says READY=1.
func listenReady(path string) (net.PacketConn, <-chan struct{}, error) {
	_ = os.Remove(path)
	socket, err := net.ListenPacket("unixgram", path)
	if err != nil {
		return nil, nil, err
	}
	ready := make(chan struct{})
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, _, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			for _, line := range strings.Split(string(buffer[:n]), "\n") {
				if line == "READY=1" {
					close(ready)
					return
				}
			}
		}
	}()
	return socket, ready, nil
}
