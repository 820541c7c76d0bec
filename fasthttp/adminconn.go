package fasthttp

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

// DefaultAdminConns is how many connections operators may have.
const DefaultAdminConns = 64

const adminHeaderBytes = 16 << 10

// adminTimes bound what a request to the operators' listener may take. What a
// route sends may take longer if it goes out piece by piece, or was asked to
// take its time: an export has a time for each piece, a profile adds the one
// that it was asked for.
type adminTimes struct{ header, body, write, idle time.Duration }

func (t *adminTimes) setDefaults() {
	def(&t.header, 5*time.Second)
	def(&t.body, 10*time.Second)
	def(&t.write, 30*time.Second)
	def(&t.idle, time.Minute)
}

// adminListener gives operators' connections their places.
type adminListener struct{ *acceptor }

// Accept implements net.Listener.
func (l adminListener) Accept() (net.Conn, error) {
	for {
		c, err := l.acceptor.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := c.(*net.TCPConn)
		if !ok {
			return c, nil
		}
		own := &adminConn{TCPConn: tcp, places: l.places}
		own.tcp = tcp
		if l.places.take(&own.place, keyOfRemote(tcp.RemoteAddr().String()), 0, l.done) {
			return own, nil
		}
		c.SetWriteDeadline(time.Now().Add(time.Second)) // it fits into any send buffer
		io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		own.Close()
	}
}

// keyOfRemote is the key of the client at an address and port.
func keyOfRemote(text string) clientKey {
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return 0
	}
	return keyOf(at.Addr().WithZone("").Unmap())
}

// adminConn is an operator's connection.
type adminConn struct {
	*net.TCPConn
	place
	places *places
	closed atomic.Bool
}

// Read implements net.Conn.
func (c *adminConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if err != nil {
		err = c.readError(err)
	}
	return n, err
}

// Close implements net.Conn.
func (c *adminConn) Close() error {
	err := c.TCPConn.Close()
	if !c.closed.Swap(true) {
		c.places.give(&c.place)
	}
	return err
}

type adminConnKey struct{}

func withAdminConn(ctx context.Context, c net.Conn) context.Context {
	own, ok := c.(*adminConn)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, adminConnKey{}, &own.place)
}

// placeOf returns the place of the request's connection; a place of its own
// where that is none of the listener's.
func placeOf(req *http.Request) *place {
	if p, ok := req.Context().Value(adminConnKey{}).(*place); ok {
		return p
	}
	return new(place)
}
