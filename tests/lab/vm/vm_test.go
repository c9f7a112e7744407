package vm

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"bonneville.vsphere/lab/guest"
	"bonneville.vsphere/lab/vmroot"
)

func TestAClonesCommandLineIsItsParentsButForWhatIsItsOwn(t *testing.T) {
	parent := build{
		accelerator: "tcg", root: vmroot.Root{Kernel: "k", Initrd: "i"}, disk: &layer{file: "/a,b"}, tap: "t1", dir: "/d1",
		spec: guest.Machine{Name: "one", MAC: "00:50:56:00:00:01", CPUs: 1, MemoryMB: 512, LogFile: "/log1", BiosUUID: "u1"},
	}
	child := parent
	child.disk, child.tap, child.dir, child.private, child.incoming = &layer{file: "/c"}, "t2", "/d2", true, true
	child.spec.Name, child.spec.MAC, child.spec.LogFile, child.spec.BiosUUID = "two", "00:50:56:00:00:02", "/log2", "u2"
	first, second := parent.arguments(), child.arguments()
	if joined := strings.Join(first, " "); !strings.Contains(joined, "file.filename=/a,,b") {
		t.Errorf("a comma is not doubled: %s", joined)
	}
	if end := second[len(second)-2:]; !slices.Equal(end, []string{"-incoming", "defer"}) {
		t.Errorf("a clone ends with %v", end)
	}
	// The devices' state can go over only where both have the same devices.
	devices := func(arguments []string) (found []string) {
		for i, argument := range arguments {
			if argument == "-device" {
				found = append(found, strings.Split(arguments[i+1], ",mac=")[0])
			}
		}
		return found
	}
	if a, b := devices(first), devices(second); !slices.Equal(a, b) {
		t.Errorf("devices differ:\n%v\n%v", a, b)
	}
	for _, own := range []string{"two", "share=off", "00:50:56:00:00:02", "/log2", "u2", "ifname=t2"} {
		if !strings.Contains(strings.Join(second, " "), own) {
			t.Errorf("the clone lacks %s", own)
		}
	}
}

func TestFurtherDisksSayTheirUUID(t *testing.T) {
	b := build{disk: &layer{}, further: map[int]guest.Disk{2: {UUID: "6000C29A-1111-2222-3333-444455556666", File: "/v"}}}
	line := strings.Join(b.arguments(), " ")
	if !strings.Contains(line, "scsi-id=2") || !strings.Contains(line, "serial=6000c29a111122223333444455556666") {
		t.Error(line)
	}
	if name := node("6000C29A-1111-2222-3333-444455556666"); len(name) > 31 {
		t.Errorf("QEMU takes no node name of %d characters", len(name))
	}
}

func TestSourcesOfACapture(t *testing.T) {
	capture := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	capture = append(capture, make([]byte, 20)...)
	frame := func(source string) {
		mac, _ := net.ParseMAC(source)
		data := append(append(bytes.Repeat([]byte{0xff}, 6), mac...), 8, 0)
		header := make([]byte, 16)
		binary.LittleEndian.PutUint32(header[8:], uint32(len(data)))
		capture = append(append(capture, header...), data...)
	}
	for _, mac := range []string{"00:50:56:00:00:01", "00:50:56:00:00:02", "00:50:56:00:00:01"} {
		frame(mac)
	}
	capture = append(capture, 1, 2, 3) // a frame that is being written
	got, err := sources(capture)
	if err != nil || !slices.Equal(got, []string{"00:50:56:00:00:01", "00:50:56:00:00:02"}) {
		t.Error(got, err)
	}
	if _, err := sources(make([]byte, 40)); err == nil {
		t.Error("something else was read as a capture")
	}
}

func TestFindSeesWhatLiesAcrossTwoBlocks(t *testing.T) {
	memory := make([]byte, 9<<20)
	secrets := []int{0, 4<<20 - 3, 8<<20 + 1, len(memory) - 6}
	for _, at := range secrets {
		copy(memory[at:], "secret")
	}
	copy(memory[5<<20:], "other")
	places, err := find(bytes.NewReader(memory), [][]byte{[]byte("secret"), []byte("other")}, 8)
	check(t, err)
	var found [2][]int
	for _, place := range places {
		found[place.Pattern] = append(found[place.Pattern], int(place.At))
		if text, _ := hex.DecodeString(place.Hex); !bytes.HasPrefix(text, []byte([]string{"secret", "other"}[place.Pattern])) {
			t.Errorf("%q at %d", text, place.At)
		}
	}
	if !slices.Equal(found[0], secrets) || !slices.Equal(found[1], []int{5 << 20}) {
		t.Error(found)
	}
}

func TestWhoAsksForAnAddress(t *testing.T) {
	mac, _ := net.ParseMAC("00:50:56:00:00:01")
	ask := func(id []byte) string {
		m, err := dhcpv4.NewDiscovery(mac)
		if err != nil {
			t.Fatal(err)
		}
		if id != nil {
			m.UpdateOption(dhcpv4.OptClientIdentifier(id))
		}
		return client(m)
	}
	if got := ask(nil); got != mac.String() {
		t.Errorf("without an id: %s", got)
	}
	if got := ask(append([]byte{1}, mac...)); got != mac.String() {
		t.Errorf("with its MAC as id: %s", got)
	}
	// Made of a machine-id: whoever copied that is the same client to a DHCP server.
	if got := ask([]byte{255, 1, 2, 3, 4, 0, 2, 0, 0}); got == mac.String() {
		t.Errorf("with another id: %s", got)
	}
}

// A parent that boots again must not write under its clones.
func TestClonesKeepTheDiskThatTheyWereMadeOf(t *testing.T) {
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("SKIPPED, no qemu-img here:", err)
	}
	dir := t.TempDir()
	raw := filepath.Join(dir, "root.raw")
	if err := os.WriteFile(raw, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	k := &Kind{o: Options{Dir: dir}, root: &layer{file: raw, format: "raw", users: 1}}
	top, err := k.newLayer(t.Context(), k.root)
	check(t, err)
	parent := &disk{top: top}
	clone, err := k.newLayer(t.Context(), parent.top)
	check(t, err)
	check(t, k.writable(t.Context(), parent))
	if parent.top == top || parent.top.below != top {
		t.Error("the parent writes into what its clone reads")
	}
	own := parent.top.file
	check(t, k.drop(parent.top))
	for file, there := range map[string]bool{own: false, top.file: true, clone.file: true, raw: true} {
		if _, err := os.Stat(file); (err == nil) != there {
			t.Errorf("%s: there is %t", file, err == nil)
		}
	}
	check(t, k.drop(clone))
	if left, _ := filepath.Glob(filepath.Join(dir, "*.qcow2")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
