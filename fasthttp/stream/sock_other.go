//go:build !linux

package stream

import (
	"syscall"
	"time"
)

// setUserTimeout has no counterpart here: the write timeout of the next comment
// line finds the peer that vanished.
func setUserTimeout(syscall.RawConn, time.Duration) {}
