package conn

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"cowrelay/cow/frame"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/secure"
	"cowrelay/fasthttp/stream"
)

// ReadBuffer is what the server reads ahead on a connection, and the most that a
// header may take.
const ReadBuffer = 8 << 10

// Conn is a counted connection. Set.Open makes it. Fields belong to the goroutine
// that serves the connection, the server's, unless they are atomic.
type Conn struct {
	accept.Socket // what requests are read from: base, or what stands before it
	accept.Place
	set  *Set
	base accept.Socket // the system's
	// Peer is at the other end, the zero value for a Unix socket. Set.Open sets it,
	// and the prologue if a trusted proxy tells it.
	Peer netip.Addr
	Told bool // a trusted proxy has told Peer

	fresh   bool         // nothing was read yet
	proxied *proxied     // a trusted proxy's, which is to tell its client; nil: no
	secure  *secure.Conn // nil: no TLS

	gentle atomic.Bool // close gently; see Close
	closed atomic.Bool // pairs with the Swap in Close
	over   bool        // it is turned away; set before gentle

	idle    bool // it waits for a request, and nothing of that was read
	resumed bool // it was another program's, and has sent nothing since

	// Deadlines are armed when the connection is read or written. The server sets
	// three or four a request, and what it reads and writes is mostly there.
	readBy, writeBy deadline
	prompt          bool // arm deadlines at once: the connection is a stream's

	// Verdict is for the relay: what was decided with the header of the request
	// under way, for its handler. A Conn does not look at it.
	Verdict any

	arriving // the request

	head HeadTaker       // what is written goes there, if not nil
	raw  syscall.RawConn // made by the first page; see rawConn

	// opening is a stream that will get the connection, from the handler to the
	// hijack. If the connection is closed in between, the stream is told.
	opening atomic.Pointer[stream.Stream]
}

// Open counts a connection in until it is closed. What its listener speaks before
// the first request is in p.
func (s *Set) Open(socket accept.Socket, p Prologue) *Conn {
	c := &Conn{Socket: socket, base: socket, set: s, Peer: peerOf(socket), fresh: true, idle: true}
	c.layer(p)
	s.open.Add(1)
	c.arriving.socket, c.arriving.peer = c.Socket, accept.ClientAt(c.Peer)
	return c
}

// peerOf is the address at the other end of a connection.
func peerOf(socket accept.Socket) netip.Addr {
	addr, ok := socket.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return addr.AddrPort().Addr().WithZone("").Unmap()
}

// HeadTaker is given what is written to a connection, in parts, instead of the
// socket.
type HeadTaker interface{ TakeHead(part []byte) }

// GiveHead has what is written to the connection given to t, from now until
// GiveHead(nil).
func (c *Conn) GiveHead(t HeadTaker) { c.head = t }

// Local says whether the peer is on loopback.
func (c *Conn) Local() bool { return c.Peer.IsLoopback() || c.Unix() }

// Unix says whether the connection is a Unix socket's. Its peer is on this machine,
// whatever it says about others.
func (c *Conn) Unix() bool {
	_, unix := c.base.(*net.UnixConn)
	return unix
}

// FirstByte says that a request has begun to arrive.
func (c *Conn) FirstByte() {
	c.begun, c.idle = true, false
	if c.resumed { // the server takes it for a new connection, whose time has begun before
		c.resumed = false
		c.SetReadDeadline(time.Now().Add(c.set.opts.HeaderTimeout))
	}
}

// AwaitBody says that the request's header is there and that a body is wanted.
func (c *Conn) AwaitBody() { c.inBody = true }

// Arrived says that the request, or its header, is there or is given up, and
// that nothing more of it is waited for.
func (c *Conn) Arrived() {
	c.begun, c.inBody, c.lines = false, false, 0
	c.set.Arrivals.settle(&c.arriving)
}

