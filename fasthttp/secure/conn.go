package secure

import (
	"crypto/tls"
	"errors"
	"sync"
	"sync/atomic"
	"syscall"

	"cowrelay/fasthttp/accept"
)

const (
	// record is the most plain bytes that are sealed at once: a full record of TLS.
	// A connection that does not read keeps no more than that of ours.
	record = 16 << 10

	// mostSealed is the most bytes that wait in the queue. A peer that asks for
	// answers of TLS itself (key updates) and reads none is cut there.
	mostSealed = 64 << 10
)

var errPeer = errors.New("tls: the peer does not read")

// Conn is a connection with TLS. New makes it. One goroutine at a time may write,
// and one may read; Close may be called from any.
type Conn struct {
	accept.Socket // below TLS
	tls           *tls.Conn
	raw           syscall.RawConn // set by Handshake

	// steps are called around each read of the handshake. The goroutine of Handshake
	// owns them.
	steps Steps
	// open is true once the handshake is over. Pairs with the Loads in wire.Write and
	// notify.
	open atomic.Bool

	bare bool // see Bare; it belongs to the goroutine that reads and writes

	mu     sync.Mutex
	sealed *buffer // guarded by mu; what the socket has not taken yet, nil: nothing
}

// buffer is sealed bytes. Its first sent bytes are out.
type buffer struct {
	bytes []byte
	sent  int
}

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// New returns a connection over a socket, whose handshake is still to come.
func New(socket accept.Socket, config *tls.Config) *Conn {
	c := &Conn{Socket: socket}
	c.tls = tls.Server((*wire)(c), config)
	return c
}

// Steps are called around the reads of a handshake: Waits before each, and Computes
// when one has returned something. Their errors end the handshake. So what the handshake
// computes is between Computes and the next Waits, or the end. A nil one is not called.
type Steps struct{ Waits, Computes func() error }

// Handshake runs the handshake, until the deadlines of the socket. What the client is
// told of a fault, it is told by TLS.
func (c *Conn) Handshake(steps Steps) error {
	var err error
	if c.raw, err = c.Socket.SyscallConn(); err != nil {
		return err
	}
	c.steps = steps
	err = c.tls.Handshake()
	c.steps = Steps{}
	if err != nil {
		return err
	}
	c.open.Store(true)
	return nil
}

// Resumed says whether the handshake took up an earlier session, which costs the
// relay little.
func (c *Conn) Resumed() bool { return c.tls.ConnectionState().DidResume }

// Bare has what follows go over the connection as it is: the peer does not speak TLS,
// and is to be told so.
func (c *Conn) Bare() { c.bare = true }

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	if c.bare {
		return c.Socket.Read(b)
	}
	return c.tls.Read(b)
}

// Write implements net.Conn. It waits until the kernel has all of b.
func (c *Conn) Write(b []byte) (n int, err error) {
	if c.bare {
		return c.Socket.Write(b)
	}
	for n < len(b) {
		part := b[n:min(n+record, len(b))]
		if _, err := c.tls.Write(part); err != nil {
			return n, err
		}
		if err := c.drain(); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// drain waits until the queue is empty.
func (c *Conn) drain() (err error) {
	waited := c.raw.Write(func(fd uintptr) bool {
		err = c.pour(fd)
		return err != syscall.EAGAIN
	})
	return errors.Join(waited, err)
}

// Give takes what the socket has room for of the parts, which may be nothing, and
// never waits. fd is the socket's descriptor, which the caller holds. The error is
// EAGAIN if the socket has no room for the rest, or for what was taken before: then
// Unsent says which. It moves the starts of parts.
func (c *Conn) Give(fd uintptr, parts [][]byte) (n int, err error) {
	for {
		if err := c.pour(fd); err != nil {
			return n, err
		}
		if len(parts) == 0 {
			return n, nil
		}
		// Not sealed in advance: what is sealed takes memory, for as long as the
		// client does not read.
		if !writable(fd) {
			return n, syscall.EAGAIN
		}
		for room := record; room > 0 && len(parts) > 0; {
			part := parts[0][:min(len(parts[0]), room)]
			if _, err := c.tls.Write(part); err != nil {
				return n, err
			}
			n += len(part)
			room -= len(part)
			if parts[0] = parts[0][len(part):]; len(parts[0]) == 0 {
				parts = parts[1:]
			}
		}
	}
}

// Unsent says whether something that was taken has not left yet.
func (c *Conn) Unsent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sealed != nil
}

// pour gives the socket what it takes of the queue. The error is EAGAIN if that was
// not all.
func (c *Conn) pour(fd uintptr) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.sealed != nil {
		q := c.sealed
		n, err := syscall.Write(int(fd), q.bytes[q.sent:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if q.sent += n; q.sent == len(q.bytes) {
			c.sealed = nil
			q.bytes, q.sent = q.bytes[:0], 0
			buffers.Put(q)
		}
	}
	return nil
}

// CloseWrite tells the peer that no more comes.
func (c *Conn) CloseWrite() error {
	c.notify()
	return c.Socket.CloseWrite()
}

// Close implements net.Conn. It tells the peer that no more comes if that needs no
// wait: what is cut can be told from what has ended.
func (c *Conn) Close() error {
	c.notify()
	return c.Socket.Close()
}

func (c *Conn) notify() {
	if !c.open.Load() {
		return // a handshake holds the locks of tls.Conn while it waits
	}
	c.tls.CloseWrite()
	c.raw.Control(func(fd uintptr) { c.pour(fd) })
}
