// Command lab is a vCenter on a laptop, for the collection's tests and its demo.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"bonneville.vsphere/lab/ova"
)

const usage = `usage: lab COMMAND [OPTIONS]

  serve          run a vCenter with its control API until SIGTERM or SIGINT
  ova FILE KIND  write an OVA that boots guests of the kind (docker, vm or scripted)

'lab serve -h' lists the options.
`

func main() {
	log.SetFlags(log.Ltime)
	log.SetPrefix("lab: ")
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	switch args[0] {
	case "serve":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		return serve(ctx, args[1:])
	case "ova":
		if len(args) != 3 {
			return fmt.Errorf("ova takes a file and a kind")
		}
		return ova.Build(args[1], args[2])
	case "help", "-h", "--help":
		fmt.Print(usage)
		return nil
	}
	fmt.Fprint(os.Stderr, usage)
	return fmt.Errorf("no command %q", args[0])
}
