//go:build !linux

package fasthttp

// hangups has no counterpart here: each stream has a goroutine in Read.
type hangups struct{}

func newHangups() (*hangups, error) { return new(hangups), nil }

func (*hangups) run()               {}
func (*hangups) close()             {}
func (*hangups) watch(*stream) bool { return false }
func (*hangups) forget(*stream)     {}
func (*hangups) sweep()             {}
