package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"bonneville.vsphere/lab/guestroot/wire"
)

// appears is how long a port may take to appear while the machine boots.
const appears = 60 * time.Second

// port is a virtio-serial port, which one process at a time can have. Plain system
// calls: a read that waits has to live through the machine being frozen and cloned.
type port struct {
	file int
	rest []byte
}

func openPort(name string) (*port, error) {
	path := filepath.Join(wire.Ports, name)
	for deadline := time.Now().Add(appears); ; time.Sleep(50 * time.Millisecond) {
		file, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
		if err == nil {
			return &port{file: file}, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
}

func (p *port) close() { _ = syscall.Close(p.file) }

// writeLine writes a line whole.
func (p *port) writeLine(line []byte) error {
	for data := append(line, '\n'); len(data) > 0; {
		n, err := syscall.Write(p.file, data)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// readLine waits for a line. The end of the file only means that the host is away
// for a moment, as when a clone changes over to a hypervisor's process of its own.
func (p *port) readLine() ([]byte, error) {
	buffer := make([]byte, 64<<10)
	for {
		if line, rest, found := bytes.Cut(p.rest, []byte("\n")); found {
			p.rest = rest
			return line, nil
		}
		n, err := syscall.Read(p.file, buffer)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return nil, err
		case n == 0:
			time.Sleep(5 * time.Millisecond)
		default:
			p.rest = append(p.rest, buffer[:n]...)
		}
	}
}
