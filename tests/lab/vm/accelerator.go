package vm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// trialTime is how long a kernel may take to its first process under KVM. One that
// works needs a second or two.
const trialTime = 15 * time.Second

// accelerator is kvm where a guest's kernel comes up under it, else tcg: a /dev/kvm
// alone proves nothing. The outcome is remembered until the host boots.
func accelerator(ctx context.Context, o Options) (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	known := filepath.Join(o.Cache, "vmroot", "accelerator-"+strings.TrimSpace(string(boot)))
	if raw, err := os.ReadFile(known); err == nil {
		return string(raw), nil
	}
	found := "tcg"
	if _, err := os.Stat("/dev/kvm"); err == nil {
		if err := tryKVM(ctx, o); err == nil {
			found = "kvm"
		} else {
			fmt.Fprintf(o.Progress, "[guests] not using /dev/kvm: %v\n", err)
		}
	}
	if found == "tcg" {
		fmt.Fprintln(o.Progress, "[guests] no KVM here: the guests' processors are emulated, and slow")
	}
	if err := os.MkdirAll(filepath.Dir(known), 0o755); err != nil {
		return "", err
	}
	return found, os.WriteFile(known, []byte(found), 0o644)
}

// tryKVM boots a guest's kernel as far as its first process, which ends at once.
func tryKVM(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, trialTime)
	defer cancel()
	command := exec.CommandContext(ctx, "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
		"-accel", "kvm", "-cpu", "host", "-m", "256", "-no-reboot", "-serial", "stdio",
		"-kernel", o.Root.Kernel, "-initrd", o.Root.Initrd, "-append", "console=ttyS0 panic=-1 rdinit=/bin/false")
	out, err := command.CombinedOutput()
	if bytes.Contains(out, []byte("Attempted to kill init")) {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("a trial guest did not come up within %s", trialTime)
	}
	if err == nil {
		err = fmt.Errorf("it ended without a word")
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return fmt.Errorf("a trial guest did not come up: %w: %s", err, lines[0])
}
