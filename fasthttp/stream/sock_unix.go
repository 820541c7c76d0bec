//go:build unix

package stream

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

var errDeadline = os.ErrDeadlineExceeded

// writable says whether a write to fd would take something, or fail, now.
func writable(fd uintptr) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(p, 0)
	return n > 0 || (err != nil && err != unix.EINTR)
}

// writer is one goroutine's means to write to sockets without waiting for them.
type writer struct {
	buf []byte // for streams behind the shared frames

	// Of the write under way. try is attempt, made once: a closure a write would
	// be an allocation.
	data []byte
	n    int
	err  error
	try  func(fd uintptr) bool
}

func newWriter(size int) *writer {
	w := &writer{buf: make([]byte, 0, size)}
	w.try = w.attempt
	return w
}

func (w *writer) attempt(fd uintptr) bool {
	for {
		w.n, w.err = syscall.Write(int(fd), w.data)
		if w.err != syscall.EINTR {
			return true
		}
	}
}

// write gives the socket what it takes at once, which may be less than data,
// or nothing with EAGAIN.
func (w *writer) write(raw syscall.RawConn, data []byte) (int, error) {
	w.data = data
	err := raw.Write(w.try)
	w.data = nil
	if err != nil {
		return 0, err
	}
	return max(w.n, 0), w.err
}
