package fasthttp

import (
	"net/netip"
	"time"

	"cowrelay/fasthttp/accept"
	"cowrelay/fasthttp/conn"
	"cowrelay/fasthttp/limit"
	"cowrelay/fasthttp/refusal"

	"github.com/valyala/fasthttp"
)

// classOf says which limit a request counts for. HEAD counts as GET does, and a
// method that the route does not have counts as other.
func classOf(rt *route, h *fasthttp.RequestHeader) limit.Class {
	if rt.unlimited {
		return limit.Free
	}
	if m := rt.method(h); m.serve != nil {
		return m.class
	}
	return limit.Other
}

// limited says whether the client asks too often. It is asked before all else,
// tokens included, so that guessing tokens is limited too.
//
// A client on this machine is exempt. Whether the client is here is judged by the
// connection: a request that a trusted proxy passes on is not exempt, also if the
// proxy is on loopback, and also if it names a loopback address as its client. No
// honest client needs that, and a dishonest one could have the proxy name one. A
// client of a Unix socket is exempt in any case: its files' modes say who that is.
func (r *Relay) limited(req *request, h *fasthttp.RequestHeader) *refusal.Reply {
	return r.count(req, h, (*limit.Limiter).Allow)
}

// limitedFor says whether a post that was let in as one may hold n events: it counts
// for so many posts. One that is refused has cost one.
func (r *Relay) limitedFor(req *request, n int) *refusal.Reply {
	return r.count(req, &req.ctx.Request.Header, func(l *limit.Limiter, class limit.Class, client accept.Client, nowNs int64) (limit.Class, time.Duration, bool) {
		return l.More(class, client, n-1, nowNs)
	})
}

// count counts a request where it counts for a limit.
func (r *Relay) count(req *request, h *fasthttp.RequestHeader, allow func(*limit.Limiter, limit.Class, accept.Client, int64) (limit.Class, time.Duration, bool)) *refusal.Reply {
	c := req.conn
	if c == nil || c.Unix() {
		return nil
	}
	live := r.live.Load()
	if c.Local() && !c.Told && len(live.TrustedProxies) == 0 {
		return nil
	}
	class := classOf(req.route, h)
	if class == limit.Free {
		return nil
	}
	client, named := live.client(req.conn, h)
	if client.IsLoopback() && !named {
		return nil
	}
	nowNs := req.startNs
	if r.opts.now != nil {
		nowNs = r.opts.now()
	}
	over, wait, ok := allow(live.limiter, class, accept.ClientAt(client), nowNs)
	switch {
	case ok:
		return nil
	case over == limit.Total:
		return tooMany("the relay is asked more than it may answer; try again", wait)
	}
	return tooMany("too many requests of this kind from your address; try again", wait)
}

// mayShake says whether the client of a connection may begin one more handshake of TLS,
// and which client that is. One on this machine is exempt, and so is a trusted proxy that
// does not tell its clients before the handshake: it stands for many.
func (r *Relay) mayShake(c *conn.Conn) (accept.Client, bool) {
	client, live := accept.ClientAt(c.Peer), r.live.Load()
	if !c.Told && (c.Local() || live.proxies().Trust(c.Peer)) {
		return client, true
	}
	now := r.store.Now
	if r.opts.now != nil {
		now = r.opts.now
	}
	return client, live.limiter.AllowHandshake(client, now())
}

func tooMany(text string, wait time.Duration) *refusal.Reply {
	return &refusal.Reply{Status: fasthttp.StatusTooManyRequests, Text: text, RetryAfter: int((wait + time.Second - 1) / time.Second)}
}

// remote is where a request is from, for the log.
func (l *Live) remote(ctx *fasthttp.RequestCtx) string {
	if c, ok := ctx.Conn().(*conn.Conn); ok {
		if c.Unix() {
			return "unix"
		}
		if client, named := l.client(c, &ctx.Request.Header); named {
			return client.String()
		}
	}
	return ctx.RemoteAddr().String()
}

// client returns whose request it is, and whether a proxy named that: by a header of
// the request, or by the PROXY header of its connection.
func (l *Live) client(c *conn.Conn, h *fasthttp.RequestHeader) (client netip.Addr, named bool) {
	client, named = l.proxies().Client(c.Peer, h)
	return client, named || c.Told
}

// clientOf returns whose request it is, for what is shared out by client. All that
// come by another way than TCP, such as a Unix socket, are one client.
func (r *Relay) clientOf(req request) accept.Client {
	if req.conn == nil {
		return 0
	}
	return r.clientKey(req.conn, &req.ctx.Request.Header)
}

// clientKey is clientOf for a connection and a header.
func (r *Relay) clientKey(c *conn.Conn, h *fasthttp.RequestHeader) accept.Client {
	client, _ := r.live.Load().client(c, h)
	return accept.ClientAt(client)
}
