// Package engine finds a Docker Engine for the lab's guests, or starts one.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Options says where to look.
type Options struct {
	// Given is --engine: "unix:///path" or a socket's path; empty to look around.
	Given string
	// Dir holds the data root of a dockerd of the lab's own. It is a cache: the
	// guests' root image stays there from one lab to the next.
	Dir string
	// Progress gets a line for each step that takes time.
	Progress io.Writer
}

// Engine is a Docker Engine that answers.
type Engine struct {
	Client  *Client
	Version string
	Own     bool // started by the lab

	daemon *daemon
}

// Find gives the engine named by the options, by DOCKER_HOST or by the default
// socket, the first one that answers and can run the lab's guests; where there is
// none it starts a dockerd of the lab's own. A docker client on the PATH proves
// nothing, so it is always the server that is asked.
func Find(ctx context.Context, o Options) (*Engine, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("docker guests need root (volumes, loop devices and paused processes are reached" +
			" from outside): run the lab as root, or with --guests scripted")
	}
	if o.Given != "" {
		e, err := answering(ctx, o.Given)
		if err != nil {
			return nil, fmt.Errorf("the engine %s cannot run the lab's guests: %w", o.Given, err)
		}
		return e, nil
	}
	for _, host := range []string{os.Getenv("DOCKER_HOST"), "unix:///var/run/docker.sock"} {
		if host == "" {
			continue
		}
		e, err := answering(ctx, host)
		if err == nil {
			return e, nil
		}
		fmt.Fprintf(o.Progress, "[engine] not using %s: %v\n", host, err)
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		return nil, errors.New("no Docker Engine answers and there is no dockerd to start:" +
			" install docker.io, or name an engine by --engine unix:///path/to/docker.sock")
	}
	return startOwn(ctx, o)
}

// Close stops the dockerd that Find started, unless another lab still uses it.
func (e *Engine) Close() error {
	e.Client.http.CloseIdleConnections()
	if e.daemon == nil {
		return nil
	}
	return e.daemon.release()
}

// answering asks the engine at host who it is, and whether the lab can reach into
// its volumes: a remote, rootless or virtualised engine keeps them elsewhere.
func answering(ctx context.Context, host string) (*Engine, error) {
	socket, local := strings.CutPrefix(host, "unix://")
	if !local && !strings.HasPrefix(host, "/") {
		return nil, errors.New("it is not on a unix socket, so the guests' files would not be on this machine")
	}
	client, version, err := dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	var info struct {
		DockerRootDir   string
		Driver          string
		SecurityOptions []string
	}
	if err := client.Call(ctx, "GET", "/info", nil, nil, &info); err != nil {
		return nil, err
	}
	for _, option := range info.SecurityOptions {
		if strings.Contains(option, "name=rootless") || strings.Contains(option, "name=userns") {
			return nil, fmt.Errorf("it runs with %s, in which no Docker Engine can run inside a container", option)
		}
	}
	if _, err := os.Stat(info.DockerRootDir); err != nil {
		return nil, fmt.Errorf("its files in %s are not on this machine", info.DockerRootDir)
	}
	return &Engine{Client: client, Version: version.Version}, nil
}
