// Package vmroot builds the disk that the lab's guests of kind vm boot from: a Debian
// with a kernel that has VMware's drivers, systemd and a Docker Engine, set up as
// Photon OS is.
//
// The Debian comes from debootstrap and is kept; what the lab puts into it is added in
// a second step, so that changing it costs some seconds.
package vmroot

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"bonneville.vsphere/lab/guestroot"
	"bonneville.vsphere/lab/program"
)

//go:embed files
var files embed.FS

//go:embed finish.sh
var finish string

//go:embed cmd/init
var initSources embed.FS

// packages: the cloud kernel has vmxnet3 and pvscsi, and little that no VM has.
var packages = []string{
	"systemd", "systemd-sysv", "systemd-resolved", "udev", "dbus", "kmod", "procps",
	"linux-image-cloud-amd64", "docker.io", "python3", "openssl", "ca-certificates", "iproute2", "iptables",
	"openssh-server",
}

// lines is about how many debootstrap prints for these packages.
const lines = 634

// names are what the guest finds the lab's tools by.
var names = []string{"vmtoolsd", "vmware-rpctool", "cloud-init"}

// RootUUID is the file system's, by which the kernel finds its root whatever other disks there are.
const RootUUID = "b0117e11-0000-4000-8000-000000000001"

// Bytes is the disk's size. Its file has holes where nothing was written.
const Bytes = 8 << 30

// Options says where to keep what is built.
type Options struct {
	Cache    string
	Progress io.Writer
}

// Root is what a machine boots.
type Root struct {
	Disk   string // raw, never written to
	Kernel string
	Initrd string
}

// Ensure gives the guest root, built where the cache does not have it yet.
func Ensure(ctx context.Context, o Options) (Root, error) {
	tools, err := guestroot.VMTools(ctx, o.Cache, o.Progress)
	if err != nil {
		return Root{}, fmt.Errorf("guest disk: %w", err)
	}
	initrd, err := program.Build(ctx, program.Program{
		Name: "initrd", Sources: initSources, At: "vmroot", Main: "cmd/init", Arch: runtime.GOARCH,
	}, o.Cache, o.Progress)
	if err != nil {
		return Root{}, fmt.Errorf("guest disk: %w", err)
	}
	base := filepath.Join(o.Cache, "vmroot", "debian-"+digest(packages...))
	// The programs' names hold the hashes of their sources.
	inputs := append([]string{base, filepath.Base(tools), filepath.Base(initrd), finish, RootUUID, fmt.Sprint(Bytes)}, names...)
	err = fs.WalkDir(files, "files", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := files.ReadFile(path)
		inputs = append(inputs, path, string(raw))
		return err
	})
	if err != nil {
		return Root{}, err
	}
	dir := filepath.Join(o.Cache, "vmroot", "guest-"+digest(inputs...))
	root := Root{filepath.Join(dir, "disk.raw"), filepath.Join(dir, "vmlinuz"), filepath.Join(dir, "initrd")}
	if _, err := os.Stat(dir); err == nil {
		return root, nil
	}
	if err := o.once(base, func(into string) error { return o.debian(ctx, into) }); err != nil {
		return Root{}, fmt.Errorf("guest disk: %w", err)
	}
	if err := o.once(dir, func(into string) error { return o.disk(ctx, base, tools, initrd, into) }); err != nil {
		return Root{}, fmt.Errorf("guest disk: %w", err)
	}
	return root, nil
}

// once fills a directory of the cache unless it is there; it has its name only when it is whole.
func (o Options) once(dir string, fill func(into string) error) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "making-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	start := time.Now()
	into := filepath.Join(work, filepath.Base(dir))
	if err := os.Mkdir(into, 0o755); err != nil {
		return err
	}
	if err := fill(into); err != nil {
		return err
	}
	err = os.Rename(into, dir)
	if _, made := os.Stat(dir); made == nil && err != nil {
		return nil // by another lab with the same cache, meanwhile
	}
	fmt.Fprintf(o.Progress, "[guest disk] %s: done in %.0f s\n", filepath.Base(dir), time.Since(start).Seconds())
	return err
}

func (o Options) debian(ctx context.Context, into string) error {
	return guestroot.Debian{
		What: "guest disk", Packages: packages, Lines: lines, Cache: o.Cache, Progress: o.Progress,
	}.Debootstrap(ctx, into)
}

// disk makes the file system's image, and puts kernel and initrd beside it: QEMU
// starts them by itself, without a boot loader.
func (o Options) disk(ctx context.Context, base, tools, initrd, into string) error {
	fmt.Fprintln(o.Progress, "[guest disk] adding the lab's files, making the file system")
	root := filepath.Join(filepath.Dir(into), "root")
	if err := command(ctx, "cp", "-a", "--reflink=auto", base, root); err != nil {
		return err
	}
	own, err := fs.Sub(files, "files")
	if err != nil {
		return err
	}
	if err := overwrite(root, own); err != nil {
		return err
	}
	binary := filepath.Join(root, "usr/bin", names[0])
	if err := command(ctx, "install", "-m", "755", tools, binary); err != nil {
		return err
	}
	for _, name := range names[1:] {
		if err := os.Symlink(names[0], filepath.Join(root, "usr/bin", name)); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(root, "initrd"), 0o755); err != nil {
		return err
	}
	if err := command(ctx, "install", "-m", "755", initrd, filepath.Join(root, "initrd/init")); err != nil {
		return err
	}
	last := exec.CommandContext(ctx, "sh", "-c", finish)
	last.Dir = root
	if out, err := last.CombinedOutput(); err != nil {
		return fmt.Errorf("finishing the guest's root: %w: %s", err, out)
	}
	for from, to := range map[string]string{"boot/vmlinuz-*": "vmlinuz", "boot/initrd": "initrd"} {
		found, _ := filepath.Glob(filepath.Join(root, from))
		if len(found) != 1 {
			return fmt.Errorf("%s: %d files", from, len(found))
		}
		if err := os.Rename(found[0], filepath.Join(into, to)); err != nil {
			return err
		}
	}
	image := filepath.Join(into, "disk.raw")
	if err := os.WriteFile(image, nil, 0o644); err != nil {
		return err
	}
	if err := os.Truncate(image, Bytes); err != nil {
		return err
	}
	// Inode tables that are made later would be written by each guest, in its own overlay.
	return command(ctx, "mke2fs", "-q", "-t", "ext4", "-U", RootUUID, "-N", "200000", "-O", "^orphan_file",
		"-E", "lazy_itable_init=0,nodiscard", "-d", root, image)
}

// overwrite puts the lab's files into a root. os.CopyFS would refuse what is there.
func overwrite(root string, own fs.FS) error {
	return fs.WalkDir(own, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(root, path)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		raw, err := fs.ReadFile(own, path)
		if err != nil {
			return err
		}
		if err := os.Remove(target); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return os.WriteFile(target, raw, 0o644)
	})
}

func command(ctx context.Context, name string, arguments ...string) error {
	if out, err := exec.CommandContext(ctx, name, arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

func digest(inputs ...string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(inputs, "\x00"))))[:12]
}
