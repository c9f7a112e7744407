// Package registry is the lab's image registry: plain HTTP, and TLS where asked for, on
// the lab's bridge, with logins per repository prefix, by the token flow that Docker Hub uses.
package registry

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Registry is a running registry.
type Registry struct {
	listener net.Listener
	secure   net.Listener // nil without TLS
	server   *http.Server
	store    http.Handler

	mu     sync.Mutex
	locks  []requirement
	tokens map[string]string // token to the user that it was made for, "" for anyone
	pulls  map[string]int
}

type requirement struct{ prefix, user, password string }

// Serve starts a registry at address ("10.213.0.1:0").
func Serve(address string) (*Registry, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("the lab's registry: %w", err)
	}
	r := &Registry{
		listener: listener,
		store:    registry.New(registry.Logger(log.New(io.Discard, "", 0))),
		tokens:   map[string]string{},
		pulls:    map[string]int{},
	}
	r.server = &http.Server{Handler: r}
	go r.server.Serve(listener)
	return r, nil
}

// Address is IP:PORT, as it stands in image names.
func (r *Registry) Address() string { return r.listener.Addr().String() }

// ServeTLS answers at a further address, with TLS. SecureAddress is that one then.
func (r *Registry) ServeTLS(address string, config *tls.Config) error {
	listener, err := tls.Listen("tcp", address, config)
	if err != nil {
		return fmt.Errorf("the lab's registry: %w", err)
	}
	r.secure = listener
	go r.server.Serve(listener)
	return nil
}

// SecureAddress is IP:PORT where the registry speaks TLS.
func (r *Registry) SecureAddress() string { return r.secure.Addr().String() }

// Require makes every repository whose name begins with prefix ask for this login.
func (r *Registry) Require(prefix, user, password string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.locks = append(r.locks, requirement{prefix, user, password})
}

// Pulls counts the manifests fetched so far, by "repository:tag". An image that a
// clone brings along from its template does not move this count.
func (r *Registry) Pulls() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.pulls)
}

// Close ends the registry; what was pushed is gone.
func (r *Registry) Close() error { return r.server.Close() }

// ServeHTTP lets a request through to the store when its token's user may see the
// repository. Docker's client sends credentials only where the registry's root has
// named a scheme, and then needs a token for public repositories too.
func (r *Registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.URL.Path == "/token" {
		r.issue(w, q)
		return
	}
	user, known := r.bearer(q)
	repository := repositoryOf(q.URL.Path)
	if !known || !r.allowed(user, repository) {
		r.challenge(w, q, repository)
		return
	}
	if tag, ok := strings.CutPrefix(q.URL.Path, "/v2/"+repository+"/manifests/"); ok && q.Method == http.MethodGet {
		r.mu.Lock()
		r.pulls[repository+":"+tag]++
		r.mu.Unlock()
	}
	r.store.ServeHTTP(w, q)
}

// issue answers a token request: anonymous ones too, as a token for public repositories.
func (r *Registry) issue(w http.ResponseWriter, q *http.Request) {
	user, password, given := q.BasicAuth()
	r.mu.Lock()
	defer r.mu.Unlock()
	if given {
		right := false
		for _, l := range r.locks {
			right = right || l.user == user && l.password == password
		}
		if !right {
			refuse(w, "incorrect username or password")
			return
		}
	}
	token := rand.Text()
	r.tokens[token] = user
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": 300})
}

func (r *Registry) bearer(q *http.Request) (user string, known bool) {
	token, ok := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return "", false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	user, known = r.tokens[token]
	return user, known
}

func (r *Registry) allowed(user, repository string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.locks {
		if strings.HasPrefix(repository, l.prefix) && l.user != user {
			return false
		}
	}
	return true
}

func (r *Registry) challenge(w http.ResponseWriter, q *http.Request, repository string) {
	origin := "http://" + r.Address()
	if q.TLS != nil {
		origin = "https://" + r.SecureAddress()
	}
	scheme := fmt.Sprintf(`Bearer realm="%s/token",service="lab"`, origin)
	if repository != "" {
		actions := "pull"
		if q.Method != http.MethodGet && q.Method != http.MethodHead {
			actions = "pull,push"
		}
		scheme += fmt.Sprintf(`,scope="repository:%s:%s"`, repository, actions)
	}
	w.Header().Set("WWW-Authenticate", scheme)
	refuse(w, "authentication required")
}

func refuse(w http.ResponseWriter, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": "UNAUTHORIZED", "message": message}}})
}

// repositoryOf takes NAME out of /v2/NAME/{manifests,blobs,tags}/...
func repositoryOf(path string) string {
	rest := strings.TrimPrefix(path, "/v2/")
	for _, part := range []string{"/manifests/", "/blobs/", "/tags/"} {
		if name, _, ok := strings.Cut(rest, part); ok {
			return name
		}
	}
	return ""
}
