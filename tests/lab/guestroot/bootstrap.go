package guestroot

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// suite is fixed: its docker.io is 20.10, whose overlay2 graph driver forks of a
// guest rely on (layers as directories, not in containerd's store).
const suite = "bookworm"

var packages = []string{"docker.io", "python3", "iproute2", "iptables", "openssl", "ca-certificates"}

// finish is run in the new root: no service is on until someone enables it, as
// docker is on Photon, and what no guest reads is left out of every copy.
const finish = `
rm -rf var/cache/apt/*.bin var/cache/apt/archives/*.deb var/lib/apt/lists/* usr/share/doc usr/share/man usr/share/locale
rm -rf etc/systemd/system/*.wants etc/machine-id
rm -rf dev/* proc/* run/* tmp/*
`

// lines is about how many debootstrap prints for these packages, to say how far it is.
const lines = 560

// Debian is what Debootstrap makes.
type Debian struct {
	What     string // shown in progress
	Packages []string
	Lines    int    // about how many debootstrap prints, to say how far it is
	Cache    string // keeps the packages
	Progress io.Writer
}

// Debootstrap unpacks a Debian of the lab's suite into root.
func (d Debian) Debootstrap(ctx context.Context, root string) error {
	tool, err := exec.LookPath("debootstrap")
	if err != nil {
		return errors.New("no debootstrap on the PATH, which the guests' root is made with: install it (Debian, Fedora and others have it)")
	}
	debs, err := filepath.Abs(filepath.Join(d.Cache, "debs"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(debs, 0o755); err != nil {
		return err
	}
	mirror := mirrorOf("/etc/apt")
	fmt.Fprintf(d.Progress, "[%s] debootstrap of %s from %s (about a minute, once)\n", d.What, suite, mirror)
	command := exec.CommandContext(ctx, tool, "--variant=minbase", "--cache-dir="+debs,
		"--include="+strings.Join(d.Packages, ","), suite, root, mirror)
	return d.follow(command)
}

// bootstrap makes the Debian and imports it as image.
func bootstrap(ctx context.Context, o Options, image string) error {
	if err := os.MkdirAll(o.Cache, 0o755); err != nil {
		return err
	}
	root, err := os.MkdirTemp(o.Cache, "root-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	start := time.Now()
	debian := Debian{What: "guest root", Packages: packages, Lines: lines, Cache: o.Cache, Progress: o.Progress}
	if err := debian.Debootstrap(ctx, root); err != nil {
		return err
	}
	trim := exec.CommandContext(ctx, "sh", "-euc", finish)
	trim.Dir = root
	if out, err := trim.CombinedOutput(); err != nil {
		return fmt.Errorf("trimming the root: %w: %s", err, out)
	}
	fmt.Fprintf(o.Progress, "[guest root] debootstrap took %.0f s; importing it into the engine\n", time.Since(start).Seconds())
	pack := exec.CommandContext(ctx, "tar", "--numeric-owner", "--xattrs", "-C", root, "-c", ".")
	pack.Stderr = os.Stderr
	archive, err := pack.StdoutPipe()
	if err != nil {
		return err
	}
	if err := pack.Start(); err != nil {
		return err
	}
	err = importRoot(ctx, o.Client, image, archive)
	return errors.Join(err, pack.Wait())
}

// follow runs debootstrap, says every few seconds what it does, and shows its last words if it fails.
func (d Debian) follow(command *exec.Cmd) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	command.Stdout, command.Stderr = write, write
	err = command.Start()
	write.Close()
	if err != nil {
		return err
	}
	var last []string
	said := time.Now()
	scanner := bufio.NewScanner(read)
	for n := 1; scanner.Scan(); n++ {
		last = append(last[max(0, len(last)-9):], scanner.Text())
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			what := strings.ToLower(strings.TrimPrefix(scanner.Text(), "I: "))
			fmt.Fprintf(d.Progress, "[%s] %d%%: %s\n", d.What, min(99, 100*n/d.Lines), what)
		}
	}
	if err := command.Wait(); err != nil {
		return fmt.Errorf("debootstrap: %w\n%s", err, strings.Join(last, "\n"))
	}
	return nil
}
