package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
)

// qmp speaks QEMU's machine protocol: one command at a time, and events between them.
type qmp struct {
	connection net.Conn
	turn       sync.Mutex // of a command
	answers    chan reply

	mu     sync.Mutex
	hears  map[chan event]bool
	ended  chan struct{} // closed when QEMU has hung up
	reason string        // why it shut down, in QEMU's words
}

type reply struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Desc string `json:"desc"`
	} `json:"error"`
}

type event struct {
	Event string `json:"event"`
	Data  struct {
		Status string `json:"status"` // MIGRATION
		Device string `json:"device"` // DEVICE_DELETED
		Reason string `json:"reason"` // SHUTDOWN
	} `json:"data"`
}

var errEnded = errors.New("QEMU has ended")

// newQMP takes QEMU's greeting and asks for all that it can do.
func newQMP(ctx context.Context, connection net.Conn) (*qmp, error) {
	q := &qmp{connection: connection, answers: make(chan reply, 1), hears: map[chan event]bool{}, ended: make(chan struct{})}
	go q.read()
	return q, q.do(ctx, "qmp_capabilities", nil)
}

func (q *qmp) read() {
	defer close(q.ended)
	lines := bufio.NewReader(q.connection)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var e event
		if json.Unmarshal(line, &e) == nil && e.Event != "" {
			q.tell(e)
			continue
		}
		var r reply
		if json.Unmarshal(line, &r) == nil && (r.Return != nil || r.Error != nil) {
			q.answers <- r
		}
	}
}

func (q *qmp) tell(e event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.Event == "SHUTDOWN" {
		q.reason = e.Data.Reason
	}
	for hears := range q.hears {
		hears <- e
	}
}

// listen gives the events from now on, until stop is called.
func (q *qmp) listen() (events <-chan event, stop func()) {
	hears := make(chan event, 256) // QEMU has few to tell in the time that anyone listens
	q.mu.Lock()
	q.hears[hears] = true
	q.mu.Unlock()
	return hears, func() {
		q.mu.Lock()
		delete(q.hears, hears)
		q.mu.Unlock()
	}
}

// until waits for an event that satisfies.
func (q *qmp) until(ctx context.Context, events <-chan event, satisfies func(event) (bool, error)) error {
	for {
		select {
		case e := <-events:
			if done, err := satisfies(e); done || err != nil {
				return err
			}
		case <-q.ended:
			return errEnded
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// shutdownReason is why QEMU ended, as it said itself.
func (q *qmp) shutdownReason() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.reason
}

// do executes a command.
func (q *qmp) do(ctx context.Context, command string, arguments map[string]any) error {
	q.turn.Lock()
	defer q.turn.Unlock()
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	if err := json.NewEncoder(q.connection).Encode(request); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	select {
	case r := <-q.answers:
		if r.Error != nil {
			return fmt.Errorf("%s: %s", command, r.Error.Desc)
		}
		return nil
	case <-q.ended:
		return fmt.Errorf("%s: %w", command, errEnded)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", command, ctx.Err())
	}
}
