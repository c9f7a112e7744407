package vcenter

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// server is an HTTPS endpoint that can go away and come back on the same port, as
// a vCenter that is restarted does.
type server struct {
	handler http.Handler
	tls     *tls.Config

	mu      sync.Mutex
	address string
	http    *http.Server
}

func splitListen(listen string) (host, port string, err error) {
	return net.SplitHostPort(listen)
}

func listen(address string, config *tls.Config, handler http.Handler) (*server, error) {
	s := &server{handler: handler, tls: config, address: address}
	return s, s.start()
}

func (s *server) start() error {
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.address = l.Addr().String() // keep the port for a restart
	s.http = &http.Server{
		Handler:  s.handler,
		ErrorLog: log.New(io.Discard, "", 0), // clients that leave in mid-handshake are no news
	}
	server := s.http
	s.mu.Unlock()
	go func() { _ = server.Serve(tls.NewListener(l, s.tls.Clone())) }()
	return nil
}

func (s *server) addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

// reachable is addr as a client on this machine writes it.
func (s *server) reachable() string {
	host, port, _ := net.SplitHostPort(s.addr())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// close drops every connection at once: requests that wait for updates would
// otherwise hold a graceful end for minutes.
func (s *server) close() {
	s.mu.Lock()
	server := s.http
	s.mu.Unlock()
	_ = server.Close()
}

// restart is away for the given time. The port is ours by SO_REUSEADDR, which Go
// sets, so coming back succeeds unless someone took it meanwhile.
func (s *server) restart(away time.Duration) error {
	s.close()
	time.Sleep(away)
	var err error
	for range 20 {
		if err = s.start(); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// shortVersion makes "8.0.3" of "8.0.3.0".
func shortVersion(api string) string {
	parts := strings.Split(api, ".")
	if len(parts) > 3 {
		parts = parts[:3]
	}
	return strings.Join(parts, ".")
}
