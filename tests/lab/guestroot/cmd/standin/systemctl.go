package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"bonneville.vsphere/lab/guestroot/wire"
)

// reply is process 1's answer to a systemctl command.
type reply struct {
	Code     int
	Out, Err string
}

// systemctl hands its arguments to process 1.
func systemctl(args []string) int {
	connection, err := net.Dial("unix", controlSocket)
	if err != nil {
		fmt.Fprintln(os.Stderr, "Failed to connect to bus:", err)
		return 1
	}
	defer connection.Close()
	var r reply
	if err := json.NewEncoder(connection).Encode(args); err == nil {
		err = json.NewDecoder(connection).Decode(&r)
		if err != nil {
			fmt.Fprintln(os.Stderr, "Failed to get a reply:", err)
			return 1
		}
	}
	fmt.Print(r.Out)
	fmt.Fprint(os.Stderr, r.Err)
	return r.Code
}

// control does in process 1 what systemctl was asked for.
func (g *guest) control(args []string) reply {
	var verb string
	var names []string
	flags := map[string]bool{}
	for _, arg := range args {
		switch {
		case arg == "--no-block" || arg == "--quiet" || arg == "-q":
			flags[arg] = true
		case strings.HasPrefix(arg, "-"):
			return reply{Code: 1, Err: fmt.Sprintf("systemctl: unrecognized option '%s' (the lab's systemctl).\n", arg)}
		case verb == "":
			verb = arg
		case strings.Contains(arg, "."):
			names = append(names, arg)
		default:
			names = append(names, arg+".service")
		}
	}
	switch verb {
	case "daemon-reload", "reset-failed":
		return reply{} // unit files are read at every start
	case "poweroff":
		g.end(0)
		return reply{}
	case "reboot":
		g.end(wire.RebootCode)
		return reply{}
	}
	for _, name := range names {
		if r := g.controlUnit(verb, name, flags); r.Code != 0 || r.Out != "" {
			return r
		}
	}
	return reply{}
}

func (g *guest) end(code int) {
	select {
	case g.quit <- code:
	default: // already on its way down
	}
}

func (g *guest) controlUnit(verb, name string, flags map[string]bool) reply {
	switch verb {
	case "start", "restart":
		job := func() error {
			if verb == "restart" {
				g.units.stop(name)
			}
			return g.units.start(name)
		}
		if flags["--no-block"] {
			go job()
			return reply{}
		}
		return failure(verb, name, job())
	case "try-restart":
		if g.units.unit(name).is() != active {
			return reply{}
		}
		return g.controlUnit("restart", name, flags)
	case "stop":
		if flags["--no-block"] {
			go g.units.stop(name)
		} else {
			g.units.stop(name)
		}
		return reply{}
	case "is-active":
		return g.isActive(name, flags["--quiet"] || flags["-q"])
	case "enable", "disable", "mask", "unmask":
		if err := link(verb, name); err != nil {
			return failure(verb, name, err)
		}
		return reply{}
	}
	return reply{Code: 1, Err: fmt.Sprintf("Unknown command verb '%s' (the lab's systemctl).\n", verb)}
}

func (g *guest) isActive(name string, quiet bool) reply {
	state := g.units.unit(name).is()
	if builtin(name) {
		state = active
	}
	r := reply{}
	if state != active {
		r.Code = 3
	}
	if !quiet {
		r.Out = string(state) + "\n"
	}
	return r
}

// failure words an error as systemctl does; 5 is a unit that there is not.
func failure(verb, name string, err error) reply {
	if err == nil {
		return reply{}
	}
	if errors.Is(err, errNoUnit) {
		return reply{Code: 5, Err: fmt.Sprintf("Failed to %s %s: %v\n", verb, name, err)}
	}
	return reply{Code: 1, Err: err.Error() + "\n"}
}

// link changes what a boot starts.
func link(verb, name string) error {
	own := filepath.Join(unitDirectory, name)
	wants := filepath.Join(unitDirectory, "multi-user.target.wants", name)
	switch verb {
	case "enable":
		source := own
		if _, err := os.Stat(own); err != nil {
			source = filepath.Join("/lib/systemd/system", name)
			if _, err := os.Stat(source); err != nil && !builtin(name) {
				return fmt.Errorf("Unit file %s does %w.", name, errNoUnit)
			}
		}
		if err := os.MkdirAll(filepath.Dir(wants), 0o755); err != nil {
			return err
		}
		_ = os.Remove(wants)
		return os.Symlink(source, wants)
	case "disable":
		if err := os.Remove(wants); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	case "mask":
		_ = os.Remove(own)
		return os.Symlink(os.DevNull, own)
	case "unmask":
		if target, err := os.Readlink(own); err == nil && target == os.DevNull {
			return os.Remove(own)
		}
	}
	return nil
}
