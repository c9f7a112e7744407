// Command health is a server whose health can be switched: POST /health/off and
// /health/on. "health check" asks it, as the image's HEALTHCHECK: the image has no
// shell and no other client.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	if len(os.Args) > 1 && os.Args[1] == "check" {
		os.Exit(check(port))
	}
	var healthy atomic.Bool
	healthy.Store(os.Getenv("HEALTHY") != "no")
	http.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		if !healthy.Load() {
			http.Error(w, "switched off", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "fine")
	})
	http.HandleFunc("POST /health/on", func(http.ResponseWriter, *http.Request) { healthy.Store(true) })
	http.HandleFunc("POST /health/off", func(http.ResponseWriter, *http.Request) { healthy.Store(false) })
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	server := &http.Server{Addr: ":" + port}
	go func() {
		<-stop.Done()
		_ = server.Close()
	}()
	fmt.Println("health: listening on port", port)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, "health:", err)
		os.Exit(1)
	}
}

// check prints the server's own word and gives the exit code that Docker expects.
func check(port string) int {
	answer, err := http.Get("http://127.0.0.1:" + port + "/health")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer answer.Body.Close()
	_, _ = io.Copy(os.Stdout, answer.Body)
	if answer.StatusCode != http.StatusOK {
		return 1
	}
	return 0
}
