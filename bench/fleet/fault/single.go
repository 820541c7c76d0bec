package fault

import (
	"context"

	"cowrelay/bench/load"
)

// single is one relay with a journal of its own.
type single struct{ relay *Relay }

// Single starts one relay with a journal of its own.
func Single(ctx context.Context, binary, dir string) (Rig, error) {
	bind, admin, err := addresses()
	if err != nil {
		return nil, err
	}
	r, err := NewRelay(ctx, binary, dir, "relay-0", bind, admin, retention)
	if err != nil {
		return nil, err
	}
	return &single{r}, nil
}

// addresses picks two free addresses.
func addresses() (bind, admin string, err error) {
	if bind, err = load.FreePort(); err == nil {
		admin, err = load.FreePort()
	}
	return bind, admin, err
}

func (s *single) Relays() []string                 { return []string{s.relay.url} }
func (s *single) Admins() []string                 { return []string{s.relay.admin} }
func (s *single) Kinds() []Target                  { return []Target{s.relay.Target()} }
func (s *single) Sound() error                     { return s.relay.Sound() }
func (s *single) Verify(ctx context.Context) error { return s.relay.Verify(ctx) }
func (s *single) Close() error                     { return s.relay.Stop() }
