package vm

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Memory is what a machine's process takes of the host, in bytes. Shared is what it
// maps of its parent's memory, or of files, and has not written to; Private is its own,
// the emulator's with the guest's. Own is the guest's memory that it has written to.
type Memory struct {
	Resident int64 `json:"resident"`
	Private  int64 `json:"private"`
	Shared   int64 `json:"shared"`
	Own      int64 `json:"own"`
}

// Memory tells of every machine that is a process, by its name.
func (k *Kind) Memory() (map[string]Memory, error) {
	out := map[string]Memory{}
	for _, id := range k.Running() {
		m, err := k.machine(id)
		if err != nil || m.process == nil {
			continue
		}
		proc := fmt.Sprintf("/proc/%d/", m.process.command.Process.Pid)
		rollup, err := os.ReadFile(proc + "smaps_rollup")
		if err != nil {
			return nil, err
		}
		mappings, err := os.ReadFile(proc + "smaps")
		if err != nil {
			return nil, err
		}
		resident, private := figure(rollup, "Rss:"), figure(rollup, "Anonymous:")
		_, guests, _ := strings.Cut(string(mappings), guestMemory)
		own := figure([]byte(guests), "Anonymous:")
		if !m.private { // one that has booted maps a file that is all its own
			own = figure([]byte(guests), "Rss:")
			private += own
		}
		out[m.spec.Name] = Memory{Resident: resident, Private: private, Shared: resident - private, Own: own}
	}
	return out, nil
}

// figure is the first of that name.
func figure(smaps []byte, name string) int64 {
	for line := range strings.Lines(string(smaps)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == name {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

// Spoken is every MAC that a machine has sent from since it was powered on or cloned,
// as seen at its end of the cable.
func (k *Kind) Spoken(id string) ([]string, error) {
	m, err := k.machine(id)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(wireFile(m.dir))
	if err != nil {
		return nil, err
	}
	return sources(raw)
}

// sources reads the frames' source addresses out of a capture.
func sources(capture []byte) ([]string, error) {
	const header, frameHeader = 24, 16
	if len(capture) < header {
		return nil, nil
	}
	if binary.LittleEndian.Uint32(capture) != 0xa1b2c3d4 {
		return nil, errors.New("not a capture as QEMU writes them")
	}
	var found []string
	for rest := capture[header:]; len(rest) >= frameHeader; {
		length := int(binary.LittleEndian.Uint32(rest[8:]))
		if len(rest) < frameHeader+length {
			break // being written
		}
		frame := rest[frameHeader : frameHeader+length]
		rest = rest[frameHeader+length:]
		if len(frame) < 12 {
			continue
		}
		if mac := net.HardwareAddr(frame[6:12]).String(); !slices.Contains(found, mac) {
			found = append(found, mac)
		}
	}
	return found, nil
}

// Leases is the address that each MAC was given last.
func (k *Kind) Leases() map[string]string { return k.network.dhcp.given() }

// Place is where a pattern was found.
type Place struct {
	Pattern int    `json:"pattern"` // its number among those that were looked for
	At      int64  `json:"at"`      // its distance from the memory's beginning
	Hex     string `json:"hex"`     // what stands there
}

// Find looks for patterns in all of a machine's memory, frozen or running, and gives
// of each place so many bytes, or the pattern's own where it is longer.
func (k *Kind) Find(id string, patterns [][]byte, length int) ([]Place, error) {
	m, err := k.machine(id)
	if err != nil {
		return nil, err
	}
	m.state.RLock()
	defer m.state.RUnlock()
	if m.process == nil {
		if m.memory == nil {
			return nil, fmt.Errorf("%s has no memory", m.spec.Name)
		}
		return find(io.NewSectionReader(m.memory, 0, m.spec.MemoryMB<<20), patterns, length)
	}
	pid := m.process.command.Process.Pid
	start, err := mapped(pid, m.spec.MemoryMB<<20)
	if err != nil {
		return nil, err
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil, err
	}
	defer memory.Close()
	return find(io.NewSectionReader(memory, start, m.spec.MemoryMB<<20), patterns, length)
}

// mapped is where a process has its guest's memory, which one mapping may not hold whole.
func mapped(pid int, size int64) (int64, error) {
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, err
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if !strings.Contains(lines.Text(), "memfd:"+guestMemory) {
			continue
		}
		var from, to int64
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x", &from, &to); err != nil {
			return 0, err
		}
		if to-from != size {
			return 0, fmt.Errorf("the guest's memory is mapped in parts: %s", lines.Text())
		}
		return from, nil
	}
	return 0, errors.New("the process maps no guest's memory")
}

// find reads in blocks that overlap, so that nothing falls between two of them.
func find(memory io.ReaderAt, patterns [][]byte, length int) ([]Place, error) {
	const block = 4 << 20
	longest := length
	for _, pattern := range patterns {
		longest = max(longest, len(pattern))
	}
	found := []Place{}
	buffer, blank := make([]byte, block+longest), make([]byte, block+longest)
	for at := int64(0); ; at += block {
		n, err := memory.ReadAt(buffer, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if !bytes.Equal(buffer[:n], blank[:n]) {
			for number, pattern := range patterns {
				for from := 0; from < min(n, block); {
					i := bytes.Index(buffer[from:n], pattern)
					if i < 0 || from+i >= block {
						break
					}
					place := buffer[from+i : min(n, from+i+max(length, len(pattern)))]
					found = append(found, Place{number, at + int64(from+i), hex.EncodeToString(place)})
					from += i + len(pattern)
				}
			}
		}
		if n < len(buffer) {
			return found, nil
		}
	}
}
