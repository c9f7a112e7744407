// Command standin is, by the name that it is called with, what a lab's guest has
// instead of Photon's: init (systemd as process 1), systemctl, vmtoolsd and
// vmware-rpctool. The agent under test meets the commands that it meets in a VM.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	name, args := filepath.Base(os.Args[0]), os.Args[1:]
	switch name {
	case "init":
		os.Exit(initialise())
	case "systemctl":
		os.Exit(systemctl(args))
	case "poweroff", "reboot":
		os.Exit(systemctl([]string{name}))
	case "vmtoolsd":
		if len(args) == 2 && args[0] == "--cmd" {
			os.Exit(rpc(args[1]))
		}
		fmt.Fprintln(os.Stderr, "vmtoolsd: the lab's stand-in knows only --cmd COMMAND")
		os.Exit(1)
	case "vmware-rpctool":
		if len(args) == 0 {
			fmt.Fprintln(os.Stderr, "vmware-rpctool: no command given")
			os.Exit(1)
		}
		// Like the real one: only the first argument counts.
		os.Exit(rpc(args[0]))
	}
	fmt.Fprintf(os.Stderr, "no stand-in is called %s\n", name)
	os.Exit(1)
}
