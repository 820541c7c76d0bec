package fasthttp

import (
	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/conn"

	"github.com/valyala/fasthttp"
)

// remote is where a request is from, for the log.
func (l *Live) remote(ctx *fasthttp.RequestCtx) string {
	if c, ok := ctx.Conn().(*conn.Conn); ok {
		if client, named := l.proxies().Client(c.Peer, &ctx.Request.Header); named {
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
func (r *Relay) clientKey(c *conn.Conn, h *fasthttp.RequestHeader) accept.Client {
	client, _ := r.live.Load().proxies().Client(c.Peer, h)
	return accept.ClientAt(client)
}
