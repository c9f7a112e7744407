package vcenter

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

var (
	extentLine = regexp.MustCompile(`^RW (\d+) VMFS "([^"/]+)"$`)
	uuidLine   = regexp.MustCompile(`^ddb\.uuid = "([0-9a-fA-F -]+)"$`)
)

// descriptor is what a disk's descriptor says of it.
type descriptor struct {
	capacity int64
	flat     string // name of the file with the content
	uuid     string // empty where it has none
}

// readDescriptor reads the descriptor of a disk that is there, and sees that its
// content is: what vSphere looks at before it attaches a disk.
func (v *VCenter) readDescriptor(file string) (descriptor, types.BaseMethodFault) {
	d := descriptor{}
	host, fault := v.hostPath(file)
	if fault != nil {
		return d, fault
	}
	in, err := os.Open(host)
	if err != nil {
		return d, said(&types.FileNotFound{FileFault: types.FileFault{File: file}}, "File %s was not found", file)
	}
	defer in.Close()
	lines := bufio.NewScanner(in)
	for first := true; lines.Scan(); first = false {
		line := strings.TrimSpace(lines.Text())
		if first && line != "# Disk DescriptorFile" {
			return d, notADisk(file)
		}
		if m := extentLine.FindStringSubmatch(line); m != nil {
			sectors, _ := strconv.ParseInt(m[1], 10, 64)
			d.capacity, d.flat = sectors*512, m[2]
		}
		if m := uuidLine.FindStringSubmatch(line); m != nil {
			d.uuid = formatUUID(m[1])
		}
	}
	if lines.Err() != nil || d.flat == "" || d.capacity == 0 {
		return d, notADisk(file)
	}
	if info, err := os.Stat(filepath.Join(filepath.Dir(host), d.flat)); err != nil || info.Size() < d.capacity {
		return d, said(&types.FileNotFound{FileFault: types.FileFault{File: file}},
			"The extent %s of %s is missing or too short", d.flat, file)
	}
	return d, nil
}

func notADisk(file string) types.BaseMethodFault {
	return said(&types.InvalidDiskFormat{}, "The file specified is not a virtual disk: %s", file)
}

// formatUUID writes the 16 bytes of "60 00 C2 9a ...-..." as the API does.
func formatUUID(text string) string {
	digits := strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(text))
	if len(digits) != 32 {
		return ""
	}
	return strings.Join([]string{digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]}, "-")
}
