//go:build !linux

package stream

import "syscall"

// Hangups has no counterpart here: each stream has a goroutine in Read, and a
// long poll whose client has left keeps its place until its time is over.
type Hangups struct{}

func newHangups() (*Hangups, error) { return new(Hangups), nil }

func (*Hangups) run()          {}
func (*Hangups) close()        {}
func (*Hangups) forget(*Watch) {}

// Watch watches nothing.
func (*Hangups) Watch(Leaver, *Watch, syscall.RawConn, bool) bool { return false }

// Unwatch does nothing.
func (*Hangups) Unwatch(*Watch, syscall.RawConn) {}

// Sweep does nothing.
func (*Hangups) Sweep() {}

// Watched returns 0.
func (*Hangups) Watched() int { return 0 }
