package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"bonneville.vsphere/lab/guestroot/wire"
)

// ask makes one request to the lab.
func ask(request wire.Request) (*wire.Answer, error) {
	connection, err := net.Dial("unix", wire.Socket)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	if err := json.NewEncoder(connection).Encode(request); err != nil {
		return nil, err
	}
	answer := &wire.Answer{}
	return answer, json.NewDecoder(connection).Decode(answer)
}

func infoGet(key string) (string, bool) {
	answer, err := ask(wire.Request{Kind: wire.RPC, Command: "info-get " + key})
	if err != nil || !answer.OK {
		return "", false
	}
	return answer.Text, true
}

// rpc is one command of VMware's guest RPC, with the exit codes and the words of
// the real tools: 0 and the value, 1 and a complaint, 255 outside of a VM.
func rpc(command string) int {
	answer, err := ask(wire.Request{Kind: wire.RPC, Command: command})
	if err != nil {
		fmt.Fprintln(os.Stderr, "Failed to communicate with the hypervisor:", err)
		return 255
	}
	if answer.Hold != "" {
		answer, err = held(filepath.Join(wire.Directory, answer.Hold))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if !answer.OK {
		fmt.Fprintln(os.Stderr, answer.Text)
		return 1
	}
	fmt.Println(answer.Text)
	return 0
}

// held waits for an answer that comes as a file. The machine is halted in here; a
// watch or a connection would have to be made anew in each clone, a look does not.
func held(path string) (*wire.Answer, error) {
	for {
		raw, err := os.ReadFile(path)
		if err == nil {
			answer := &wire.Answer{}
			return answer, json.Unmarshal(raw, answer)
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}
