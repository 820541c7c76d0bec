package wire

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"unsafe"
)

// sinkBuffer is where a kernel that knows no MSG_TRUNC for TCP would put the
// bytes. Linux never writes to it.
var sinkBuffer [1 << 20]byte

// A truncSink drops bytes of a TCP stream in the kernel, without copying them
// (recv with MSG_TRUNC). A generator that copied each window would use as much
// CPU as the server that it measures.
type truncSink struct {
	rc   syscall.RawConn
	left int // bytes still to drop
	err  error
	fn   func(fd uintptr) bool // recv, made once: a closure for each call would be garbage
}

func (s *truncSink) init(c *net.TCPConn) error {
	rc, err := c.SyscallConn()
	if err != nil {
		return err
	}
	s.rc = rc
	s.fn = s.recv
	return nil
}

func (s *truncSink) recv(fd uintptr) bool {
	for s.left > 0 {
		n, _, e := syscall.Syscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&sinkBuffer[0])),
			uintptr(min(s.left, len(sinkBuffer))), syscall.MSG_TRUNC, 0, 0)
		switch {
		case e == syscall.EAGAIN:
			return false
		case e == syscall.EINTR:
		case e != 0:
			s.err = e
			return true
		case n == 0:
			s.err = io.ErrUnexpectedEOF
			return true
		default:
			s.left -= int(n)
		}
	}
	return true
}

// drop drops n bytes.
func (s *truncSink) drop(n int) error {
	s.left, s.err = n, nil
	if err := s.rc.Read(s.fn); err != nil {
		return fmt.Errorf("cannot read body: %w", err)
	}
	if s.err != nil {
		return fmt.Errorf("cannot read body: %w", s.err)
	}
	return nil
}
