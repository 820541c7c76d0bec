package conn

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"time"

	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/secure"
	"cowrelay/fasthttp/stream"
)

// Prologue is what a listener's connections begin with, before their first request.
// The zero value is nothing. It runs with the first read, on the goroutine that
// serves the connection, which has its place by then: nobody else waits for it.
//
//	Open ──▶ [PROXY header of a trusted proxy] ──▶ [handshake of TLS] ──▶ requests
//
// All of it has PrologueTimeout. A connection in it may be closed to make room like
// one that waits for a request. Until its client has said something it can also be
// handed over. What a handshake pins that waits for its client is
// booked as a request is that has begun to arrive.
type Prologue struct {
	Proxy bool        // trusted proxies tell their clients by the PROXY protocol
	TLS   *tls.Config // nil: none
}

var (
	// ErrProxyHeader is what the first read returns of a connection with a PROXY
	// header that counts for nothing.
	ErrProxyHeader = errors.New("a PROXY header that counts for nothing")
	// ErrPlain is what it returns of a client that does not speak TLS.
	ErrPlain = errors.New("the client does not speak TLS")
)

// layer puts what a prologue needs before the socket.
func (c *Conn) layer(p Prologue) {
	if p.Proxy && !c.Unix() && c.set.opts.Trusted(c.Peer) {
		c.proxied = &proxied{Socket: c.Socket}
		c.Socket = c.proxied
	}
	if p.TLS != nil {
		c.secure = secure.New(c.Socket, p.TLS)
		c.Socket = c.secure
	}
}

// Secure says whether the connection has TLS.
func (c *Conn) Secure() bool { return c.secure != nil }

// Filter is what stands between what is written and the socket, or nil.
func (c *Conn) Filter() stream.Filter {
	if c.secure == nil {
		return nil
	}
	return c.secure
}

// begin runs the prologue. io.EOF: the connection is of no use, and gets no answer.
func (c *Conn) begin() error {
	if c.proxied == nil && c.secure == nil {
		c.fresh = false
		return nil
	}
	end := time.Now().Add(c.set.opts.PrologueTimeout)
	if err := c.awaitFirst(end); err != nil {
		return err
	}
	// Nobody wakes this, which has its own end. Who did so before sets no deadline now.
	c.Prepares(true)
	defer c.Prepares(false)
	c.fresh = false
	if err := c.base.SetDeadline(end); err != nil {
		return err
	}
	if c.cut.Load() {
		return ErrNoRoom
	}
	if c.proxied != nil {
		if err := c.readProxy(); err != nil {
			return err
		}
	}
	if c.secure != nil {
		if err := c.handshake(); err != nil {
			return err
		}
	}
	c.readBy.armed, c.writeBy.armed = 0, 0
	return c.base.SetDeadline(time.Time{})
}

// awaitFirst waits until there is something to read, which it leaves there, or until end.
// What the first read finds, such as the end of the connection, it does not look at. If a
// next program takes over meanwhile, the connection is kept for it: nothing was read.
func (c *Conn) awaitFirst(end time.Time) error {
	raw, err := c.base.SyscallConn()
	if err != nil {
		return err
	}
	for {
		if err := c.base.SetReadDeadline(end); err != nil {
			return err
		}
		if err := c.handOver(); err != nil {
			return err
		}
		err := raw.Read(readable)
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case !c.set.hand.on.Load() || !time.Now().Before(end):
			return nil // the first read is too late, and counted so
		}
	}
}

// readProxy reads who the client is.
func (c *Conn) readProxy() error {
	addr, result := c.proxied.read()
	c.set.proxy[result].Add(1)
	switch result {
	case ProxyRead:
		c.Peer, c.Told = addr, true
		c.arriving.peer = accept.ClientAt(addr)
	case ProxyBad:
		c.set.opts.Logger.Warn("a trusted proxy sent a PROXY header that can't be read, and its connection was closed", "proxy", c.Peer)
		return io.EOF
	}
	return nil
}
