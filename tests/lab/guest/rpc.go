package guest

import (
	"strings"

	"bonneville.vsphere/lab/guestroot/wire"
)

// Freeze is the one command of VMware's guest RPC that a Kind has to carry out itself.
const Freeze = "instantclone.freeze"

// Answer answers the commands of VMware's guest RPC that are about guestinfo, as the
// hypervisor words it.
func Answer(rpc RPC, command string) wire.Answer {
	verb, rest, _ := strings.Cut(strings.TrimLeft(command, " "), " ")
	switch verb {
	case "info-get":
		value, ok := rpc.InfoGet(rest)
		if !ok {
			value = "No value found"
		}
		return wire.Answer{OK: ok, Text: value}
	case "info-set":
		key, value, _ := strings.Cut(rest, " ")
		if err := rpc.InfoSet(key, value); err != nil {
			return wire.Answer{Text: err.Error()}
		}
		return wire.Answer{OK: true}
	}
	return wire.Answer{Text: "Unknown command"}
}
