package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"bonneville.vsphere/lab/control"
	"bonneville.vsphere/lab/guest"
	"bonneville.vsphere/lab/ova"
	"bonneville.vsphere/lab/scripted"
	"bonneville.vsphere/lab/vcenter"
)

// settings are the options of 'lab serve'.
type settings struct {
	vcenter   vcenter.Options
	delayMS   int
	guests    string
	engine    string
	cache     string
	readyFile string
	frozenFor time.Duration
}

// ready is what the lab says once it serves.
type ready struct {
	VCenter    vcenter.Connection `json:"vcenter"`
	Control    string             `json:"control"`
	Registry   string             `json:"registry"`
	OVA        string             `json:"ova"`
	Archives   map[string]string  `json:"archives"`
	Images     map[string]string  `json:"images"`
	Datacenter string             `json:"datacenter"`
	Cluster    string             `json:"cluster"`
	Datastore  string             `json:"datastore"`
	Network    string             `json:"network"`
	Hosts      []string           `json:"hosts"`
	Guests     string             `json:"guests"`
	// Subnet is where docker guests and VMs have their addresses; the first 126 are
	// free for static ones.
	Subnet  string   `json:"subnet"`
	Private *private `json:"private,omitempty"`
	// Accelerator is what runs the processors of guests of kind vm: kvm or tcg.
	Accelerator string `json:"accelerator,omitempty"`
}

// private is the part of the registry that asks for a login. Secure is the address at
// which the registry speaks TLS, with a certificate of the authority in the file CA.
type private struct {
	Server   string            `json:"server"`
	Secure   string            `json:"secure"`
	CA       string            `json:"ca"`
	Username string            `json:"username"`
	Password string            `json:"password"`
	Images   map[string]string `json:"images"`
}

func parse(args []string) (*settings, error) {
	s := &settings{}
	f := flag.NewFlagSet("lab serve", flag.ContinueOnError)
	o := &s.vcenter
	f.IntVar(&o.Hosts, "hosts", 3, "hosts in each cluster")
	f.IntVar(&o.Clusters, "clusters", 1, "clusters")
	f.IntVar(&o.HostMemoryGB, "host-memory-gb", 64, "memory of each host")
	f.IntVar(&o.ForeignVMs, "vms", 0, "VMs of others in the inventory")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:0", "address of the vCenter")
	f.StringVar(&o.Dir, "dir", "", "directory of all state (default: a temporary one)")
	f.StringVar(&o.APIVersion, "api-version", "8.0.3.0", "the API version that vCenter says it has")
	f.BoolVar(&o.Trace, "trace", false, "keep SOAP requests and answers for GET /traffic")
	f.BoolVar(&o.InheritExtraConfig, "inherit-extraconfig", true, "instant clones start with their source's extraConfig")
	f.IntVar(&s.delayMS, "delay", 0, "milliseconds that every SOAP call takes longer")
	f.StringVar(&s.guests, "guests", "docker", "kind of guests: docker, vm or scripted")
	f.StringVar(&s.engine, "engine", "", "Docker engine of docker guests (default: the machine's, else one of the lab's own)")
	f.StringVar(&s.cache, "cache", "", "directory of what guests are built from (default: below --dir)")
	f.DurationVar(&s.frozenFor, "frozen-for", 0, "how long templates of kind vm shall seem to have been frozen when they are cloned")
	f.StringVar(&s.readyFile, "ready-file", "", "file to write the ready message to, beside standard output")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	o.Delay = time.Duration(s.delayMS) * time.Millisecond
	switch {
	case f.NArg() > 0:
		return nil, fmt.Errorf("unexpected %q", f.Arg(0))
	case s.guests != "docker" && s.guests != "vm" && s.guests != "scripted":
		return nil, fmt.Errorf("no guests of kind %q", s.guests)
	case s.frozenFor != 0 && s.guests != "vm":
		return nil, errors.New("--frozen-for needs guests of kind vm")
	case o.Hosts < 1 || o.Clusters < 1:
		return nil, errors.New("a lab needs a host and a cluster")
	}
	return s, nil
}

func serve(ctx context.Context, args []string) (err error) {
	s, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if s.vcenter.Dir == "" {
		if s.vcenter.Dir, err = os.MkdirTemp("", "bonneville-lab-"); err != nil {
			return err
		}
		defer os.RemoveAll(s.vcenter.Dir)
	} else if err = os.MkdirAll(s.vcenter.Dir, 0o755); err != nil {
		return err
	}
	if s.vcenter.Dir, err = filepath.Abs(s.vcenter.Dir); err != nil {
		return err
	}

	r := ready{Guests: s.guests, Images: map[string]string{}, Archives: map[string]string{},
		OVA: filepath.Join(s.vcenter.Dir, "photon-lab.ova")}
	if err = ova.Build(r.OVA, s.guests); err != nil {
		return fmt.Errorf("build the OVA: %w", err)
	}
	in, err := makeInside(ctx, s, &r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.end()) }()
	s.vcenter.Kind, s.vcenter.KindName = in.kind, s.guests
	vc, err := vcenter.New(s.vcenter)
	if err != nil {
		return errors.Join(err, in.kind.Close())
	}
	defer func() { err = errors.Join(err, vc.Close()) }()
	api, err := control.Serve(vc, in.kind, in.extra)
	if err != nil {
		return err
	}
	defer api.Close()

	r.VCenter, r.Control, r.Hosts = vc.Connection(), api.URL(), vc.HostNames()
	r.Datacenter, r.Cluster = vcenter.Datacenter, vcenter.Cluster
	r.Datastore, r.Network = vcenter.Datastore, vcenter.Network
	if err = announce(&r, s.readyFile); err != nil {
		return err
	}
	<-ctx.Done()
	log.Print("ending")
	return nil
}

// announce says that the lab is ready, in one line.
func announce(r *ready, file string) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if file != "" {
		// Whoever waits for the file shall not see half of it.
		if err = os.WriteFile(file+".part", line, 0o600); err != nil {
			return err
		}
		if err = os.Rename(file+".part", file); err != nil {
			return err
		}
	}
	_, err = os.Stdout.Write(line)
	return err
}

// inside is what runs inside the VMs, with all that it needs.
type inside struct {
	kind  guest.Kind
	extra map[string]control.Handler // control calls of this kind of guests
	end   func() error               // called when the guests are gone
}

func makeInside(ctx context.Context, s *settings, r *ready) (*inside, error) {
	if s.guests == "scripted" {
		return &inside{kind: scripted.New(), end: func() error { return nil }}, nil
	}
	if s.guests == "vm" {
		return vmGuests(ctx, s, r)
	}
	return dockerGuests(ctx, s, r)
}
