package scripted

import (
	"encoding/json"
	"fmt"
	"path"
	"time"
)

// Rule says how the guests of some VMs behave. The first that matches counts; without
// one a guest does what it should, at once.
type Rule struct {
	Match string `json:"match"` // pattern of the VM's name
	// Script is published instead of the usual phases. For a template it comes
	// before the usual ones, unless it ends in the phase failed.
	Script      []Step `json:"script"`
	Silent      bool   `json:"silent"`       // says nothing at all
	StaleNonce  bool   `json:"stale_nonce"`  // says everything with another clone's nonce
	Raw         string `json:"raw"`          // published instead of a status
	Speaks      []int  `json:"agent_speaks"` // the protocol's range of the agent
	NoAddress   bool   `json:"no_address"`   // never has an address
	NeverFreeze bool   `json:"never_freeze"` // a template that ignores the order to freeze
	NeverStop   bool   `json:"never_stop"`   // does not end when it is asked to
}

// Step is one status of a script.
type Step struct {
	AfterMS   int             `json:"after_ms"` // after the step before
	Phase     string          `json:"phase"`
	Container json.RawMessage `json:"container"` // merged into what it says of the container
	Reason    *reason         `json:"reason"`
}

func (s Step) after() time.Duration { return time.Duration(s.AfterMS) * time.Millisecond }

type reason struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// SetRules replaces all rules. Guests that run go on by those that they began with.
func (k *Kind) SetRules(rules []Rule) error {
	for _, r := range rules {
		if _, err := path.Match(r.Match, ""); err != nil {
			return fmt.Errorf("pattern %q: %w", r.Match, err)
		}
		for _, s := range r.Script {
			if s.Phase == "" {
				return fmt.Errorf("rule %q: a step without a phase", r.Match)
			}
			if len(s.Container) > 0 {
				if err := json.Unmarshal(s.Container, &container{}); err != nil {
					return fmt.Errorf("rule %q: container: %w", r.Match, err)
				}
			}
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rules = rules
	return nil
}

// rule is the one for a VM's name.
func (k *Kind) rule(name string) Rule {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.rules {
		if ok, _ := path.Match(r.Match, name); ok || r.Match == "" {
			return r
		}
	}
	return Rule{}
}
