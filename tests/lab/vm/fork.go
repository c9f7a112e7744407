package vm

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"bonneville.vsphere/lab/guest"
)

func stateFile(dir string) string { return filepath.Join(dir, "devices") }

// shareIgnored leaves shared memory out of what QEMU hands over: it is in a file that
// the clones map.
var shareIgnored = map[string]any{
	"capabilities": []map[string]any{{"capability": "x-ignore-shared", "state": true}},
}

// Freeze halts a machine where it stands and writes down its devices' state. Its
// process ends: a frozen machine never runs again without being powered on anew.
func (k *Kind) Freeze(ctx context.Context, id string) error {
	m, err := k.machine(id)
	if err != nil {
		return err
	}
	m.state.Lock()
	defer m.state.Unlock()
	if m.frozen || m.disk.blank {
		return nil
	}
	if m.private {
		return fmt.Errorf("%s is an instant clone, whose memory is not all its own: guests of kind vm freeze machines that have booted", m.spec.Name)
	}
	if err := m.process.save(ctx, stateFile(m.dir)); err != nil {
		return errors.Join(err, m.process.qmp.do(context.WithoutCancel(ctx), "cont", nil))
	}
	m.stopping.Store(true)
	m.process.kill()
	m.process, m.frozen = nil, true
	return nil
}

// save halts the guest and writes its devices' state to a file.
func (p *process) save(ctx context.Context, file string) error {
	if err := p.qmp.do(ctx, "stop", nil); err != nil {
		return err
	}
	return p.migrate(ctx, "migrate", "exec:cat >"+file)
}

// migrate hands a state over, out or in, and waits for its end.
func (p *process) migrate(ctx context.Context, command, uri string) error {
	if err := p.qmp.do(ctx, "migrate-set-capabilities", shareIgnored); err != nil {
		return err
	}
	events := map[string]any{"capabilities": []map[string]any{{"capability": "events", "state": true}}}
	if err := p.qmp.do(ctx, "migrate-set-capabilities", events); err != nil {
		return err
	}
	heard, stop := p.qmp.listen()
	defer stop()
	if err := p.qmp.do(ctx, command, map[string]any{"uri": uri}); err != nil {
		return err
	}
	return p.qmp.until(ctx, heard, func(e event) (bool, error) {
		if e.Event == "MIGRATION" && e.Data.Status == "failed" {
			return false, errors.New(command + " failed")
		}
		return e.Event == "MIGRATION" && e.Data.Status == "completed", nil
	})
}

// InstantClone forks a frozen machine: its memory copy-on-write, a layer on its disk,
// its devices' state. Clones of one parent are made side by side.
func (k *Kind) InstantClone(ctx context.Context, parentID string, spec guest.Machine) error {
	parent, err := k.machine(parentID)
	if err != nil {
		return err
	}
	if parent.disk.blank {
		if err := k.AddDisk(spec.DiskID, &disk{blank: true}); err != nil {
			return err
		}
		return k.PowerOn(ctx, spec)
	}
	parent.state.RLock()
	defer parent.state.RUnlock()
	switch {
	case !parent.frozen:
		return fmt.Errorf("%s runs: guests of kind vm are cloned when they are frozen", parent.spec.Name)
	case len(k.Further(spec.ID)) > 0:
		return fmt.Errorf("%s has further disks: guests of kind vm are cloned with their first one alone", parent.spec.Name)
	}
	top, err := k.newLayer(ctx, parent.disk.top)
	if err != nil {
		return err
	}
	d := &disk{top: top}
	if err := k.AddDisk(spec.DiskID, d); err != nil {
		return errors.Join(err, k.drop(top))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := k.resume(ctx, parent, spec, d); err != nil {
		k.DropDisk(spec.DiskID)
		return errors.Join(fmt.Errorf("clone %s: %w", spec.Name, err), k.drop(top))
	}
	return nil
}

// resume lets a clone go on where its parent stood, and answers the call that it stands in.
func (k *Kind) resume(ctx context.Context, parent *machine, spec guest.Machine, d *disk) error {
	m, err := k.newMachine(spec, d)
	if err != nil {
		return err
	}
	m.private, m.memory = true, parent.memory
	err = k.run(ctx, m, func(p *process) error {
		return p.migrate(ctx, "migrate-incoming", "exec:cat "+stateFile(parent.dir))
	})
	if err == nil && parent.pending != "" {
		err = m.answer(parent.pending, frozenAndBack)
	}
	if err != nil {
		if m.process != nil {
			m.stopping.Store(true)
			m.process.kill()
		}
		return errors.Join(err, k.forget(m))
	}
	return nil
}
