package fasthttp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"cowrelay/cow/frame"
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/refusal"
	"cowrelay/fasthttp/stream"

	"github.com/valyala/fasthttp"
)

// listener gives the relay's connections their places, and turns away who finds
// none, with an answer.
type listener struct {
	*accept.Listener
	relay *Relay
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if own := l.admit(c); own != nil {
			return own, nil
		}
	}
}

// admit gives an accepted connection its place. Nil: it was turned away.
func (l *listener) admit(c net.Conn) (admitted net.Conn) {
	r := l.relay
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	own := &conn{TCPConn: tcp, relay: r}
	r.conns.Add(1) // Close takes it back
	defer r.rescue("accept", func() {
		own.Close()
		admitted = nil
	})
	peer := own.peer()
	own.local = peer.IsLoopback()
	live := r.live.Load()
	if r.places.Take(&own.Place, tcp, accept.ClientAt(peer), live.mostConns(peer), l.Done()) {
		return own
	}
	// The reply fits into any send buffer, so this does not wait.
	c.SetWriteDeadline(time.Now().Add(time.Second))
	var res fasthttp.Response
	live.origins().share(nil, &res)
	writeRefusal(&res, refusal.ManyConns)
	res.SetConnectionClose()
	res.WriteTo(c)
	own.linger.Store(true) // its request may be on its way
	own.over = true
	own.Close()
	return nil
}

// mostConns is how many connections the peer may have; 0 is as many as there
// are. All clients of a trusted proxy come from its address.
func (l *Live) mostConns(peer netip.Addr) int64 {
	if l.proxies().Trust(peer) {
		return 0
	}
	return int64(l.MaxConnsPerAddress)
}

const (
	lingerBytes = 4 << 20 // of what a refused client still sends, read and dropped
	lingerTime  = 2 * time.Second
	lingerMax   = 256 // connections that may linger at once
)

// OverConns is how many connections may be open beyond so many that have a
// place: those that were turned away and linger, and the one that is accepted.
func OverConns(most int) int { return min(lingerMax, most/16+4) + 1 }

// conn is a counted TCP connection.
type conn struct {
	*net.TCPConn
	accept.Place
	relay  *Relay
	linger atomic.Bool // close gently
	closed atomic.Bool
	// Deadlines are armed when the connection is read or written. The server sets
	// three or four a request, and what it reads and writes is mostly there.
	readBy, writeBy deadline
	prompt          bool // not so: the connection is a stream's
	local           bool // the peer is on loopback
	over            bool // it is turned away
	// judged is what the limits say to the request under way, between its header
	// and its handler; see limited.
	judged *refusal.Reply
	// What is arriving; the goroutine's that serves the connection.
	begun   bool // a request has begun to arrive, and its header is not there
	inBody  bool // the header is there, and a body is wanted
	lines   int  // of the header, as far as it matters
	loose   bool // see underway
	arrival *arrival
	// cut is set when the request under way has no room. The connection is of no
	// use then. Pairs with the Loads in Read and in those who answer.
	cut  atomic.Bool
	head headTaker       // what the reply's head goes to, if not the socket; see bodyOwnsHead
	raw  syscall.RawConn // made by the first page; see rawConn
	// opening is a stream that will get the connection, from the handler to
	// the hijack. If the connection is closed in between, it is told.
	opening atomic.Pointer[stream.Stream]
}

// Close implements net.Conn. Closing at once while the client still sends
// makes the kernel send a reset, which fails the client's writes and can eat
// the reply before it is read. So a refused connection ends our side first,
// and then drops a bounded rest of theirs.
func (c *conn) Close() (err error) {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	r := c.relay
	defer r.rescue("close", func() { err = c.end() })
	r.underway.settle(c)
	if st := c.opening.Swap(nil); st != nil {
		st.Abandon()
	}
	if c.linger.Load() {
		most := int64(lingerMax)
		if c.over {
			most = int64(OverConns(r.opts.MaxConns) - 1)
		}
		if r.lingering.Add(1) <= most {
			c.Wait() // it has had its answer, and may go
			r.spawn("linger", c.drop)
			return nil
		}
		r.lingering.Add(-1)
	}
	return c.end()
}

// end gives the connection's place back. It is the last of Close.
func (c *conn) end() error {
	err := c.TCPConn.Close()
	c.relay.places.Give(&c.Place)
	c.relay.conns.Add(-1)
	return err
}

