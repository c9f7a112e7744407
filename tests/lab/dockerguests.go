package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"bonneville.vsphere/lab/docker"
	"bonneville.vsphere/lab/engine"
	"bonneville.vsphere/lab/guestroot"
)

// dockerGuests puts together what docker guests need: an engine, the root that they
// boot from, their bridge, and a registry on it with the lab's images.
func dockerGuests(ctx context.Context, s *settings, r *ready) (in *inside, err error) {
	cache, err := s.cacheDir()
	if err != nil {
		return nil, err
	}
	progress := os.Stderr
	made := &inside{}
	var ends []func() error
	made.end = func() error {
		var errs []error
		for i := len(ends) - 1; i >= 0; i-- {
			errs = append(errs, ends[i]())
		}
		return errors.Join(errs...)
	}
	// Not by the result: it is nil where this ends early.
	defer func() {
		if err != nil {
			if made.kind != nil {
				err = errors.Join(err, made.kind.Close())
			}
			err = errors.Join(err, made.end())
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
	kind, err := docker.New(ctx, docker.Options{Client: found.Client, Image: root,
		Dir: filepath.Join(s.vcenter.Dir, "guests"), Progress: progress})
	if err != nil {
		return nil, err
	}
	made.kind = kind
	var close func() error
	made.extra, close, err = serveImages(ctx, s, r, cache, kind)
	ends = append(ends, close)
	return made, err
}
