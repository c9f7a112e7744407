package vcenter

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// gate stands before the simulator's SOAP endpoint. It sees bytes, so that it can
// do what a network and a tired vCenter do to a request, and it counts what
// clients really sent.
type gate struct {
	v     *VCenter
	rules rules

	mu      sync.Mutex
	calls   map[string]int64
	traffic []Exchange
	// waits holds, for a request that may wait long, the context that ends when
	// its client is gone. The simulator does not hand the HTTP request through.
	waits map[string]context.Context
}

// Exchange is one SOAP request with its answer.
type Exchange struct {
	Method   string    `json:"method"`
	Time     time.Time `json:"time"`
	Seconds  float64   `json:"seconds"`
	Status   int       `json:"status"`
	Request  string    `json:"request"`
	Response string    `json:"response"`
}

// maxTraffic bounds the memory that tracing takes; older exchanges are dropped.
const maxTraffic = 5000

func newGate(v *VCenter) *gate {
	return &gate{v: v, calls: map[string]int64{}, waits: map[string]context.Context{}}
}

// call is what the gate reads of a request.
type call struct {
	Method string
	This   types.ManagedObjectReference
	body   []byte
}

// newName is the name that a call gives to what it makes, empty for most.
func (c call) newName() string {
	var envelope struct {
		Body struct {
			Method struct {
				Name string `xml:"name"`
				Spec struct {
					Name       string `xml:"name"`
					ConfigSpec struct {
						Name string `xml:"name"`
					} `xml:"configSpec"`
				} `xml:"spec"`
			} `xml:",any"`
		} `xml:"Body"`
	}
	if xml.Unmarshal(c.body, &envelope) != nil {
		return ""
	}
	m := envelope.Body.Method
	for _, name := range []string{m.Spec.Name, m.Spec.ConfigSpec.Name, m.Name} {
		if name != "" {
			return name
		}
	}
	return ""
}

// parseCall reads the method and its object and no further: bodies can be large
// and are decoded in full by the simulator.
func parseCall(body []byte) (call, bool) {
	c := call{body: body}
	d := xml.NewDecoder(bytes.NewReader(body))
	inBody := false
	for {
		token, err := d.Token()
		if err != nil {
			return c, false
		}
		start, ok := token.(xml.StartElement)
		switch {
		case !ok:
		case !inBody:
			inBody = start.Name.Local == "Body"
		case c.Method == "":
			c.Method = start.Name.Local
		default:
			if start.Name.Local != "_this" {
				return c, true
			}
			for _, a := range start.Attr {
				if a.Name.Local == "type" {
					c.This.Type = a.Value
				}
			}
			return c, d.DecodeElement(&c.This.Value, &start) == nil
		}
	}
}

func (g *gate) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		c, ok := parseCall(body)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		begin := time.Now()
		g.count(c.Method)
		out := &recorder{ResponseWriter: w, keep: g.v.opts.Trace, status: http.StatusOK}
		g.answer(out, r, c, next)
		if g.v.opts.Trace {
			g.trace(Exchange{Method: c.Method, Time: begin, Seconds: time.Since(begin).Seconds(),
				Status: out.status, Request: string(body), Response: out.body.String()})
		}
	})
}

func (g *gate) answer(w http.ResponseWriter, r *http.Request, c call, next http.Handler) {
	pause(r.Context(), g.v.opts.Delay)
	if !g.loggedIn(r) && !sessionless[c.Method] {
		writeFault(w, "The session is not authenticated.", &types.NotAuthenticated{
			NoPermission: types.NoPermission{Object: &c.This, PrivilegeId: "System.View"}})
		return
	}
	if privilege := g.v.denied(c); privilege != "" {
		writeFault(w, "Permission to perform this operation was denied.",
			&types.NoPermission{Object: &c.This, PrivilegeId: privilege})
		return
	}
	if rule := g.rules.take(g.v, c, overridden(c.This.Type, c.Method)); rule != nil {
		if rule.After && !rule.Task {
			// What is answered here goes nowhere.
			next.ServeHTTP(nowhere{}, r)
		}
		if g.misbehave(w, r, c, rule) {
			return
		}
	}
	if c.Method == "WaitForUpdatesEx" || c.Method == "WaitForUpdates" {
		defer g.watchClient(r, c)()
	}
	next.ServeHTTP(w, r)
}

// sessionless are the methods that need no session; property reads tell without one
// nothing but the service's content.
var sessionless = map[string]bool{"Login": true, "LoginByToken": true, "LoginExtensionByCertificate": true, "CloneSession": true,
	"RetrieveServiceContent": true, "RetrieveInternalContent": true,
	"Fetch": true, "RetrieveProperties": true, "RetrievePropertiesEx": true}

// misbehave does what a rule says and reports whether the request is answered.
func (g *gate) misbehave(w http.ResponseWriter, r *http.Request, c call, rule *Rule) bool {
	pause(r.Context(), time.Duration(rule.DelayMS)*time.Millisecond)
	switch rule.Fault {
	case "":
		return false // a delay only
	case "http500":
		http.Error(w, "500 Internal Server Error", http.StatusInternalServerError)
	case "http503":
		http.Error(w, "503 Service Unavailable", http.StatusServiceUnavailable)
	case "reset":
		panic(http.ErrAbortHandler) // net/http closes the connection without an answer
	case "hang":
		select {
		case <-r.Context().Done():
		case <-g.v.closing:
		}
		panic(http.ErrAbortHandler)
	default:
		fault := rule.fault(c.This)
		if rule.Task {
			g.v.answerTask(w, c, rule.message(), fault)
		} else {
			writeFault(w, rule.message(), fault)
		}
	}
	return true
}

// loggedIn is whether the request bears a live session.
func (g *gate) loggedIn(r *http.Request) bool {
	cookie, err := r.Cookie(soap.SessionCookieName)
	return err == nil && g.v.sessionActive(cookie.Value)
}

func waitKey(session, collector string) string { return session + " " + collector }

func (g *gate) watchClient(r *http.Request, c call) func() {
	cookie, err := r.Cookie(soap.SessionCookieName)
	if err != nil {
		return func() {}
	}
	key := waitKey(cookie.Value, c.This.Value)
	g.mu.Lock()
	g.waits[key] = r.Context()
	g.mu.Unlock()
	return func() {
		g.mu.Lock()
		delete(g.waits, key)
		g.mu.Unlock()
	}
}

// client is the context of the request that waits on a collector.
func (g *gate) client(session, collector string) context.Context {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ctx := g.waits[waitKey(session, collector)]; ctx != nil {
		return ctx
	}
	return context.Background()
}

func (g *gate) count(method string) {
	g.mu.Lock()
	g.calls[method]++
	g.mu.Unlock()
}

func (g *gate) trace(e Exchange) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.traffic) >= maxTraffic {
		g.traffic = append(g.traffic[:0], g.traffic[1:]...)
	}
	g.traffic = append(g.traffic, e)
}

// recorder keeps the status, and the body where it is traced.
type recorder struct {
	http.ResponseWriter
	keep   bool
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.keep {
		r.body.Write(b)
	}
	return r.ResponseWriter.Write(b)
}

// nowhere is a client that is gone.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (nowhere) WriteHeader(int)             {}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