// BookBody books the memory of n bytes of a body for the client, in all. False:
// there is no room.
func (c *Conn) BookBody(client accept.Client, n int64) bool {
	return c.set.Arrivals.body(&c.arriving, client, n)
}

// WasCut says whether the request under way had no room.
func (c *Conn) WasCut() bool { return c.cut.Load() }

// Opens says which stream will get the connection.
func (c *Conn) Opens(st *stream.Stream) { c.opening.Store(st) }

// Handed says that the server has let go of the connection and that it is a
// stream's now.
func (c *Conn) Handed() {
	c.opening.Store(nil)
	c.prompt = true
}

var newline = []byte{'\n'}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (n int, err error) {
	defer c.set.rescue("read", func() { n, err = 0, ErrFault })
	fresh := c.fresh
	if fresh {
		if err := c.handOver(); err != nil { // before anything is read
			return 0, err
		}
		if err := c.begin(); err != nil {
			return 0, err
		}
	}
	if (c.inBody || c.begun) && !c.prompt {
		if err := c.set.Arrivals.wait(&c.arriving); err != nil {
			return 0, err
		}
	}
	for {
		if c.readBy.want != c.readBy.armed {
			if err := c.arm(&c.readBy, c.Socket.SetReadDeadline); err != nil {
				return 0, err
			}
		}
		if c.cut.Load() {
			return 0, ErrNoRoom
		}
		if err := c.handOver(); err != nil {
			return 0, err
		}
		if n, err = c.Socket.Read(b); n > 0 || err == nil || !c.again(err) {
			break
		}
	}
	if err != nil && c.resumed && errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, net.ErrClosed // it has been idle for long, which is no request that came too late
	}
	c.set.in.Add(uint64(n))
	if fresh && c.secure == nil && proxyHeader(b[:n]) {
		c.set.proxy[ProxyUntrusted].Add(1)
		return 0, ErrProxyHeader
	}
	switch {
	case c.booked != nil:
		c.booked.gotBytes.Add(int64(n))
	case n > ReadBuffer/32 && !c.inBody: // few bytes have few lines
		c.lines += bytes.Count(b[:n], newline)
	}
	if err != nil {
		if err = c.ReadError(err); c.cut.Load() {
			err = ErrNoRoom
		}
	}
	return n, err
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (n int, err error) {
	defer c.set.rescue("write", func() { n, err = 0, ErrFault })
	if c.writeBy.want != c.writeBy.armed {
		if err := c.arm(&c.writeBy, c.Socket.SetWriteDeadline); err != nil {
			return 0, err
		}
	}
	if c.head != nil {
		c.head.TakeHead(b)
		return len(b), nil
	}
	if len(b) > frame.MaxPiece {
		return c.writePieces(b)
	}
	n, err = c.Socket.Write(b)
	c.set.out.Add(uint64(n))
	if err != nil {
		c.late(err)
	}
	return n, err
}

// writePieces writes a long body, each piece of it within the time for a piece.
// All clients share the body, so a client that makes us wait holds no more of it
// than the others.
func (c *Conn) writePieces(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		if err = c.writeWithin(c.pieceDeadline()); err == nil {
			var m int
			m, err = c.Socket.Write(b[n:min(n+frame.MaxPiece, len(b))])
			n += m
			c.set.out.Add(uint64(m))
		}
	}
	if err != nil {
		c.late(err)
	}
	return n, err
}

// late counts an error of a write to the connection, if it is that its time is
// over. Then it also has the kernel let go of what was not sent when the
// connection is closed: a client that does not read would keep it there for
// minutes.
func (c *Conn) late(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.set.cuts.count[CutSlow].Add(1)
		if tcp, ok := c.base.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
	}
}

// rawConn is for writes that don't wait.
func (c *Conn) rawConn() (syscall.RawConn, error) {
	if c.raw == nil {
		raw, err := c.Socket.SyscallConn()
		if err != nil {
			return nil, err
		}
		c.raw = raw
	}
	return c.raw, nil
}
