//go:build unix

package secure

import "golang.org/x/sys/unix"

// writable says whether a write to fd would take something, or fail, now. A socket
// is writable when a good part of its buffer is free, so that a record fits.
func writable(fd uintptr) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(p, 0)
	return n > 0 || (err != nil && err != unix.EINTR)
}
