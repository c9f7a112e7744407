package vm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// process is QEMU, and the lab's ends of its channels. They are pairs of sockets, so
// that each is connected before the guest can look.
type process struct {
	command *exec.Cmd
	qmp     *qmp
	rpc     net.Conn
	tools   net.Conn
	ended   chan struct{} // closed when the process is gone
}

func wireFile(dir string) string    { return filepath.Join(dir, "wire.pcap") }
func consoleFile(dir string) string { return filepath.Join(dir, "console.log") }
func qemuFile(dir string) string    { return filepath.Join(dir, "qemu.log") }

// start runs QEMU with the guest halted, and waits until it answers.
func start(ctx context.Context, arguments []string, memory *os.File, dir string) (*process, error) {
	p := &process{command: exec.Command("qemu-system-x86_64", arguments...), ended: make(chan struct{})}
	log, err := os.OpenFile(qemuFile(dir), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.command.Stdout, p.command.Stderr = log, log
	p.command.ExtraFiles = []*os.File{memory}
	var ours [3]net.Conn
	for i, name := range []string{"qmp", "rpc", "tools"} {
		own, theirs, err := pair(name)
		if err != nil {
			return nil, err
		}
		defer theirs.Close()
		ours[i] = own
		p.command.ExtraFiles = append(p.command.ExtraFiles, theirs)
	}
	p.rpc, p.tools = ours[1], ours[2]
	// In a session of its own, for Ctrl-C in the lab's terminal must reach the lab only;
	// and not to outlive a lab that crashes.
	p.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		p.hangUp(ours[0])
		return nil, err
	}
	go func() {
		_ = p.command.Wait()
		p.hangUp(ours[0])
		close(p.ended)
	}()
	if p.qmp, err = newQMP(ctx, ours[0]); err != nil {
		p.kill()
		return nil, errors.Join(fmt.Errorf("QEMU did not start: %w", err), lastWords(dir))
	}
	return p, nil
}

func (p *process) hangUp(qmp net.Conn) {
	_, _, _ = qmp.Close(), p.rpc.Close(), p.tools.Close()
}

// kill ends QEMU at once, and waits until it is gone.
func (p *process) kill() {
	_ = p.command.Process.Kill() // that it is gone already is as good
	<-p.ended
}

// pair is a connection, and its other end as a file for a child.
func pair(name string) (net.Conn, *os.File, error) {
	both, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	own := os.NewFile(uintptr(both[0]), name)
	defer own.Close()
	connection, err := net.FileConn(own)
	if err != nil {
		return nil, nil, errors.Join(err, syscall.Close(both[1]))
	}
	return connection, os.NewFile(uintptr(both[1]), name), nil
}

// lastWords is what QEMU has complained of.
func lastWords(dir string) error {
	raw, _ := os.ReadFile(qemuFile(dir))
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	if text := strings.Join(lines[max(0, len(lines)-5):], "\n"); text != "" {
		return errors.New(text)
	}
	return nil
}
