// Command web answers every request with what its container looks like from inside.
//
// It listens on PORT (default 8080), which may be two ports with a comma between them.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	http.HandleFunc("/", describe)
	http.HandleFunc("/exit", exit)
	http.HandleFunc("/file", file)
	http.HandleFunc("/write", write)
	http.HandleFunc("/fetch", fetch)
	http.HandleFunc("/resolve", resolve)
	port, further, _ := strings.Cut(port, ",")
	if further != "" {
		go func() { log.Fatal(http.ListenAndServe(":"+further, nil)) }()
	}
	server := &http.Server{Addr: ":" + port}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	fmt.Println("web: listening on port", port)
	select {
	case err := <-ended:
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(1)
	case <-stop.Done():
		fmt.Println("web: asked to stop")
		limit, done := context.WithTimeout(context.Background(), 5*time.Second)
		defer done()
		_ = server.Shutdown(limit)
		fmt.Println("web: stopped")
	}
}

// describe answers {hostname, env, addresses, path, pid, args, uid}.
func describe(w http.ResponseWriter, q *http.Request) {
	hostname, _ := os.Hostname()
	env := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	addresses := []string{}
	found, _ := net.InterfaceAddrs()
	for _, a := range found {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() {
			addresses = append(addresses, a.String())
		}
	}
	fmt.Println("web:", q.Method, q.URL.Path)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"hostname": hostname, "env": env, "addresses": addresses, "path": q.URL.Path,
		"pid": os.Getpid(), "args": os.Args[1:], "uid": os.Getuid(),
	})
}

// exit ends the process with ?code=N, once the answer is out.
func exit(w http.ResponseWriter, q *http.Request) {
	code, err := strconv.Atoi(q.URL.Query().Get("code"))
	if err != nil {
		http.Error(w, "code is not a number", http.StatusBadRequest)
		return
	}
	// With its length said, what is flushed is the whole answer: nothing of it is left for after the end.
	w.Header().Set("Content-Length", "3")
	fmt.Fprintln(w, "{}")
	_ = http.NewResponseController(w).Flush()
	fmt.Println("web: told to exit with code", code)
	time.AfterFunc(100*time.Millisecond, func() { os.Exit(code) })
}

// file answers the content of ?path=, for what is mounted into the container.
func file(w http.ResponseWriter, q *http.Request) {
	raw, err := os.ReadFile(q.URL.Query().Get("path"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	_, _ = w.Write(raw)
}

// write puts the request's body into ?path=, for what is to outlive the container.
func write(w http.ResponseWriter, q *http.Request) {
	raw, err := io.ReadAll(q.Body)
	if err == nil {
		err = os.WriteFile(q.URL.Query().Get("path"), raw, 0o644)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "{}")
}

// fetch answers what ?url= answers from inside the container; 502 with why it does not.
func fetch(w http.ResponseWriter, q *http.Request) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(q.URL.Query().Get("url"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

// resolve answers ?name='s addresses as the container's resolver gives them, in their order.
func resolve(w http.ResponseWriter, q *http.Request) {
	limit, done := context.WithTimeout(q.Context(), 10*time.Second)
	defer done()
	found, err := net.DefaultResolver.LookupHost(limit, q.URL.Query().Get("name"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	_ = json.NewEncoder(w).Encode(found)
}
