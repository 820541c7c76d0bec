package admin

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"cowrelay/fasthttp/accept"
)

// DefaultConns is how many connections operators may have.
const DefaultConns = 64

const maxHeaderBytes = 16 << 10

// times bound what a request may take. A reply may take longer than write if it
// goes out piece by piece, or was asked to take its time: an export has a time for
// each piece, and a profile adds the time that it was asked for.
type times struct{ header, body, write, idle time.Duration }

var defaultTimes = times{header: 5 * time.Second, body: 10 * time.Second, write: 30 * time.Second, idle: time.Minute}

// listener gives operators' connections their places.
type listener struct{ *accept.Listener }

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := c.(*net.TCPConn)
		if !ok {
			return c, nil
		}
		own := &conn{TCPConn: tcp, places: l.Places}
		if l.Places.Take(&own.Place, tcp, clientAt(tcp.RemoteAddr().String()), 0, l.Done()) {
			return own, nil
		}
		c.SetWriteDeadline(time.Now().Add(time.Second)) // it fits into any send buffer
		io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		own.Close()
	}
}

// clientAt is the client at an address and port.
func clientAt(text string) accept.Client {
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return 0
	}
	return accept.ClientAt(at.Addr().WithZone("").Unmap())
}

// conn is an operator's connection.
type conn struct {
	*net.TCPConn
	accept.Place
	places *accept.Places
	closed atomic.Bool
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if err != nil {
		err = c.ReadError(err)
	}
	return n, err
}

// Close implements net.Conn.
func (c *conn) Close() error {
	err := c.TCPConn.Close()
	if !c.closed.Swap(true) {
		c.places.Give(&c.Place)
	}
	return err
}

type placeKey struct{}

func withPlace(ctx context.Context, c net.Conn) context.Context {
	own, ok := c.(*conn)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, placeKey{}, &own.Place)
}

// placeOf returns the place of the request's connection. A connection that is not
// the listener's gets one of its own.
func placeOf(req *http.Request) *accept.Place {
	if p, ok := req.Context().Value(placeKey{}).(*accept.Place); ok {
		return p
	}
	return new(accept.Place)
}
