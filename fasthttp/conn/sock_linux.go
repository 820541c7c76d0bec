package conn

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setUnsent bounds how much the kernel takes ahead of what it may send: of what
// goes to a client that reads nothing that is nearly all that it holds.
func setUnsent(fd uintptr, n int) {
	unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, n)
}

// vector is the kernel's list of what one system call writes. It is kept for the
// next one, empty.
type vector struct{ list []unix.Iovec }

// write gives the socket what it takes of the parts at once, which may be less
// than all, or nothing with EAGAIN. No part may be empty.
func (v *vector) write(fd uintptr, parts [][]byte) (int, error) {
	v.list = v.list[:0]
	for _, p := range parts {
		e := unix.Iovec{Base: unsafe.SliceData(p)}
		e.SetLen(len(p))
		v.list = append(v.list, e)
	}
	defer clear(v.list)
	for {
		n, _, errno := syscall.Syscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&v.list[0])), uintptr(len(v.list)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
