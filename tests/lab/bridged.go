package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"

	"bonneville.vsphere/lab/control"
	"bonneville.vsphere/lab/images"
	"bonneville.vsphere/lab/registry"
	"bonneville.vsphere/lab/vcenter"
)

// privatePrefix begins the names of images that a login is needed for.
const privatePrefix = "private/"

// bridged are guests on a bridge of the lab's.
type bridged interface {
	Gateway() netip.Addr
	Subnet() netip.Prefix
	SetDHCP(glob string, answering bool)
}

// cacheDir is where what guests are built from is kept.
func (s *settings) cacheDir() (string, error) {
	if s.cache == "" {
		return filepath.Join(s.vcenter.Dir, "cache"), nil
	}
	return filepath.Abs(s.cache)
}

// serveImages starts a registry on the guests' bridge with the lab's images, and
// gives the control calls that come with guests on a bridge.
func serveImages(ctx context.Context, s *settings, r *ready, cache string, kind bridged) (map[string]control.Handler, func() error, error) {
	set, err := images.Build(ctx, images.Options{Cache: cache, Progress: os.Stderr})
	if err != nil {
		return nil, nothing, err
	}
	reg, err := registry.Serve(kind.Gateway().String() + ":0")
	if err != nil {
		return nil, nothing, err
	}
	// In VMs the whole subnet is built in.
	if k, ok := kind.(interface{ TrustPlain(registry string) }); ok {
		k.TrustPlain(reg.Address())
	}
	if r.Images, err = set.Push(ctx, reg.Address()); err != nil {
		return nil, reg.Close, err
	}
	login := private{Server: reg.Address(), Username: "lab", Password: rand.Text()}
	reg.Require(privatePrefix, login.Username, login.Password)
	login.Images, err = set.PushTo(ctx, reg.Address(), privatePrefix,
		authn.FromConfig(authn.AuthConfig{Username: login.Username, Password: login.Password}))
	if err != nil {
		return nil, reg.Close, err
	}
	login.CA = filepath.Join(s.vcenter.Dir, "registry-ca.pem")
	secured, err := vcenter.ServerTLS(login.CA, kind.Gateway().String())
	if err == nil {
		err = reg.ServeTLS(kind.Gateway().String()+":0", secured)
	}
	if err != nil {
		return nil, reg.Close, err
	}
	login.Secure = reg.SecureAddress()
	if r.Archives, err = set.Save(filepath.Join(s.vcenter.Dir, "archives")); err != nil {
		return nil, reg.Close, err
	}
	r.Registry, r.Subnet, r.Private = reg.Address(), kind.Subnet().String(), &login
	return map[string]control.Handler{
		"GET /registry/pulls": func(*http.Request) (any, error) { return reg.Pulls(), nil },
		"POST /dhcp":          func(q *http.Request) (any, error) { return nil, setDHCP(kind, q) },
	}, reg.Close, nil
}

func nothing() error { return nil }

// setDHCP has guests of some names get an address by DHCP, or no answer.
func setDHCP(kind bridged, q *http.Request) error {
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
