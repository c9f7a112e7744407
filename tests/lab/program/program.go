// Package program compiles the small static programs that run inside guests and
// images. They are built from sources that the lab carries, not linked into it:
// the guest's tools start dozens of times per clone, and the lab's own binary
// would cost a second of processor time in each.
package program

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
	"strings"
)

// Go is the toolchain that built the lab, where it is not the one on the PATH
// (set at link time: -X bonneville.vsphere/lab/program.Go=/path/to/go).
var Go string

// Program is one main package of this module and what it imports of it, standard library apart.
type Program struct {
	Name    string   // shown in progress, and part of the file's name
	Sources embed.FS // embedded by package At, so its paths are relative to it
	At      string   // directory of the embedding package below the module's root
	Main    string   // directory of the main package below At
	Arch    string   // GOARCH
}

// Build compiles p into the cache, unless the same sources are there already, and gives the file.
func Build(ctx context.Context, p Program, cache string, progress io.Writer) (string, error) {
	sum, err := p.hash()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "programs")
	target := filepath.Join(dir, fmt.Sprintf("%s-%s-%s", p.Name, p.Arch, sum))
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	tool, err := toolchain()
	if err != nil {
		return "", err
	}
	fmt.Fprintf(progress, "[programs] building %s for %s\n", p.Name, p.Arch)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := os.CopyFS(filepath.Join(work, p.At), p.Sources); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(work, "go.mod"), []byte("module bonneville.vsphere/lab\n\ngo 1.24\n"), 0o644); err != nil {
		return "", err
	}
	// The flags of the lab's own build, so that the compiled standard library is shared.
	build := exec.CommandContext(ctx, tool, "build", "-trimpath", "-ldflags=-s -w", "-o", "program", "./"+filepath.Join(p.At, p.Main))
	build.Dir = work
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+p.Arch, "GOWORK=off", "GOFLAGS=", "GOPROXY=off")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", p.Name, err, out)
	}
	// Renamed when whole: another lab with the same cache may be building it too.
	return target, os.Rename(filepath.Join(work, "program"), target)
}

func (p Program) hash() (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, p.At, p.Main)
	err := fs.WalkDir(p.Sources, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := p.Sources.ReadFile(path)
		fmt.Fprintln(sum, path, len(raw))
		sum.Write(raw)
		return err
	})
	return fmt.Sprintf("%x", sum.Sum(nil)[:6]), err
}

func toolchain() (string, error) {
	if tool, err := exec.LookPath("go"); err == nil {
		return tool, nil
	}
	if Go != "" {
		return Go, nil
	}
	return "", errors.New("no Go toolchain on the PATH to build the guests' programs with")
}
