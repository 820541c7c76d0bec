//go:build !linux

package fasthttp

import "syscall"

// hangups has no counterpart here: each stream has a goroutine in Read, and a
// long poll whose client has left keeps its place until its time is over.
type hangups struct{}

func newHangups() (*hangups, error) { return new(hangups), nil }

func (*hangups) run()                                             {}
func (*hangups) close()                                           {}
func (*hangups) watch(leaver, *watch, syscall.RawConn, bool) bool { return false }
func (*hangups) unwatch(*watch, syscall.RawConn)                  {}
func (*hangups) forget(*watch)                                    {}
func (*hangups) sweep()                                           {}
