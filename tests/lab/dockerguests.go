package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"

	"bonneville.vsphere/lab/control"
	"bonneville.vsphere/lab/docker"
	"bonneville.vsphere/lab/engine"
	"bonneville.vsphere/lab/guestroot"
	"bonneville.vsphere/lab/images"
	"bonneville.vsphere/lab/registry"
)

// privatePrefix begins the names of images that a login is needed for.
const privatePrefix = "private/"

// dockerGuests puts together what docker guests need: an engine, the root that they
// boot from, their bridge, and a registry on it with the lab's images.
func dockerGuests(ctx context.Context, s *settings, r *ready) (in *inside, err error) {
	cache := s.cache
	if cache == "" {
		cache = filepath.Join(s.vcenter.Dir, "cache")
	}
	if cache, err = filepath.Abs(cache); err != nil {
		return nil, err
	}
	progress := os.Stderr
	in = &inside{}
	var ends []func() error
	in.end = func() error {
		var errs []error
		for i := len(ends) - 1; i >= 0; i-- {
			errs = append(errs, ends[i]())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			if in.kind != nil {
				err = errors.Join(err, in.kind.Close())
			}
			err = errors.Join(err, in.end())
		}
	}()

	found, err := engine.Find(ctx, engine.Options{Given: s.engine, Dir: filepath.Join(cache, "engine"), Progress: progress})
	if err != nil {
		return nil, err
	}
	ends = append(ends, found.Close)
	root, err := guestroot.Ensure(ctx, guestroot.Options{Client: found.Client, Cache: cache, Progress: progress})
	if err != nil {
		return nil, err
	}
	set, err := images.Build(ctx, images.Options{Cache: cache, Progress: progress})
	if err != nil {
		return nil, err
	}
	kind, err := docker.New(ctx, docker.Options{Client: found.Client, Image: root,
		Dir: filepath.Join(s.vcenter.Dir, "guests"), Progress: progress})
	if err != nil {
		return nil, err
	}
	in.kind = kind
	reg, err := registry.Serve(kind.Gateway().String() + ":0")
	if err != nil {
		return nil, err
	}
	ends = append(ends, reg.Close)
	if r.Images, err = set.Push(ctx, reg.Address()); err != nil {
		return nil, err
	}
	login := private{Server: reg.Address(), Username: "lab", Password: rand.Text()}
	reg.Require(privatePrefix, login.Username, login.Password)
	login.Images, err = set.PushTo(ctx, reg.Address(), privatePrefix,
		authn.FromConfig(authn.AuthConfig{Username: login.Username, Password: login.Password}))
	if err != nil {
		return nil, err
	}
	if r.Archives, err = set.Save(filepath.Join(s.vcenter.Dir, "archives")); err != nil {
		return nil, err
	}
	r.Registry, r.Subnet, r.Private = reg.Address(), kind.Subnet().String(), &login
	in.extra = map[string]control.Handler{
		"GET /registry/pulls": func(*http.Request) (any, error) { return reg.Pulls(), nil },
		"POST /dhcp":          func(q *http.Request) (any, error) { return nil, setDHCP(kind, q) },
	}
	return in, nil
}

// setDHCP has guests of some names get an address by DHCP, or no answer.
func setDHCP(kind *docker.Kind, q *http.Request) error {
	var order struct {
		Match  string `json:"match"`
		Answer bool   `json:"answer"`
	}
	if err := json.NewDecoder(q.Body).Decode(&order); err != nil {
		return fmt.Errorf("POST /dhcp: %w", err)
	}
	kind.SetDHCP(order.Match, order.Answer)
	return nil
}
