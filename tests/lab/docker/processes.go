package docker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// KillProcess kills every process of the guest, and of the containers in it, that
// is called by name: by its program, its title, or one of its arguments' file names
// (so that "agent.pyz" finds a Python).
func (k *Kind) KillProcess(_ context.Context, id, name string) error {
	m, err := k.Machine(id)
	if err != nil {
		return err
	}
	if m.disk.blank {
		return fmt.Errorf("%s runs nothing", m.spec.Name)
	}
	killed := 0
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return err
	}
	for _, file := range groups {
		// The guest's control groups are below its container's, whose path names its id.
		group, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(group), m.disk.container) {
			continue
		}
		dir := filepath.Dir(file)
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || !called(dir, name) {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
			killed++
		}
	}
	if killed == 0 {
		return fmt.Errorf("no process %q runs in %s", name, m.spec.Name)
	}
	return nil
}

func called(proc, name string) bool {
	title, _ := os.ReadFile(filepath.Join(proc, "comm"))
	if strings.TrimSpace(string(title)) == name {
		return true
	}
	line, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
	for _, argument := range strings.Split(string(line), "\x00") {
		if argument != "" && filepath.Base(argument) == name {
			return true
		}
	}
	return false
}
