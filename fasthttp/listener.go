package fasthttp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// listener counts connections and turns away what is over the limit, with an
// answer.
type listener struct {
	net.Listener
	relay  *Relay
	closed atomic.Bool
}

// Close implements net.Listener. The drain closes it, and the server again.
func (l *listener) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	return l.Listener.Close()
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if own := l.take(c); own != nil {
			return own, nil
		}
	}
}

// take counts an accepted connection. Nil: it was turned away.
func (l *listener) take(c net.Conn) (taken net.Conn) {
	r := l.relay
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	own := &conn{TCPConn: tcp, relay: r}
	r.conns.Add(1) // Close takes it back
	defer r.rescue("accept", func() {
		own.Close()
		taken = nil
	})
	own.local = own.peer().IsLoopback()
	if r.conns.Load() <= int64(r.opts.MaxConns) {
		return own
	}
	r.turned.Add(1)
	// The reply fits into any send buffer, so this does not wait.
	c.SetWriteDeadline(time.Now().Add(time.Second))
	var res fasthttp.Response
	r.live.Load().share(nil, &res)
	errManyConns.write(&res)
	res.SetConnectionClose()
	res.WriteTo(c)
	own.linger.Store(true) // its request may be on its way
	own.Close()
	return nil
}

const (
	lingerBytes = 4 << 20 // of what a refused client still sends, read and dropped
	lingerTime  = 2 * time.Second
	lingerMax   = 256 // connections that may linger at once
)

// conn is a counted TCP connection.
type conn struct {
	*net.TCPConn
	relay  *Relay
	linger atomic.Bool // close gently
	closed atomic.Bool
	// Deadlines are armed when the connection is read or written. The server sets
	// three or four a request, and what it reads and writes is mostly there.
	readBy, writeBy deadline
	prompt          bool // not so: the connection is a stream's
	local           bool // the peer is on loopback
	// judged is what the limits say to the request under way, between its header
	// and its handler; see limited.
	judged *failure
	page   *page
	// opening is a stream that will get the connection, from the handler to
	// the hijack. If the connection is closed in between, it is told.
	opening atomic.Pointer[stream]
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
	if st := c.opening.Swap(nil); st != nil {
		st.abandon()
	}
	if c.linger.Load() {
		if r.lingering.Add(1) <= lingerMax {
			r.spawn("linger", c.drop)
			return nil
		}
		r.lingering.Add(-1)
	}
	return c.end()
}

// end gives the connection's place back. It is the last of Close.
func (c *conn) end() error {
	c.relay.conns.Add(-1)
	return c.TCPConn.Close()
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

// Read implements net.Conn.
func (c *conn) Read(b []byte) (n int, err error) {
	defer c.relay.rescue("read", func() { n, err = 0, errFault })
	if c.readBy.want != c.readBy.armed {
		if err := c.arm(&c.readBy, c.TCPConn.SetReadDeadline); err != nil {
			return 0, err
		}
	}
	return c.TCPConn.Read(b)
}

// Write implements net.Conn. What a page gathers goes out with it.
func (c *conn) Write(b []byte) (n int, err error) {
	defer c.relay.rescue("write", func() { n, err = 0, errFault })
	if c.writeBy.want != c.writeBy.armed {
		if err := c.arm(&c.writeBy, c.TCPConn.SetWriteDeadline); err != nil {
			return 0, err
		}
	}
	if c.page != nil {
		return c.page.write(c.TCPConn, b)
	}
	return c.TCPConn.Write(b)
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
