package vm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"bonneville.vsphere/lab/guest"
)

// free is a number on the SCSI bus that no further disk has.
func (m *machine) free() int {
	for id := 1; ; id++ {
		if _, taken := m.further[id]; !taken {
			return id
		}
	}
}

// AttachDisk gives a machine a further disk, at once if it runs, else when it does.
func (k *Kind) AttachDisk(ctx context.Context, id string, d guest.Disk) error {
	return k.Attach(id, d, func(m *machine) error {
		m.state.Lock()
		defer m.state.Unlock()
		if m.process == nil {
			return nil
		}
		return m.plug(ctx, d)
	})
}

func (m *machine) plug(ctx context.Context, d guest.Disk) error {
	number := m.free()
	err := m.process.qmp.do(ctx, "blockdev-add", map[string]any{
		"driver": "raw", "node-name": node(d.UUID), "cache": map[string]any{"no-flush": true},
		"file": map[string]any{"driver": "file", "filename": d.File},
	})
	if err != nil {
		return err
	}
	err = m.process.qmp.do(ctx, "device_add", map[string]any{
		"driver": "scsi-hd", "id": device(d.UUID), "bus": "scsi.0", "scsi-id": number, "drive": node(d.UUID),
		"serial": serial(d.UUID),
	})
	if err != nil {
		return errors.Join(err, m.process.qmp.do(ctx, "blockdev-del", map[string]any{"node-name": node(d.UUID)}))
	}
	m.further[number] = d
	return m.notice(ctx, "for host in /sys/class/scsi_host/host*; do echo '- - -' >$host/scan; done")
}

// notice has a resumed guest look for itself: QEMU does not hand over the ring by which
// its pvscsi tells a driver of disks that come and go.
func (m *machine) notice(ctx context.Context, command string) error {
	if !m.private {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	code, out, err := m.run(ctx, m.process, "sh", "-c", command)
	if err == nil && code != 0 {
		err = errors.New(out)
	}
	return err
}

// DetachDisk takes a further disk away.
func (k *Kind) DetachDisk(ctx context.Context, id, uuid string) error {
	return k.Detach(id, uuid, func(m *machine) error {
		m.state.Lock()
		defer m.state.Unlock()
		for number, d := range m.further {
			if d.UUID == uuid {
				delete(m.further, number)
				if m.process != nil {
					return m.unplug(ctx, d)
				}
			}
		}
		return nil
	})
}

func (m *machine) unplug(ctx context.Context, d guest.Disk) error {
	gone := fmt.Sprintf("disk=$(readlink -f /dev/disk/by-id/wwn-0x%s); if [ -b \"$disk\" ]; then echo 1 >/sys/block/${disk##*/}/device/delete; fi", serial(d.UUID))
	if err := m.notice(ctx, gone); err != nil {
		return err
	}
	heard, stop := m.process.qmp.listen()
	defer stop()
	if err := m.process.qmp.do(ctx, "device_del", map[string]any{"id": device(d.UUID)}); err != nil {
		return err
	}
	err := m.process.qmp.until(ctx, heard, func(e event) (bool, error) {
		return e.Event == "DEVICE_DELETED" && e.Data.Device == device(d.UUID), nil
	})
	if err != nil {
		return err
	}
	return m.process.qmp.do(ctx, "blockdev-del", map[string]any{"node-name": node(d.UUID)})
}
