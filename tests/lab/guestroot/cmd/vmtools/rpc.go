package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"syscall"

	"bonneville.vsphere/lab/guestroot/wire"
)

// turn is locked by whoever has the port: the guest's tools run side by side.
const turn = "/run/lock/bonneville-lab-rpc"

// ask makes one request to the lab.
func ask(request wire.Request) (*wire.Answer, error) {
	lock, err := os.OpenFile(turn, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, err
	}
	port, err := openPort(wire.Port)
	if err != nil {
		return nil, err
	}
	defer port.close()
	raw, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	// The answer to one that was killed while it waited may still come: it is another's.
	id := []byte(rand.Text() + " ")
	if err := port.writeLine(append(id, raw...)); err != nil {
		return nil, err
	}
	for {
		line, err := port.readLine()
		if err != nil {
			return nil, err
		}
		if text, mine := bytes.CutPrefix(line, id); mine {
			answer := &wire.Answer{}
			return answer, json.Unmarshal(text, answer)
		}
	}
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
		say("Failed to communicate with the hypervisor: %v", err)
		return 255
	}
	if !answer.OK {
		say("%s", answer.Text)
		return 1
	}
	fmt.Println(answer.Text)
	return 0
}
