// Command vmtools is, by the name that it is called with, what a lab's VM has instead
// of VMware Tools and cloud-init: vmtoolsd (the daemon, and its --cmd),
// vmware-rpctool, and cloud-init as it runs at a boot.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"bonneville.vsphere/lab/guestroot/cloudinit"
)

func main() {
	name, args := filepath.Base(os.Args[0]), os.Args[1:]
	switch {
	case name == "vmtoolsd" && len(args) == 0:
		os.Exit(daemon())
	case name == "vmtoolsd" && len(args) == 2 && args[0] == "--cmd":
		os.Exit(rpc(args[1]))
	case name == "vmware-rpctool" && len(args) > 0:
		// Like the real one: only the first argument counts.
		os.Exit(rpc(args[0]))
	case name == "cloud-init":
		cloudinit.Guest{InfoGet: infoGet, Run: run, Say: say}.Boot()
		return
	}
	say("%s: the lab's stand-in knows vmtoolsd [--cmd COMMAND], vmware-rpctool COMMAND and cloud-init", name)
	os.Exit(1)
}

func say(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
}

// run runs a program, and gives its exit code and all that it printed.
func run(argv ...string) (int, string) {
	command := exec.Command(argv[0], argv[1:]...)
	out, err := command.CombinedOutput()
	if command.ProcessState == nil {
		return 127, err.Error()
	}
	return command.ProcessState.ExitCode(), string(out)
}
