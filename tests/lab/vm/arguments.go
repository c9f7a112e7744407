package vm

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"bonneville.vsphere/lab/guest"
	"bonneville.vsphere/lab/vmroot"
)

// Files that QEMU is started with, by their numbers in its process.
const (
	memoryFile = 3 + iota
	qmpFile
	rpcFile
	toolsFile
)

// kernelLine: the kernel names its NICs eth0 and so on, as Photon's does; its console
// is the second serial port, since the first is the VM's own. The rest spares emulated
// processors work.
const kernelLine = "root=UUID=" + vmroot.RootUUID + " console=ttyS1 quiet net.ifnames=0 systemd.show_status=0 panic=-1 " +
	"lsm= mitigations=off tsc=reliable clocksource=tsc no_timer_check init_on_alloc=0 rcupdate.rcu_expedited=1"

// tbCache is how much memory, in MB, QEMU may fill with translated code of a guest.
const tbCache = 256

// build is all that QEMU's command line depends on.
type build struct {
	accelerator string
	root        vmroot.Root
	spec        guest.Machine
	disk        *layer
	further     map[int]guest.Disk // by their number on the SCSI bus
	tap         string
	dir         string
	private     bool // the memory is another's, to be copied where it is written
	incoming    bool // starts with another's state, to be told over QMP
}

// arguments is QEMU's command line. The hardware is VMware's as far as QEMU has it.
func (b build) arguments() []string {
	a := []string{
		"-name", option(b.spec.Name), "-nodefaults", "-no-user-config", "-display", "none", "-S",
		"-machine", "pc,usb=off,vmport=off,dump-guest-core=off,memory-backend=ram",
		"-object", fmt.Sprintf("memory-backend-file,id=ram,size=%dM,mem-path=/proc/self/fd/%d,share=%s,reserve=off",
			b.spec.MemoryMB, memoryFile, onOff(!b.private)),
		"-m", fmt.Sprint(b.spec.MemoryMB), "-smp", fmt.Sprint(max(1, min(int(b.spec.CPUs), runtime.NumCPU()))),
		"-rtc", "base=utc,clock=host", "-device", "vmgenid,guid=auto",
		"-kernel", b.root.Kernel, "-initrd", b.root.Initrd, "-append", kernelLine,
		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", qmpFile), "-mon", "chardev=qmp,mode=control",
		"-device", "virtio-serial-pci,id=serial",
		"-chardev", fmt.Sprintf("socket,id=rpc,fd=%d", rpcFile),
		"-device", "virtserialport,bus=serial.0,nr=1,chardev=rpc,name=bonneville.rpc",
		"-chardev", fmt.Sprintf("socket,id=tools,fd=%d", toolsFile),
		"-device", "virtserialport,bus=serial.0,nr=2,chardev=tools,name=bonneville.tools",
		"-device", "pvscsi,id=scsi",
		"-blockdev", "driver=qcow2,node-name=root,discard=unmap,cache.no-flush=on,file.driver=file,file.filename=" + option(b.disk.file),
		"-device", "scsi-hd,id=disk-root,bus=scsi.0,scsi-id=0,drive=root",
		"-netdev", "tap,id=net,vnet_hdr=off,script=no,downscript=no,ifname=" + b.tap,
		// As a PCI Express device it would have its MAC in its configuration space, and no
		// clone with another could take the state over.
		"-device", "vmxnet3,id=nic,netdev=net,romfile=,x-disable-pcie=on,mac=" + b.spec.MAC,
		"-object", "filter-dump,id=wire,netdev=net,queue=rx,maxlen=64,file=" + option(wireFile(b.dir)),
		"-chardev", "file,id=console,append=on,path=" + option(consoleFile(b.dir)),
		"-device", "isa-serial,index=1,chardev=console",
	}
	if b.accelerator == "kvm" {
		a = append(a, "-accel", "kvm", "-cpu", "host")
	} else {
		a = append(a, "-accel", fmt.Sprintf("tcg,thread=multi,tb-size=%d", tbCache), "-cpu", "qemu64,-svm,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq")
	}
	if b.spec.BiosUUID != "" {
		a = append(a, "-uuid", b.spec.BiosUUID)
	}
	if b.spec.LogFile != "" {
		a = append(a, "-chardev", "file,id=log,append=on,path="+option(b.spec.LogFile),
			"-device", "isa-serial,index=0,chardev=log")
	}
	for _, id := range slices.Sorted(maps.Keys(b.further)) {
		d := b.further[id]
		a = append(a,
			"-blockdev", fmt.Sprintf("driver=raw,node-name=%s,cache.no-flush=on,file.driver=file,file.filename=%s", node(d.UUID), option(d.File)),
			"-device", fmt.Sprintf("scsi-hd,id=%s,bus=scsi.0,scsi-id=%d,drive=%s,serial=%s", device(d.UUID), id, node(d.UUID), serial(d.UUID)))
	}
	if b.incoming {
		a = append(a, "-incoming", "defer")
	}
	return a
}

// option escapes a value of QEMU's comma-separated options.
func option(value string) string { return strings.ReplaceAll(value, ",", ",,") }

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// serial is how a disk says its UUID: see the guest's udev rule.
func serial(uuid string) string { return strings.ToLower(strings.ReplaceAll(uuid, "-", "")) }

// node and device are QEMU's names of a further disk; a node's has at most 31 characters.
func node(uuid string) string   { return "n" + serial(uuid)[:min(30, len(serial(uuid)))] }
func device(uuid string) string { return "d" + serial(uuid) }
