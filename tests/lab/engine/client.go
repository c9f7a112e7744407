package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client speaks the Docker Engine API over a unix socket. The few calls that the
// lab makes do not pay for the official client's forty modules.
type Client struct {
	socket  string
	http    *http.Client
	version string // negotiated API version, for example "1.41"
}

// Error is what the engine answered instead of doing what it was asked.
type Error struct {
	Status  int
	Method  string
	Path    string
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("docker engine: %s %s: %d: %s", e.Method, e.Path, e.Status, e.Message)
}

// IsStatus tells whether err is the engine's answer with that HTTP status.
func IsStatus(err error, status int) bool {
	var answer *Error
	return errors.As(err, &answer) && answer.Status == status
}

// preferred is the newest API version that this client was written for; engines
// from 20.10 (1.41) to those that refuse anything below 1.44 can all be driven.
const preferred = "1.44"

// dial connects to an engine's socket and agrees on an API version.
func dial(ctx context.Context, socket string) (*Client, *Version, error) {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
		MaxIdleConns: 16,
	}
	c := &Client{socket: socket, http: &http.Client{Transport: transport}}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var v Version
	if err := c.Call(ctx, "GET", "/version", nil, nil, &v); err != nil {
		return nil, nil, err
	}
	c.version = preferred
	if older(v.APIVersion, preferred) {
		c.version = v.APIVersion
	}
	return c, &v, nil
}

// Version is the server's own word on what it is.
type Version struct {
	Version    string
	APIVersion string `json:"ApiVersion"`
	Os         string
	Arch       string
}

// Socket is the engine's unix socket.
func (c *Client) Socket() string { return c.socket }

// AtLeast tells whether the agreed API version is v ("1.44") or newer.
func (c *Client) AtLeast(v string) bool { return !older(c.version, v) }

func older(a, b string) bool {
	return minor(a) < minor(b)
}

// minor orders API versions; all of them are 1.x.
func minor(v string) int {
	_, after, _ := strings.Cut(v, ".")
	n, _ := strconv.Atoi(after)
	return n
}

// Call makes one request: in (nil for none) as JSON, the answer into out (nil to ignore it).
func (c *Client) Call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	answer, err := c.Stream(ctx, method, path, query, "application/json", body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, answer)
		return err
	}
	return json.NewDecoder(answer).Decode(out)
}

// Stream makes one request with a body of any type and gives the answer's body to read and close.
func (c *Client) Stream(
	ctx context.Context, method, path string, query url.Values, contentType string, body io.Reader,
) (io.ReadCloser, error) {
	target := "http://docker"
	if c.version != "" {
		target += "/v" + c.version
	}
	target += path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", contentType)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode < 400 {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	raw, _ := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	failure := &Error{Status: answer.StatusCode, Method: method, Path: path, Message: strings.TrimSpace(string(raw))}
	var said struct{ Message string }
	if json.Unmarshal(raw, &said) == nil && said.Message != "" {
		failure.Message = said.Message
	}
	return nil, failure
}

// Filters renders the engine's filter argument.
func Filters(name string, values ...string) url.Values {
	raw, _ := json.Marshal(map[string][]string{name: values})
	return url.Values{"filters": {string(raw)}}
}
