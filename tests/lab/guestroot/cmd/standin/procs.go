package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
)

// processes starts children and collects their ends. Process 1 inherits every
// orphan of the guest, so one loop waits for all; os/exec's own Wait would race it.
type processes struct {
	mu      sync.Mutex
	waiting map[int]chan syscall.WaitStatus
}

func newProcesses() *processes {
	p := &processes{waiting: map[int]chan syscall.WaitStatus{}}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGCHLD)
	go func() {
		for range signals {
			p.reap()
		}
	}()
	return p
}

func (p *processes) reap() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if ended, ok := p.waiting[pid]; ok {
			delete(p.waiting, pid)
			ended <- status
		}
	}
}

// command is what to run, and where its output goes.
type command struct {
	argv    []string
	env     []string
	dir     string
	out     *os.File
	session bool // in a process group of its own
}

// path is what services and runcmd find their programs by.
const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// start runs c and gives its pid and the channel that will have its end.
func (p *processes) start(c command) (int, <-chan syscall.WaitStatus, error) {
	program, err := exec.LookPath(c.argv[0])
	if err != nil {
		return 0, nil, err
	}
	none, err := os.Open(os.DevNull)
	if err != nil {
		return 0, nil, err
	}
	defer none.Close()
	ended := make(chan syscall.WaitStatus, 1)
	// Under the lock, so that the child cannot be reaped before it is known.
	p.mu.Lock()
	defer p.mu.Unlock()
	pid, err := syscall.ForkExec(program, c.argv, &syscall.ProcAttr{
		Dir:   c.dir,
		Env:   append([]string{path, "LANG=C.UTF-8"}, c.env...),
		Files: []uintptr{none.Fd(), c.out.Fd(), c.out.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: c.session},
	})
	if err != nil {
		return 0, nil, err
	}
	p.waiting[pid] = ended
	return pid, ended, nil
}

// run starts a command and waits for it; it gives the exit code and what was printed.
func (p *processes) run(argv ...string) (int, string) {
	read, write, err := os.Pipe()
	if err != nil {
		return -1, err.Error()
	}
	defer read.Close()
	_, ended, err := p.start(command{argv: argv, out: write})
	write.Close()
	if err != nil {
		return 127, err.Error()
	}
	var out bytes.Buffer
	_, _ = io.Copy(&out, read)
	return exitCode(<-ended), out.String()
}

func exitCode(s syscall.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}
