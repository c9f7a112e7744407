package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"bonneville.vsphere/lab/vm"
	"bonneville.vsphere/lab/vmroot"
)

// vmGuests puts together what guests of kind vm need: the disk that they boot from,
// their bridge, and a registry on it with the lab's images.
func vmGuests(ctx context.Context, s *settings, r *ready) (*inside, error) {
	cache, err := s.cacheDir()
	if err != nil {
		return nil, err
	}
	root, err := vmroot.Ensure(ctx, vmroot.Options{Cache: cache, Progress: os.Stderr})
	if err != nil {
		return nil, err
	}
	kind, err := vm.New(ctx, vm.Options{Root: root, Dir: filepath.Join(s.vcenter.Dir, "guests"), Cache: cache,
		FrozenFor: s.frozenFor, Progress: os.Stderr})
	if err != nil {
		return nil, err
	}
	extra, end, err := serveImages(ctx, s, r, cache, kind)
	if err != nil {
		return nil, errors.Join(err, kind.Close(), end())
	}
	r.Accelerator = kind.Accelerator()
	extra["GET /guests/memory"] = func(*http.Request) (any, error) { return kind.Memory() }
	extra["GET /guests/leases"] = func(*http.Request) (any, error) { return kind.Leases(), nil }
	extra["GET /guests/{name}/spoken"] = func(q *http.Request) (any, error) { return kind.Spoken(q.PathValue("name")) }
	extra["GET /guests/{name}/console"] = func(q *http.Request) (any, error) { return kind.Console(q.PathValue("name")), nil }
	extra["POST /guests/{name}/run"] = func(q *http.Request) (any, error) { return runInGuest(kind, q) }
	extra["POST /guests/{name}/find"] = func(q *http.Request) (any, error) { return findInGuest(kind, q) }
	return &inside{kind: kind, extra: extra, end: end}, nil
}

// runInGuest runs a program in a guest, as guest operations do.
func runInGuest(kind *vm.Kind, q *http.Request) (any, error) {
	var argv []string
	if err := json.NewDecoder(q.Body).Decode(&argv); err != nil || len(argv) == 0 {
		return nil, fmt.Errorf("%s: a list of words is wanted (%v)", q.URL.Path, err)
	}
	code, out, err := kind.Run(q.Context(), q.PathValue("name"), argv...)
	return map[string]any{"code": code, "out": out}, err
}

// findInGuest looks for bytes in a guest's memory.
func findInGuest(kind *vm.Kind, q *http.Request) (any, error) {
	var order struct {
		Hex    []string `json:"hex"`
		Length int      `json:"length"`
	}
	if err := json.NewDecoder(q.Body).Decode(&order); err != nil {
		return nil, fmt.Errorf("%s: %w", q.URL.Path, err)
	}
	patterns := make([][]byte, len(order.Hex))
	for i, text := range order.Hex {
		pattern, err := hex.DecodeString(text)
		if err != nil || len(pattern) == 0 {
			return nil, fmt.Errorf("%s: %q is no bytes in hex (%v)", q.URL.Path, text, err)
		}
		patterns[i] = pattern
	}
	return kind.Find(q.PathValue("name"), patterns, order.Length)
}
