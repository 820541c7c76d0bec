//go:build unix

package fasthttp

import (
	"net"
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

// setBuffers bounds what the kernel buffers of every connection that ln accepts:
// they have from the start what is set here, without a system call each. 0 or
// less leaves it to the system. Connections of a Multipath TCP listener have
// the first and the last of it only.
func setBuffers(ln net.Listener, send, unsent, receive int) {
	tcp, ok := ln.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) { // an error leaves the system's bounds
		if send > 0 {
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, send)
		}
		if unsent > 0 {
			setUnsent(fd, unsent)
		}
		if receive > 0 {
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receive)
		}
	})
}

// writer is one goroutine's means to write to sockets without waiting for
// them.
type writer struct {
	buf  []byte // for streams behind the shared frames
	data []byte
	n    int
	err  error
	try  func(fd uintptr) bool
}

func newWriter(size int) *writer {
	w := &writer{buf: make([]byte, 0, size)}
	w.try = func(fd uintptr) bool {
		for {
			w.n, w.err = syscall.Write(int(fd), w.data)
			if w.err != syscall.EINTR {
				return true
			}
		}
	}
	return w
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
