package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// dialTimeout bounds one connect on loopback.
const dialTimeout = 5 * time.Second

// A rawConn is one keep-alive connection of the generator. It writes requests
// that were serialized before and reads status and length of the answers. It
// belongs to one goroutine; only close may be called from another.
type rawConn struct {
	c    *net.TCPConn
	br   *bufio.Reader
	sink truncSink
}

// dialRaw connects to addr. buffer is the read buffer in bytes and the largest
// response head.
func dialRaw(ctx context.Context, addr string, buffer int) (*rawConn, error) {
	return dialFrom(ctx, nil, addr, buffer)
}

// dialFrom is dialRaw from the next source address of src; nil leaves the
// choice to the system.
func dialFrom(ctx context.Context, src *sources, addr string, buffer int) (*rawConn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: -1} // keep-alive would be four system calls more
	src.bind(&d)
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot connect: %w", err)
	}
	tc := c.(*net.TCPConn)
	rc := &rawConn{c: tc, br: bufio.NewReaderSize(tc, buffer)}
	if err := rc.sink.init(tc); err != nil {
		tc.Close()
		return nil, err
	}
	return rc, nil
}

func (c *rawConn) close() { c.c.Close() }

// send writes one request and reads the head of its answer.
func (c *rawConn) send(req []byte) (head, error) {
	if _, err := c.c.Write(req); err != nil {
		return head{}, fmt.Errorf("cannot write request: %w", err)
	}
	h, err := readHead(c.br)
	if err != nil {
		return h, fmt.Errorf("cannot read response: %w", err)
	}
	return h, nil
}

// exchange is send for answers that must have a length.
func (c *rawConn) exchange(req []byte) (head, error) {
	h, err := c.send(req)
	if err == nil && h.length < 0 {
		err = errNoLength
	}
	return h, err
}

// body reads a body of n bytes into buf, grown where it is too small.
func (c *rawConn) body(buf []byte, n int) ([]byte, error) {
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(c.br, buf); err != nil {
		return buf, fmt.Errorf("cannot read body: %w", err)
	}
	return buf, nil
}

// skip drops a body of n bytes.
func (c *rawConn) skip(n int) error {
	if have := min(n, c.br.Buffered()); have > 0 {
		if _, err := c.br.Discard(have); err != nil {
			return err
		}
		n -= have
	}
	if n > 0 {
		return c.sink.drop(n)
	}
	return nil
}

// sinkBuffer is where a kernel without MSG_TRUNC for TCP would put the bytes;
// Linux never touches it.
var sinkBuffer [1 << 20]byte

// A truncSink drops bytes of a TCP stream in the kernel, without copying them
// (recv with MSG_TRUNC). A generator that copied each window would take as
// much CPU as the server that is measured.
type truncSink struct {
	rc   syscall.RawConn
	left int
	err  error
	fn   func(fd uintptr) bool // made once: a closure a call would be garbage
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

// A link is a rawConn that is dialled when it is needed and closed after an
// error, and whose owner can be interrupted from outside.
type link struct {
	addr   string
	buffer int
	from   *sources // nil: any source address
	conn   *rawConn // the owner's
	// current is conn for interrupt, which runs in another goroutine.
	current atomic.Pointer[rawConn]
	stopped atomic.Bool
	fresh   bool // no answer was read on this connection yet
}

// get returns the connection, dialling it first if there is none.
func (l *link) get(ctx context.Context) (*rawConn, error) {
	if l.conn != nil {
		return l.conn, nil
	}
	if l.stopped.Load() {
		return nil, net.ErrClosed
	}
	c, err := dialFrom(ctx, l.from, l.addr, l.buffer)
	if err != nil {
		return nil, err
	}
	l.conn, l.fresh = c, true
	// Store, then look: interrupt sets stopped first and looks for a connection
	// second, so one of the two closes it.
	l.current.Store(c)
	if l.stopped.Load() {
		l.fail()
		return nil, net.ErrClosed
	}
	return c, nil
}

// try does one exchange on the connection, which it closes after an error.
func (l *link) try(ctx context.Context, exchange func(*rawConn) error) error {
	c, err := l.get(ctx)
	if err != nil {
		return err
	}
	if err := exchange(c); err != nil {
		l.fail()
		return err
	}
	return nil
}

// close releases the connection.
func (l *link) close() { l.fail() }

// fail closes the connection; the next get dials anew.
func (l *link) fail() {
	if l.conn != nil {
		l.conn.close()
		l.conn = nil
	}
}

// interrupt ends whatever the owner waits for. Safe from any goroutine.
func (l *link) interrupt() {
	l.stopped.Store(true)
	if c := l.current.Load(); c != nil {
		c.close()
	}
}
