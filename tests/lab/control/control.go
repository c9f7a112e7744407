// Package control is the lab's own API, by which tests and the demo look into it
// and bring about what a vCenter does not offer: JSON over HTTP, on loopback only.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"bonneville.vsphere/lab/guest"
	"bonneville.vsphere/lab/scripted"
	"bonneville.vsphere/lab/vcenter"
)

// API serves the control calls.
type API struct {
	vc     *vcenter.VCenter
	kind   guest.Kind
	server *http.Server
	addr   string
}

// Serve starts the API on any port of loopback. Extra calls are those that only some
// kinds of guests have.
func Serve(vc *vcenter.VCenter, kind guest.Kind, extra map[string]Handler) (*API, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &API{vc: vc, kind: kind, addr: l.Addr().String()}
	mux := http.NewServeMux()
	for pattern, h := range a.routes() {
		mux.HandleFunc(pattern, a.answer(h))
	}
	for pattern, h := range extra {
		mux.HandleFunc(pattern, a.answer(h))
	}
	a.server = &http.Server{Handler: mux}
	go func() { _ = a.server.Serve(l) }()
	return a, nil
}

// URL is where the API is.
func (a *API) URL() string { return "http://" + a.addr }

// Close ends it.
func (a *API) Close() { _ = a.server.Close() }

// Handler answers with a value for JSON, or nil for none.
type Handler func(r *http.Request) (any, error)

func (a *API) routes() map[string]Handler {
	return map[string]Handler{
		"GET /state": func(*http.Request) (any, error) { return a.vc.State(), nil },
		"GET /calls": func(*http.Request) (any, error) { return a.vc.Calls(), nil },
		"DELETE /calls": func(*http.Request) (any, error) {
			a.vc.ResetCalls()
			return nil, nil
		},
		"GET /traffic": func(*http.Request) (any, error) { return a.vc.Traffic(), nil },
		"POST /faults": a.addFault,
		"DELETE /faults": func(*http.Request) (any, error) {
			a.vc.ClearRules()
			return nil, nil
		},
		"POST /scripted":                 a.script,
		"POST /switch":                   a.flip,
		"POST /sessions/expire":          func(*http.Request) (any, error) { a.vc.ExpireSessions(); return nil, nil },
		"POST /leases/expire":            func(*http.Request) (any, error) { a.vc.ExpireLeases(); return nil, nil },
		"POST /vcenter/restart":          a.restart,
		"POST /vms":                      a.addVM,
		"POST /vms/{name}/{operation}":   a.operate,
		"POST /hosts/{name}/{operation}": a.host,
	}
}

// errInput is an error that the caller made.
type errInput struct{ error }

func (a *API) answer(h Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		value, err := h(r)
		if err != nil {
			status := http.StatusConflict
			if errors.As(err, &errInput{}) {
				status = http.StatusBadRequest
			}
			http.Error(w, err.Error(), status)
			return
		}
		if value == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value)
	}
}

// read decodes the request's body, refusing what it does not know: a misspelt key
// would make a test pass for the wrong reason.
func read(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return errInput{fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, err)}
	}
	return nil
}

func (a *API) addFault(r *http.Request) (any, error) {
	var rule vcenter.Rule
	if err := read(r, &rule); err != nil {
		return nil, err
	}
	id, err := a.vc.AddRule(rule)
	if err != nil {
		return nil, errInput{err}
	}
	return map[string]int{"id": id}, nil
}

func (a *API) script(r *http.Request) (any, error) {
	kind, ok := a.kind.(*scripted.Kind)
	if !ok {
		return nil, errInput{errors.New("the guests are not scripted: start the lab with --guests scripted")}
	}
	var rules []scripted.Rule
	if err := read(r, &rules); err != nil {
		return nil, err
	}
	if err := kind.SetRules(rules); err != nil {
		return nil, errInput{err}
	}
	return nil, nil
}

func (a *API) flip(r *http.Request) (any, error) {
	var s vcenter.Switches
	if err := read(r, &s); err != nil {
		return nil, err
	}
	a.vc.Switch(s)
	return nil, nil
}

func (a *API) restart(r *http.Request) (any, error) {
	away := 500
	if ms := r.URL.Query().Get("away_ms"); ms != "" {
		var err error
		if away, err = strconv.Atoi(ms); err != nil {
			return nil, errInput{err}
		}
	}
	return nil, a.vc.Restart(time.Duration(away) * time.Millisecond)
}

func (a *API) addVM(r *http.Request) (any, error) {
	var f vcenter.Foreign
	if err := read(r, &f); err != nil {
		return nil, err
	}
	moid, err := a.vc.AddVM(f)
	if err != nil {
		return nil, err
	}
	return map[string]string{"moid": moid}, nil
}

func (a *API) operate(r *http.Request) (any, error) {
	name, query := r.PathValue("name"), r.URL.Query()
	switch operation := r.PathValue("operation"); operation {
	case "power-on", "power-off", "reset", "unfreeze":
		return nil, a.vc.PowerVM(name, operation)
	case "kill-guest":
		return nil, a.vc.KillGuest(name, query.Get("process"))
	case "guest-exit":
		code, err := strconv.Atoi(query.Get("code"))
		if err != nil {
			return nil, errInput{err}
		}
		return nil, a.vc.ExitContainer(name, code)
	case "rename":
		return nil, a.vc.RenameVM(name, query.Get("to"))
	case "move":
		return nil, a.vc.MoveVM(name, query.Get("folder"))
	case "destroy":
		return nil, a.vc.DestroyVM(name)
	case "reconfigure":
		var settings map[string]string
		if err := read(r, &settings); err != nil {
			return nil, err
		}
		return nil, a.vc.SetExtraConfig(name, settings)
	default:
		return nil, errInput{fmt.Errorf("no operation %q on VMs", operation)}
	}
}

func (a *API) host(r *http.Request) (any, error) {
	name := r.PathValue("name")
	switch operation := r.PathValue("operation"); operation {
	case "restart":
		return nil, a.vc.RestartHost(name, r.URL.Query().Get("ha") != "false")
	case "maintenance", "exit-maintenance":
		return nil, a.vc.MaintainHost(name, operation == "maintenance")
	case "disconnect", "reconnect":
		return nil, a.vc.DisconnectHost(name, operation == "reconnect")
	default:
		return nil, errInput{fmt.Errorf("no operation %q on hosts", operation)}
	}
}
