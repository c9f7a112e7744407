package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// daemon is a dockerd of the lab's own. Labs that share a cache share it: each
// holds a shared lock on the file users, and the last one to leave stops it.
type daemon struct {
	run   string // sockets and pid; a short path, since a socket's may have 107 bytes
	users *os.File
}

func startOwn(ctx context.Context, o Options) (*Engine, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// Held while looking and starting, so that two labs do not start two daemons.
	gate, err := lock(filepath.Join(dir, "starting"), syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer gate.Close()

	sum := sha256.Sum256([]byte(dir))
	d := &daemon{run: fmt.Sprintf("/run/bonneville-lab-%x", sum[:4])}
	if d.users, err = lock(filepath.Join(dir, "users"), syscall.LOCK_SH); err != nil {
		return nil, err
	}
	if e, err := answering(ctx, d.socket()); err == nil {
		e.Own, e.daemon = true, d
		return e, nil
	}
	fmt.Fprintf(o.Progress, "[engine] starting a dockerd of the lab's own (data in %s)\n", dir)
	e, err := d.start(ctx, dir)
	if err != nil {
		return nil, errors.Join(err, d.release())
	}
	return e, nil
}

func (d *daemon) socket() string  { return "unix://" + filepath.Join(d.run, "sock") }
func (d *daemon) pidfile() string { return filepath.Join(d.run, "pid") }

// bridge is the name of the daemon's default bridge.
func (d *daemon) bridge() string { return "bvl-" + d.run[len(d.run)-8:] }

// makeBridge gives the daemon a default bridge that nobody uses: without a name of
// its own it would take the machine's docker0, or, told to have none, remove it.
func (d *daemon) makeBridge() error {
	d.removeBridge() // of a daemon that was killed
	taken, err := InterfaceSubnets()
	if err != nil {
		return err
	}
	subnet, err := FreeSubnet(netip.MustParsePrefix("10.214.0.0/16"), 24, taken)
	if err != nil {
		return err
	}
	address := netip.PrefixFrom(subnet.Addr().Next(), subnet.Bits()).String()
	for _, arguments := range [][]string{
		{"link", "add", d.bridge(), "type", "bridge"}, {"address", "add", address, "dev", d.bridge()},
	} {
		if out, err := exec.Command("ip", arguments...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(arguments, " "), err, out)
		}
	}
	return nil
}

func (d *daemon) removeBridge() {
	_ = exec.Command("ip", "link", "delete", d.bridge()).Run() // there may be none
}

// start runs dockerd without iptables rules: the machine's firewall stays as it is.
func (d *daemon) start(ctx context.Context, dir string) (*Engine, error) {
	if err := os.MkdirAll(d.run, 0o700); err != nil {
		return nil, err
	}
	_ = os.Remove(d.pidfile()) // of a daemon that was killed: we hold the gate, and nothing answers
	if err := d.makeBridge(); err != nil {
		return nil, err
	}
	empty := filepath.Join(d.run, "daemon.json")
	if err := os.WriteFile(empty, []byte("{}\n"), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "dockerd.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := exec.Command("dockerd", "--config-file", empty, "--data-root", filepath.Join(dir, "data"),
		"--exec-root", filepath.Join(d.run, "exec"), "--pidfile", d.pidfile(), "-H", d.socket(),
		"--bridge", d.bridge(), "--iptables=false")
	command.Stdout, command.Stderr = log, log
	command.Env = append(os.Environ(), "DOCKER_HOST=")
	// A session of its own: Ctrl-C in the lab's terminal must reach the lab only.
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(60 * time.Second)
	for {
		select {
		case <-ticker.C:
			if e, err := answering(ctx, d.socket()); err == nil {
				e.Own, e.daemon = true, d
				return e, nil
			}
		case err := <-ended:
			return nil, fmt.Errorf("dockerd ended (%v); its last words are in %s:\n%s", err, log.Name(), tail(log.Name()))
		case <-deadline:
			return nil, fmt.Errorf("dockerd did not answer within 60 s; its log is %s", log.Name())
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// release gives up our share, and stops the daemon when it was the last one.
func (d *daemon) release() error {
	defer d.users.Close()
	if err := syscall.Flock(int(d.users.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil // another lab still uses it
	}
	defer d.removeBridge()
	raw, err := os.ReadFile(d.pidfile())
	if err != nil {
		return nil // it never came up
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return err
	}
	if err := terminate(pid); err != nil {
		return err
	}
	return os.RemoveAll(d.run)
}

// terminate ends a process that need not be our child.
func terminate(pid int) error {
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	if err := process.Signal(syscall.SIGTERM); err != nil {
		if errors.Is(err, os.ErrProcessDone) {
			return nil
		}
		return err
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case <-ticker.C:
			// Signal 0 fails once the process is gone.
			if process.Signal(syscall.Signal(0)) != nil {
				return nil
			}
		case <-deadline:
			return process.Kill()
		}
	}
}

func lock(path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), how); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return file, nil
}

func tail(path string) string {
	raw, _ := os.ReadFile(path)
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}
