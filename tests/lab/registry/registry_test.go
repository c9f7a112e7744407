package registry

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestLogins(t *testing.T) {
	r, err := Serve("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.Require("private/", "user", "pass")
	image, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	right := &authn.Basic{Username: "user", Password: "pass"}
	wrong := &authn.Basic{Username: "user", Password: "word"}
	for _, one := range []struct {
		name  string
		login authn.Authenticator
		works bool
	}{
		{"web:1", authn.Anonymous, true},
		{"web:1", wrong, false}, // as everywhere: a wrong login is worse than none
		{"private/web:1", authn.Anonymous, false},
		{"private/web:1", wrong, false},
		{"private/web:1", right, true},
	} {
		reference, err := name.ParseReference(r.Address()+"/"+one.name, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		err = remote.Write(reference, image, remote.WithAuth(one.login))
		if err == nil {
			_, err = remote.Image(reference, remote.WithAuth(one.login))
		}
		if (err == nil) != one.works {
			t.Errorf("%s with %v: %v", one.name, one.login, err)
		}
	}
	if pulls := r.Pulls(); pulls["web:1"] != 1 || pulls["private/web:1"] != 1 {
		t.Errorf("pulls: %v", pulls)
	}
}
