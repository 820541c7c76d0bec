//go:build unix

package conn

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// readable says whether a read of the socket would not wait. It reads nothing.
func readable(fd uintptr) bool {
	var b [1]byte
	for {
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			return err != unix.EAGAIN
		}
	}
}

// SetBuffers bounds what the kernel buffers of every connection that ln accepts:
// they have from the start what is set here, without a system call each. 0 or
// less leaves it to the system. Connections of a Multipath TCP listener have
// the first and the last of it only.
func SetBuffers(ln net.Listener, send, unsent, receive int) {
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
