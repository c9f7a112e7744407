package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"bonneville.vsphere/lab/guest"
	"bonneville.vsphere/lab/guestroot/wire"
)

// listen serves a machine's guest RPC on a socket in its shared directory.
func (k *Kind) listen(m *machine) error {
	// By way of /proc, since a socket's path may have 107 bytes and a test's directory has more.
	dir, err := os.Open(m.disk.rpcDir())
	if err != nil {
		return err
	}
	defer dir.Close()
	name := filepath.Base(wire.Socket)
	for _, old := range []string{name, holdFile} {
		if err := os.Remove(filepath.Join(m.disk.rpcDir(), old)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	m.listener, err = net.Listen("unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name))
	if err != nil {
		return err
	}
	m.listener.(*net.UnixListener).SetUnlinkOnClose(false) // its path is gone with dir
	go func() {
		for {
			connection, err := m.listener.Accept()
			if err != nil {
				return
			}
			go k.serve(m, connection)
		}
	}()
	return nil
}

// holdFile is where a guest looks for the answer to its freeze.
const holdFile = "freeze.answer"

func (k *Kind) serve(m *machine, connection net.Conn) {
	defer connection.Close()
	var request wire.Request
	if json.NewDecoder(connection).Decode(&request) != nil {
		return
	}
	answer := k.answer(m, request)
	if json.NewEncoder(connection).Encode(answer) != nil || answer.Hold == "" {
		return
	}
	// Halt the machine only when it has read the answer and hung up.
	_, _ = io.Copy(io.Discard, connection)
	if err := m.spec.RPC.Freeze(); err != nil {
		_ = writeAnswer(m, wire.Answer{Text: err.Error()})
	}
}

func (k *Kind) answer(m *machine, request wire.Request) wire.Answer {
	switch request.Kind {
	case wire.Boot:
		boot := wire.BootAnswer{Resume: m.resumed}
		if plain := k.plain.Load(); plain != nil {
			boot.InsecureRegistries = []string{*plain}
		}
		return wire.Answer{OK: true, Boot: &boot}
	case wire.Lease:
		return wire.Answer{OK: true, Lease: k.lease(m)}
	case wire.Address:
		m.spec.RPC.Address(request.Addresses)
		return wire.Answer{OK: true}
	case wire.RPC:
		return k.command(m, request.Command)
	}
	return wire.Answer{Text: "Unknown request"}
}

// command is VMware's guest RPC. Everything but the freeze is the vCenter's to answer.
func (k *Kind) command(m *machine, command string) wire.Answer {
	if strings.TrimSpace(command) != guest.Freeze {
		return guest.Answer(m.spec.RPC, command)
	}
	// A clone is past its parent's freeze: the call that it was in returns.
	if m.thawing.CompareAndSwap(true, false) {
		return wire.Answer{OK: true}
	}
	if err := os.Remove(filepath.Join(m.disk.rpcDir(), holdFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return wire.Answer{Text: err.Error()}
	}
	return wire.Answer{OK: true, Hold: holdFile}
}

// writeAnswer answers a guest that holds; renamed, so that it never reads half of it.
func writeAnswer(m *machine, answer wire.Answer) error {
	raw, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	file := filepath.Join(m.disk.rpcDir(), holdFile)
	if err := os.WriteFile(file+".new", raw, 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
