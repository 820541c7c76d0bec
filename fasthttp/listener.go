package fasthttp

import (
	"fmt"
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
	relay *Relay
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	r := l.relay
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if r.conns.Add(1) <= int64(r.opts.MaxConns) {
			if tcp, ok := c.(*net.TCPConn); ok {
				return &conn{TCPConn: tcp, open: &r.conns}, nil
			}
			r.conns.Add(-1)
			return c, nil
		}
		r.conns.Add(-1)
		r.turned.Add(1)
		// The reply fits into any send buffer, so this does not wait.
		c.SetWriteDeadline(time.Now().Add(time.Second))
		var res fasthttp.Response
		errManyConns.write(&res)
		res.SetConnectionClose()
		res.WriteTo(c)
		c.Close()
	}
}

// conn is a counted TCP connection.
type conn struct {
	*net.TCPConn
	open   *atomic.Int64
	closed atomic.Bool
}

// Close implements net.Conn.
func (c *conn) Close() error {
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}
	return c.TCPConn.Close()
}
