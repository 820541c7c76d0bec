package load

import (
	"fmt"

	"cowrelay/bench/proc"
)

// A Server is one of the two sides that are compared: the relay, its bound, or
// a peer. Unless it has a Dialect, it speaks the relay's protocol.
type Server struct {
	Name   string      // "relay", "bound", or that of a peer
	Addr   string      // host:port
	Admin  string      // host:port of the relay's admin listener; "": unknown
	Prefix string      // path before /v1
	Header string      // a further header line of each request; "": none
	PID    int         // 0: unknown, so there are no CPU figures
	Proc   *proc.Child // nil: it was not started here
	// Dialect takes the place of the relay's protocol; nil for a server that
	// speaks it.
	Dialect Dialect
}

// End ends the server's process, as by does it.
func (s *Server) End(by func(*proc.Child) error) error {
	p := s.Proc
	s.Proc = nil // it is gone, or cannot be ended
	return by(p)
}

// Bound says whether s is the bound.
func (s *Server) Bound() bool { return s.Name == "bound" }

// Stop ends a server that was started here.
func (s *Server) Stop() error {
	if s == nil || s.Proc == nil {
		return nil
	}
	if err := s.Proc.Stop(); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	return nil
}
