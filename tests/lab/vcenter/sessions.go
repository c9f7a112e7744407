package vcenter

import (
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// sessions knows the registry of every session from its login on, which the
// simulator keeps to itself: to count what clients leave behind and to clear up
// after those that never log out.
type sessions struct {
	mu   sync.Mutex
	open map[string]*simulator.Registry
}

func (s *sessions) note(session *simulator.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]*simulator.Registry{}
	}
	s.open[session.Key] = session.Registry
}

func (s *sessions) list() map[string]*simulator.Registry {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]*simulator.Registry, len(s.open))
	for key, registry := range s.open {
		out[key] = registry
	}
	return out
}

func (s *sessions) drop(key string) {
	s.mu.Lock()
	delete(s.open, key)
	s.mu.Unlock()
}

// sessionActive is whether a session with this key is logged in.
func (v *VCenter) sessionActive(key string) bool {
	ctx := v.background()
	res := v.registry().SessionManager().SessionIsActive(ctx, &types.SessionIsActive{SessionID: key, UserName: User})
	body, ok := res.(*methods.SessionIsActiveBody)
	return ok && body.Res != nil && body.Res.Returnval
}

// ExpireSessions ends every session, as idling for too long does.
func (v *VCenter) ExpireSessions() {
	ctx := v.background()
	for key, registry := range v.sessions.list() {
		v.registry().SessionManager().TerminateSession(ctx, &types.TerminateSession{SessionId: []string{key}})
		v.endSession(key, registry)
	}
}

// endSession drops what a session leaves: waits, filters, views and leases.
func (v *VCenter) endSession(key string, registry *simulator.Registry) {
	v.sessions.drop(key)
	for _, object := range registry.AllReference("") {
		v.endObject(object)
		if handler, ok := object.(simulator.RegisterObject); ok {
			v.registry().RemoveHandler(handler)
		}
	}
}

// sessionMethods stands in for the session manager.
type sessionMethods struct{ override }

// Login begins a session, which counts and can be ended even if it never makes a call.
func (m *sessionMethods) Login(ctx *simulator.Context, req *types.Login) soap.HasFault {
	if ctx.Session != nil {
		m.enter(ctx) // logged in already: the simulator refuses it
	}
	res := m.v.registry().SessionManager().Login(ctx, req)
	if ctx.Session != nil {
		m.v.sessions.note(ctx.Session)
	}
	return res
}

// Logout ends the session as the simulator does, and then what it leaves.
func (m *sessionMethods) Logout(ctx *simulator.Context, req *types.Logout) soap.HasFault {
	v := m.enter(ctx)
	key, registry := ctx.Session.Key, ctx.Session.Registry
	objects := registry.AllReference("")
	res := v.registry().SessionManager().Logout(ctx, req)
	for _, object := range objects {
		v.endObject(object)
	}
	v.sessions.drop(key)
	return res
}

// authorizationMethods stands in for the authorization manager, so that a client
// that asks for its privileges hears of those that the lab denies.
type authorizationMethods struct{ override }

func (m *authorizationMethods) granted(v *VCenter, ids []string) []types.PrivilegeAvailability {
	out := make([]types.PrivilegeAvailability, len(ids))
	for i, id := range ids {
		out[i] = types.PrivilegeAvailability{PrivId: id, IsGranted: !v.switches.denies(id)}
	}
	return out
}

// HasPrivilegeOnEntities answers for the session named in the request.
func (m *authorizationMethods) HasPrivilegeOnEntities(ctx *simulator.Context, req *types.HasPrivilegeOnEntities) soap.HasFault {
	v := m.enter(ctx)
	res := &types.HasPrivilegeOnEntitiesResponse{}
	for _, e := range req.Entity {
		res.Returnval = append(res.Returnval, types.EntityPrivilege{Entity: e, PrivAvailability: m.granted(v, req.PrivId)})
	}
	return &methods.HasPrivilegeOnEntitiesBody{Res: res}
}

// HasUserPrivilegeOnEntities answers for the user named in the request.
func (m *authorizationMethods) HasUserPrivilegeOnEntities(ctx *simulator.Context, req *types.HasUserPrivilegeOnEntities) soap.HasFault {
	v := m.enter(ctx)
	res := &types.HasUserPrivilegeOnEntitiesResponse{}
	for _, e := range req.Entities {
		res.Returnval = append(res.Returnval, types.EntityPrivilege{Entity: e, PrivAvailability: m.granted(v, req.PrivId)})
	}
	return &methods.HasUserPrivilegeOnEntitiesBody{Res: res}
}

// countObjects is how many objects of the types all sessions hold.
func (v *VCenter) countObjects(kinds ...string) int {
	n := 0
	for _, registry := range v.sessions.list() {
		for _, kind := range kinds {
			n += len(registry.AllReference(kind))
		}
	}
	return n
}

var _ mo.Reference = (*sessionMethods)(nil)
