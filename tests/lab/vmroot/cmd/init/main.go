// Command init is all that the guests' initrd holds beside the disk's drivers: it
// loads them, mounts the root and hands over to systemd. A distribution's initrd
// finds out for itself what a machine has, which takes an emulated one ten seconds.
package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"unsafe"
)

func main() {
	if err := start(); err != nil {
		fmt.Println("initrd:", err)
		time.Sleep(time.Second) // for the console; the kernel panics when we end
	}
}

func start() error {
	for target, kind := range map[string]string{"/dev": "devtmpfs", "/proc": "proc", "/sys": "sysfs"} {
		if err := syscall.Mount(kind, target, kind, 0, ""); err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	// In the order in which they need each other.
	order, err := os.ReadFile("/modules/order")
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(order)) {
		if err := load("/modules/" + name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	_, uuid, _ := strings.Cut(string(line), "root=UUID=")
	uuid, _, _ = strings.Cut(strings.TrimSpace(uuid), " ")
	disk, err := find(uuid)
	if err != nil {
		return err
	}
	if err := syscall.Mount(disk, "/root", "ext4", 0, ""); err != nil {
		return fmt.Errorf("%s: %w", disk, err)
	}
	for _, dir := range []string{"/dev", "/proc", "/sys"} {
		if err := syscall.Mount(dir, "/root"+dir, "", syscall.MS_MOVE, ""); err != nil {
			return fmt.Errorf("moving %s: %w", dir, err)
		}
	}
	if err := syscall.Chdir("/root"); err != nil {
		return err
	}
	if err := syscall.Mount(".", "/", "", syscall.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving the root: %w", err)
	}
	if err := syscall.Chroot("."); err != nil {
		return err
	}
	return syscall.Exec("/sbin/init", []string{"/sbin/init"}, []string{"HOME=/", "TERM=linux"})
}

// load is finit_module(2).
func load(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	const finitModule = 313 // on amd64
	none := []byte{0}
	_, _, code := syscall.Syscall(finitModule, file.Fd(), uintptr(unsafe.Pointer(&none[0])), 0)
	if code != 0 && code != syscall.EEXIST {
		return code
	}
	return nil
}

// find waits for the disk whose ext4 has the UUID.
func find(uuid string) (string, error) {
	wanted, err := hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
	if err != nil {
		return "", fmt.Errorf("root=UUID=%s: %w", uuid, err)
	}
	const superblock, uuidAt = 1024, 0x68
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		disks, _ := filepath.Glob("/dev/sd[a-z]")
		for _, disk := range disks {
			file, err := os.Open(disk)
			if err != nil {
				continue
			}
			own := make([]byte, len(wanted))
			_, err = file.ReadAt(own, superblock+uuidAt)
			file.Close()
			if err == nil && bytes.Equal(own, wanted) {
				return disk, nil
			}
		}
	}
	return "", fmt.Errorf("no disk has the file system %s", uuid)
}
