package fasthttp

import (
	"net"
	"net/netip"

	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/limit"

	"github.com/valyala/fasthttp"
)

// peer is the address at the other end of the connection.
func (c *conn) peer() netip.Addr {
	tcp, ok := c.TCPConn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().WithZone("").Unmap()
}

// proxies are those that may name a client.
func (l *Live) proxies() limit.Proxies {
	return limit.Proxies{Trusted: l.TrustedProxies, Headers: l.ClientHeaders}
}

// remote is where a request is from, for the log.
func (l *Live) remote(ctx *fasthttp.RequestCtx) string {
	if c, ok := ctx.Conn().(*conn); ok {
		if client, named := l.proxies().Client(c.peer(), &ctx.Request.Header); named {
			return client.String()
		}
	}
	return ctx.RemoteAddr().String()
}

// clientOf returns whose request it is, for what is shared out by client. All that
// come by another way than TCP are one client.
func (r *Relay) clientOf(req request) accept.Client {
	if req.conn == nil {
		return 0
	}
	return r.clientKey(req.conn, &req.ctx.Request.Header)
}

// clientKey is clientOf for a connection and a header.
func (r *Relay) clientKey(c *conn, h *fasthttp.RequestHeader) accept.Client {
	client, _ := r.live.Load().proxies().Client(c.peer(), h)
	return accept.ClientAt(client)
}