// drop reads what a refused client still sends, up to a bound, and ends the
// connection.
func (c *conn) drop() {
	r := c.relay
	defer r.lingering.Add(-1)
	defer c.end()
	c.CloseWrite()
	c.TCPConn.SetReadDeadline(time.Now().Add(lingerTime))
	io.CopyN(io.Discard, c.TCPConn, lingerBytes)
}

var newline = []byte{'\n'}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (n int, err error) {
	defer c.relay.rescue("read", func() { n, err = 0, errFault })
	if (c.inBody || c.begun) && !c.prompt {
		if err := c.relay.underway.wait(c); err != nil {
			return 0, err
		}
	}
	if c.readBy.want != c.readBy.armed {
		if err := c.arm(&c.readBy, c.TCPConn.SetReadDeadline); err != nil {
			return 0, err
		}
	}
	if c.cut.Load() {
		return 0, refusal.ManyBytes
	}
	n, err = c.TCPConn.Read(b)
	switch {
	case c.arrival != nil:
		c.arrival.got.Add(int64(n))
	case n > readBuffer/32 && !c.inBody:
		c.lines += bytes.Count(b[:n], newline)
	}
	if err != nil {
		if err = c.ReadError(err); c.cut.Load() {
			err = refusal.ManyBytes
		}
	}
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (n int, err error) {
	defer c.relay.rescue("write", func() { n, err = 0, errFault })
	if c.writeBy.want != c.writeBy.armed {
		if err := c.arm(&c.writeBy, c.TCPConn.SetWriteDeadline); err != nil {
			return 0, err
		}
	}
	if c.head != nil {
		c.head.takeHead(b)
		return len(b), nil
	}
	if len(b) > frame.MaxPiece {
		return c.writePieces(b)
	}
	if n, err = c.TCPConn.Write(b); err != nil {
		c.late(err)
	}
	return n, err
}

// writePieces writes a long body, each piece of it within the time for a piece.
// All clients share the body, so one that makes us wait holds no more of it than
// the others.
func (c *conn) writePieces(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		if err = c.writeWithin(c.relay.clock() + int64(c.relay.opts.StreamWriteTimeout)); err == nil {
			var m int
			m, err = c.TCPConn.Write(b[n:min(n+frame.MaxPiece, len(b))])
			n += m
		}
	}
	if err != nil {
		c.late(err)
	}
	return n, err
}

// writeWithin has writes end at the given time on the relay's clock, or when the
// whole reply must be written, if that is sooner: an error if it is over.
func (c *conn) writeWithin(until int64) error {
	if until = min(until, c.writeBy.want); until <= c.relay.clock() {
		return os.ErrDeadlineExceeded
	}
	if err := c.TCPConn.SetWriteDeadline(c.relay.started.Add(time.Duration(until))); err != nil {
		return err
	}
	c.writeBy.armed = until
	return nil
}

// rawConn is for writes that don't wait.
func (c *conn) rawConn() (syscall.RawConn, error) {
	if c.raw == nil {
		raw, err := c.TCPConn.SyscallConn()
		if err != nil {
			return nil, err
		}
		c.raw = raw
	}
	return c.raw, nil
}

// deadline is a time that is wanted and the one that is set, in nanoseconds
// since the relay was made. 0 is none.
type deadline struct{ want, armed int64 }

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(&c.readBy, t, c.TCPConn.SetReadDeadline)
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(&c.writeBy, t, c.TCPConn.SetWriteDeadline)
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) setDeadline(d *deadline, t time.Time, set func(time.Time) error) error {
	if c.prompt || t.IsZero() {
		*d = deadline{}
		return set(t)
	}
	d.want = int64(t.Sub(c.relay.started))
	return nil
}

// arm sets the deadline that is wanted, unless one is set that comes before it,
// but after seven eighths of the time: so the idle time of a busy connection is
// set every few seconds, not at each request.
func (c *conn) arm(d *deadline, set func(time.Time) error) error {
	left := d.want - int64(time.Since(c.relay.started))
	if d.armed != 0 && d.armed <= d.want && d.want-d.armed <= left/8 {
		return nil
	}
	if err := set(c.relay.started.Add(time.Duration(d.want))); err != nil {
		return err
	}
	d.armed = d.want
	return nil
}
