//go:build !linux

package conn

import (
	"syscall"
)

// setUnsent has no counterpart here: the send buffer is the bound.
func setUnsent(uintptr, int) {}

// vector writes parts one after the other.
type vector struct{}

// write gives the socket what it takes of the parts at once, which may be less
// than all, or nothing with EAGAIN. No part may be empty.
func (vector) write(fd uintptr, parts [][]byte) (n int, err error) {
	for _, p := range parts {
		m, err := syscall.Write(int(fd), p)
		if n += max(m, 0); err == syscall.EINTR || n > 0 && err == syscall.EAGAIN {
			return n, nil // asked again
		}
		if err != nil || m < len(p) {
			return n, err
		}
	}
	return n, nil
}
