package load

import (
	"fmt"

	"cowrelay/bench/proc"
)

// End ends the process of a side.
func (s *Server) End(by func(*proc.Child) error) error {
	p := s.Proc
	s.Proc = nil // it is gone, or can't be ended
	return by(p)
}

// A side is one of the two servers that are compared.
type Server struct {
	Name   string      // "relay", "bound", or that of a peer
	Addr   string      // host:port
	Admin  string      // host:port of the relay's admin listener; empty: unknown
	Prefix string      // path before /v1
	Header string      // a further header line of requests, "" for none
	PID    int         // 0: unknown, so there is no CPU figure
	Proc   *proc.Child // nil: it was running before
	// Dialect is what a peer over HTTP has in the place of the relay's
	// protocol; nil for a side that speaks this.
	Dialect Dialect
}

func (s *Server) Bound() bool { return s.Name == "bound" }

func (s *Server) Stop() error {
	if s == nil || s.Proc == nil {
		return nil
	}
	if err := s.Proc.Stop(); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	return nil
}
