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
	part [1][]byte // data, for a filter
	over Filter    // before the socket, or nil
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
	if w.over != nil {
		parts := w.part[:0]
		if len(w.data) > 0 {
			parts = append(parts, w.data)
		}
		w.n, w.err = w.over.Give(fd, parts)
		w.part[0] = nil
		return true
	}
	for {
		w.n, w.err = syscall.Write(int(fd), w.data)
		if w.err != syscall.EINTR {
			return true
		}
	}
}

// write gives the stream's socket what it takes at once, which may be less than
// data, or nothing with EAGAIN. Where there is a filter, EAGAIN may also mean that it
// has taken all and the socket has not.
func (w *writer) write(st *Stream, data []byte) (int, error) {
	w.data, w.over = data, st.filter
	err := st.raw.Write(w.try)
	w.data, w.over = nil, nil
	if err != nil {
		return 0, err
	}
	return max(w.n, 0), w.err
}
