package vm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"bonneville.vsphere/lab/guest"
	"bonneville.vsphere/lab/guestroot/wire"
)

// frozenAndBack is what a clone's freeze call returns.
var frozenAndBack = wire.Answer{OK: true}

// serveRPC answers the guest's tools, one at a time, as they ask.
func (k *Kind) serveRPC(m *machine, p *process) {
	lines := bufio.NewReaderSize(p.rpc, 128<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		id, text, _ := bytes.Cut(line, []byte(" "))
		var request wire.Request
		if json.Unmarshal(text, &request) != nil {
			continue // torn: its sender was killed, or the machine reset
		}
		if strings.TrimSpace(request.Command) == guest.Freeze {
			k.freezeAsked(m, string(id))
			continue
		}
		_ = m.answer(string(id), guest.Answer(m.spec.RPC, request.Command)) // one that is gone needs none
	}
}

// answer writes the answer to the request with that id.
func (m *machine) answer(id string, a wire.Answer) error {
	raw, err := json.Marshal(a)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(m.process.rpc, "%s %s\n", id, raw)
	return err
}

// freezeAsked halts the machine in its own call. Only its clones hear an answer, or
// the machine itself that it was not frozen.
func (k *Kind) freezeAsked(m *machine, id string) {
	m.state.Lock()
	m.pending = id
	m.state.Unlock()
	err := k.putBack(m)
	if err == nil {
		err = m.spec.RPC.Freeze()
	}
	if err != nil {
		_ = m.answer(id, wire.Answer{Text: err.Error()})
	}
}

// putBack sets the guest's clock back, if its freeze is to look like a long one.
func (k *Kind) putBack(m *machine) error {
	if k.o.FrozenFor == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	then := fmt.Sprintf("@%d", time.Now().Add(-k.o.FrozenFor).Unix())
	code, out, err := k.Run(ctx, m.spec.ID, "date", "--utc", "--set", then)
	if err == nil && code != 0 {
		err = errors.New(out)
	}
	return err
}

// serveTools hears what the guest's vmtoolsd tells.
func (m *machine) serveTools(p *process) {
	lines := bufio.NewReaderSize(p.tools, 128<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var told wire.Tools
		if json.Unmarshal(line, &told) != nil {
			continue
		}
		if told.ID == 0 {
			m.spec.RPC.Address(told.Addresses)
			continue
		}
		m.toolsMu.Lock()
		if waits := m.waiting[told.ID]; waits != nil {
			waits <- told
		}
		m.toolsMu.Unlock()
	}
}

// Run runs a program in the guest, by its vmtoolsd, and gives exit code and output.
func (k *Kind) Run(ctx context.Context, id string, argv ...string) (int, string, error) {
	m, err := k.machine(id)
	if err != nil {
		return 0, "", err
	}
	m.state.RLock()
	p := m.process
	m.state.RUnlock()
	if p == nil {
		return 0, "", fmt.Errorf("nothing in %s answers", m.spec.Name)
	}
	return m.run(ctx, p, argv...)
}

func (m *machine) run(ctx context.Context, p *process, argv ...string) (int, string, error) {
	answer := make(chan wire.Tools, 1)
	m.toolsMu.Lock()
	m.asked++
	number := m.asked
	m.waiting[number] = answer
	raw, err := json.Marshal(wire.Tools{ID: number, Run: argv})
	if err == nil {
		_, err = p.tools.Write(append(raw, '\n'))
	}
	m.toolsMu.Unlock()
	defer func() {
		m.toolsMu.Lock()
		delete(m.waiting, number)
		m.toolsMu.Unlock()
	}()
	if err != nil {
		return 0, "", err
	}
	select {
	case told := <-answer:
		return told.Code, told.Out, nil
	case <-p.ended:
		return 0, "", errEnded
	case <-ctx.Done():
		return 0, "", ctx.Err()
	}
}
